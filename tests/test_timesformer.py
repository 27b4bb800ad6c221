"""TimeSformer: what transformers' own says with the same weights, at any shape, from any file."""

import re

import pytest
import timm
import torch
from torch.nn import functional
from transformers import TimesformerConfig, TimesformerForVideoClassification

from network.count import macs, parameters
from network.positions import resampled
from network.timesformer import (
    BASE,
    SMALL,
    Plan,
    copy_space_to_time,
    fit_embeddings,
    timesformer,
)
from network.weights import load

TINY = Plan(width=32, depth=3, heads=4, patch=16)
KINDS = {"divided": "divided_space_time", "joint": "joint_space_time", "space": "space_only"}


def make(frames=4, size=32, **options):
    torch.manual_seed(0)
    return timesformer(TINY, 5, frames=frames, size=size, **options)


def clips(frames, height, width=None, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, frames, height, width or height, generator=generator)


# -- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "kind", "count", "gmacs"),
    [
        (BASE, "divided", 121_566_352, 195.8),
        (BASE, "joint", 86_112_400, 179.56),
        (BASE, "space", 86_106_256, 140.50),
        (SMALL, "divided", 30_702_352, 50.677),
    ],
)
def test_parameters_and_macs_are_the_published_ones(plan, kind, count, gmacs):
    with torch.device("meta"):
        network = timesformer(plan, 400, frames=8, size=224, attention=kind)
    assert parameters(network) == count
    assert macs(network, 8, 224) / 1e9 == pytest.approx(gmacs, rel=1e-3)


# -- the same as transformers' --------------------------------------------------------------------

NAMES = [  # ours, theirs
    (r"backbone\.cls_token", "timesformer.embeddings.cls_token"),
    (r"backbone\.pos_embed", "timesformer.embeddings.position_embeddings"),
    (r"backbone\.time_embed", "timesformer.embeddings.time_embeddings"),
    (r"backbone\.patch_embed\.proj", "timesformer.embeddings.patch_embeddings.projection"),
    (r"backbone\.norm\.", "timesformer.layernorm."),
    (r"heads\.to_label", "classifier"),
    (r"backbone\.blocks", "timesformer.encoder.layer"),
    (r"temporal_norm1", "temporal_layernorm"),
    (r"temporal_fc", "temporal_dense"),
    (r"temporal_attn\.qkv", "temporal_attention.attention.qkv"),
    (r"temporal_attn\.proj", "temporal_attention.output.dense"),
    (r"\.attn\.qkv", ".attention.attention.qkv"),
    (r"\.attn\.proj", ".attention.output.dense"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1", ".intermediate.dense"),
    (r"\.mlp\.fc2", ".output.dense"),
]


def their_name(name):
    for ours, theirs in NAMES:
        name = re.sub(ours, theirs, name)
    return name


def drawn(network):
    """The same network with weights that let nothing hide behind a zero."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    return network.eval()


def transformers_own(state, kind, frames, size):
    config = TimesformerConfig(
        image_size=size, patch_size=TINY.patch, num_frames=frames, hidden_size=TINY.width,
        num_hidden_layers=TINY.depth, num_attention_heads=TINY.heads,
        intermediate_size=4 * TINY.width, attention_type=KINDS[kind],
    )  # fmt: skip
    config.num_labels = 5
    theirs = TimesformerForVideoClassification(config).eval()
    theirs.load_state_dict({their_name(name): own for name, own in state.items()})
    return theirs


@pytest.mark.parametrize("kind", ["divided", "joint"])
@pytest.mark.parametrize(("frames", "size"), [(4, 32), (1, 16), (3, 48), (8, 64)])
def test_it_says_what_the_transformers_library_says(kind, frames, size):
    network = drawn(make(frames, size, attention=kind))
    theirs = transformers_own(network.state_dict(), kind, frames, size)
    clip = clips(frames, size)
    with torch.no_grad():
        ours, wanted = network(clip), theirs(clip.transpose(1, 2)).logits
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def test_frames_that_never_meet_are_averaged_before_the_last_norm():
    network = drawn(make(3, 32, attention="space"))
    theirs = transformers_own(network.state_dict(), "space", 3, 32)
    clip = clips(3, 32)
    with torch.no_grad():
        hidden = theirs(clip.transpose(1, 2), output_hidden_states=True).hidden_states[-1]
        mean = hidden[:, 0].unflatten(0, (2, 3)).mean(1)
        wanted = theirs.classifier(theirs.timesformer.layernorm(mean))
        torch.testing.assert_close(network(clip), wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network(clip.flip(2)), wanted, atol=1e-5, rtol=1e-5)


# -- any shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "size"), [(8, 32), (2, 32), (1, 16), (4, 64), (7, 80)])
def test_at_another_shape_its_tables_are_interpolated(frames, size):
    network, side = drawn(make(4, 48)), size // TINY.patch
    state = network.state_dict()
    first, places = state["backbone.pos_embed"].transpose(1, 2).split((1, 9), dim=2)
    places = functional.interpolate(places.unflatten(2, (3, 3)), (side, side), mode="bicubic")
    times = state["backbone.time_embed"].transpose(1, 2)
    times = functional.interpolate(times, frames, mode="linear")
    state["backbone.pos_embed"] = torch.cat((first, places.flatten(2)), 2).transpose(1, 2)
    state["backbone.time_embed"] = times.transpose(1, 2)
    theirs, clip = transformers_own(state, "divided", frames, size), clips(frames, size)
    with torch.no_grad():
        wanted = theirs(clip.transpose(1, 2)).logits
        torch.testing.assert_close(network(clip), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_height_and_width_are_not_confused(kind):
    """Clip, filters and places laid on their side: the same answer."""
    network, lying = make(2, 48, attention=kind).eval(), make(2, 48, attention=kind).eval()
    with torch.no_grad():
        filters = lying.backbone.patch_embed.proj.weight
        filters.copy_(filters.transpose(2, 3).clone())
        places = lying.backbone.pos_embed[0, 1:].unflatten(0, (3, 3))
        places.copy_(places.transpose(0, 1).clone())
    clip = clips(2, 32, 80)
    torch.testing.assert_close(lying(clip.transpose(3, 4)), network(clip), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(network(clip.transpose(3, 4)), network(clip), atol=1e-4)


@pytest.mark.parametrize(
    ("taps", "mode", "old", "new"),
    [
        ("bicubic", "bicubic", (14, 14), (7, 20)),
        ("bicubic", "bicubic", (2, 3), (5, 1)),
        ("bilinear", "linear", (8,), (3,)),
        ("bilinear", "linear", (8,), (16,)),
    ],
)
def test_tables_are_resampled_as_torch_interpolates(taps, mode, old, new):
    grid = torch.randn(1, 6, *old)
    wanted = functional.interpolate(grid, new, mode=mode)[0].flatten(1).T
    ours = resampled(grid[0].flatten(1).T, old, new, taps)
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def test_at_the_same_shape_a_table_is_itself():
    table = torch.randn(6, 4)
    assert resampled(table, (2, 3), (2, 3), "bicubic") is table


def test_autocast_does_not_round_the_tables():
    table = torch.randn(8, 4)
    wanted = resampled(table, (8,), (5,), "bilinear")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resampled(table, (8,), (5,), "bilinear"), wanted)


@pytest.mark.parametrize(
    ("frames", "height", "width", "wrong"),
    [(0, 32, 32, "frames 0"), (2, 40, 32, "height 40"), (2, 32, 15, "width 15")],
)
def test_what_it_cannot_take_is_refused(frames, height, width, wrong):
    with pytest.raises(ValueError, match=f"cannot take {wrong}; it needs .*multiples of 16"):
        make()(torch.zeros(1, 3, frames, height, width))


def test_a_shape_it_cannot_take_is_refused_at_once():
    with pytest.raises(ValueError, match="timesformer cannot take height 40, width 40"):
        make(size=40)


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="'both'; choose one of divided, joint, space"):
        make(attention="both")


def test_an_exported_graph_takes_any_number_of_clips():
    network = make(4, 32).eval()
    batch = {0: torch.export.Dim.DYNAMIC}
    graph = torch.export.export(network, (clips(6, 48, 32),), dynamic_shapes=(batch,)).module()
    clip = clips(6, 48, 32, batch=3)
    torch.testing.assert_close(graph(clip), network(clip))


# -- in training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("frames", "size"), [(4, 32), (6, 48)])
def test_a_gradient_reaches_every_parameter(kind, frames, size):
    network = make(attention=kind).train()
    network(clips(frames, size)).square().sum().backward()
    assert [
        name for name, own in network.named_parameters()
        if own.grad is None or not own.grad.abs().sum() > 0
    ] == []  # fmt: skip


def test_at_the_start_time_changes_next_to_nothing():
    """So that weights of a picture network go on answering as they did."""
    network = make().eval()
    clip = clips(4, 32)
    before = network.features(clip)
    for block in network.backbone.blocks:
        torch.nn.init.zeros_(block.temporal_fc.weight)
    difference = (network.features(clip) - before).abs().max()
    assert 0 < difference < 1e-5 * before.abs().max()


def test_branches_are_left_out_more_often_the_deeper_they_are():
    network = make(drop_path=0.3)
    assert [block.drop_path.p for block in network.backbone.blocks] == pytest.approx([0, 0.15, 0.3])


@pytest.mark.parametrize(("drop_path", "same"), [(0.0, True), (0.5, False)])
def test_only_training_leaves_branches_out(drop_path, same):
    network, clip = make(drop_path=drop_path), clips(4, 32)
    assert torch.allclose(network.train()(clip), network.eval()(clip), atol=1e-6) is same


def test_along_time_a_branch_is_left_out_place_by_place():
    network = make(drop_path=0.5).train()
    block = network.backbone.blocks[-1]
    torch.nn.init.normal_(block.temporal_fc.weight)
    moved = block._along_time(torch.randn(8, 4, 16, TINY.width))
    left_out = moved.abs().sum((1, 3)) == 0  # clips x places
    assert 0.3 < left_out.float().mean() < 0.7


def test_dropout_is_the_heads():
    assert make(dropout=0.4).heads.dropout.p == 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_in_one_stage(kind):
    network = make(attention=kind)
    names = [name for name, _ in network.backbone.named_parameters()]
    for name in names:
        of = [
            part for stage in network.stages for part in stage if f"{name}.".startswith(f"{part}.")
        ]
        assert len(of) == 1, name
    assert network.stages[1:] == (("blocks.0",), ("blocks.1",), ("blocks.2", "norm"))


# -- files ----------------------------------------------------------------------------------------

BLOCK = (
    "attn.proj", "attn.qkv", "mlp.fc1", "mlp.fc2", "norm1", "norm2", "temporal_attn.proj",
    "temporal_attn.qkv", "temporal_fc", "temporal_norm1",
)  # fmt: skip
LAYERS = [f"blocks.{index}.{part}" for index in range(TINY.depth) for part in BLOCK]
PUBLISHED = ["cls_token", "pos_embed", "time_embed"] + [
    f"{layer}.{kind}"
    for layer in ("patch_embed.proj", "norm", "head", *LAYERS)
    for kind in ("weight", "bias")
]


def our_name(name):
    return f"heads.to_label.{name[5:]}" if name.startswith("head.") else f"backbone.{name}"


def test_names_are_those_of_the_published_files():
    assert sorted(make().state_dict()) == sorted(our_name(name) for name in PUBLISHED)
    assert make().published_heads == (("head", ""),)


def test_a_published_file_of_another_shape_is_loaded(tmp_path):
    file, network = drawn(make(4, 32)), make(8, 48).eval()
    theirs = {our_name(name): name for name in PUBLISHED}
    state = {f"model.{theirs[name]}": value for name, value in file.state_dict().items()}
    torch.save({"epoch": 3, "model_state": state, "cfg": "TRAIN: {}"}, tmp_path / "k400.pyth")
    assert load(network, tmp_path / "k400.pyth").is_exact
    clip = clips(8, 48)
    torch.testing.assert_close(network(clip), file(clip), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("frames", "size"), [(8, 32), (4, 64), (2, 16), (4, 32)])
def test_tables_of_another_shape_are_fitted_to_the_network(frames, size):
    """What the file's network says of clips of the new shape, the fitted one says too."""
    file, network = make().eval(), make(frames, size).eval()
    for table in (file.backbone.pos_embed, file.backbone.time_embed):
        torch.nn.init.normal_(table)
    state = file.state_dict()
    fitted = fit_embeddings(state, network)
    network.load_state_dict(fitted)
    clip = clips(frames, size)
    torch.testing.assert_close(network(clip), file(clip), atol=1e-6, rtol=1e-6)
    assert state["backbone.pos_embed"].shape == (1, 5, TINY.width), "the file's own were changed"


def test_what_is_no_table_or_not_ours_is_left_alone():
    state = {"pos_embed": torch.zeros(1, 5, 2), "backbone.norm.weight": torch.zeros(7)}
    assert fit_embeddings(state, make(8, 64)) == state


def test_places_that_make_no_square_are_refused():
    with pytest.raises(ValueError, match="6 places, which make no square"):
        fit_embeddings({"backbone.pos_embed": torch.zeros(1, 7, TINY.width)}, make())


def test_a_picture_network_goes_on_in_time(tmp_path):
    """Weights of a picture transformer: a clip of one picture is answered as the picture was."""
    pictures = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=TINY.width, depth=TINY.depth,
        num_heads=TINY.heads, num_classes=5,
    ).eval()  # fmt: skip
    torch.nn.init.normal_(pictures.get_parameter("pos_embed"))
    torch.save(pictures.state_dict(), tmp_path / "vit.pth")
    network = make(4, 32).eval()
    report = load(network, tmp_path / "vit.pth")
    assert not report.unexpected
    assert {name.split(".")[-2] for name in report.missing} == {"backbone", "temporal_fc"}
    picture = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        clip = picture[:, :, None].expand(-1, -1, 4, -1, -1)
        torch.testing.assert_close(network(clip), pictures(picture), atol=2e-3, rtol=2e-3)


def test_attention_along_time_that_a_file_has_is_kept():
    file, network = make().state_dict(), make()
    assert set(copy_space_to_time(file, network)) == set(file)
    key = "backbone.blocks.1.temporal_attn.qkv.weight"
    assert copy_space_to_time(file, network)[key] is file[key]
    without = {name: value for name, value in file.items() if "temporal_attn" not in name}
    copied = copy_space_to_time(without, network)
    assert copied[key] is file["backbone.blocks.1.attn.qkv.weight"]
