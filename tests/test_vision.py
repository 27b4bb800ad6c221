"""torchvision's networks: its answers and names, at more shapes than its own take."""

import copy
import re
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import video
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d
from torchvision.ops import StochasticDepth

from network import vision
from network.count import macs, parameters
from network.model import Takes

NETWORKS = {  # usual input, parameters at 400 classes, GMACs, dropout, least frames and size
    "r3d_18": (16, 112, 33_371_472, 40.6966, 0.0, Takes(1, 1)),
    "mc3_18": (16, 112, 11_695_440, 43.3426, 0.0, Takes(1, 1)),
    "r2plus1d_18": (16, 112, 31_505_325, 40.5191, 0.0, Takes(1, 1)),
    "s3d": (16, 224, 8_320_048, 17.9788, 0.2, Takes(5, 17)),
    "mvit_v1_b": (16, 224, 36_610_672, 70.599, 0.5, Takes(1, 1)),
    "mvit_v2_s": (16, 224, 34_537_744, 64.2238, 0.5, Takes(1, 1)),
    "swin3d_t": (16, 224, 28_158_070, 43.8822, 0.0, Takes(1, 1)),
}
HEADS = {"s3d": "classifier.1", "mvit_v1_b": "head.1", "mvit_v2_s": "head.1", "swin3d_t": "head"}


def make(name, classes=5, **options):
    torch.manual_seed(0)
    return getattr(vision, name)(classes, frames=8, size=32, **options)


@pytest.fixture(scope="module")
def built():
    """Each network once; they are large."""
    once = cache(make)
    return lambda name: once(name).eval()


def on_meta(name):
    frames, size = NETWORKS[name][:2]
    with torch.device("meta"):
        return getattr(vision, name)(400, frames=frames, size=size)


def clips(frames, height, width=None, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, frames, height, width or height, generator=generator)


def close(ours, wanted):
    """To a ten-thousandth of how much the numbers differ among themselves."""
    spread = float(wanted.detach().std())
    assert spread > 1e-3
    torch.testing.assert_close(ours, wanted, atol=1e-4 * spread, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_macs_and_defaults_are_the_published_ones(name):
    frames, size, count, gmacs, dropout, takes = NETWORKS[name]
    network = on_meta(name)
    assert parameters(network) == count
    assert macs(network, frames, size) / 1e9 == pytest.approx(gmacs, rel=1e-3)
    assert network.heads.dropout.p == dropout
    assert network.takes == takes
    assert network.name == name


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_torchvisions(name):
    with torch.device("meta"):
        theirs = getattr(video, name)()
    shapes = {key: value.shape for key, value in renamed(theirs.state_dict(), name).items()}
    assert {key: value.shape for key, value in on_meta(name).state_dict().items()} == shapes
    assert on_meta(name).published_heads == ((HEADS.get(name, "fc"), ""),)


def renamed(state, name):
    """Weights of torchvision's network by our names, its head as a linear layer's."""
    head = f"{HEADS.get(name, 'fc')}."
    ours = {}
    for key, value in state.items():
        if key.startswith(head):
            ours[f"heads.to_label.{key.removeprefix(head)}"] = (
                value[..., 0, 0, 0] if value.ndim > 3 else value
            )
        else:
            ours[f"backbone.{key}"] = value
    return ours


def draw(model):
    """Weights and statistics that let nothing hide behind a zero or a one."""
    generator = torch.Generator().manual_seed(2)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim < 3:
            noise = torch.randn(value.shape, generator=generator)
            large = "pos" in name or "relative" in name
            value.add_(noise.abs() if "running_var" in name else noise * (1 if large else 0.02))
    return model.eval()


SHAPES = [
    ("r3d_18", 8, 32), ("r3d_18", 3, 41), ("mc3_18", 8, 32), ("r2plus1d_18", 8, 32),
    ("s3d", 21, 209), ("swin3d_t", 3, 224),
]  # fmt: skip


@pytest.mark.parametrize(("name", "frames", "size"), SHAPES)
def test_it_says_what_torchvisions_own_says(name, frames, size, built):
    theirs = draw(getattr(video, name)(num_classes=5))
    network, clip = built(name), clips(frames, size, batch=1 if size > 200 else 2)
    network.load_state_dict(renamed(theirs.state_dict(), name))
    with torch.no_grad():
        close(network(clip), theirs(clip))


@pytest.mark.parametrize("window", [(8, 7, 7), (3, 7, 7), (8, 4, 7), (2, 7, 3), (1, 1, 1)])
def test_places_of_small_windows_are_as_far_apart_as_they_are(window):
    """torchvision's own are right for whole windows and for those that are only shorter."""
    layer = draw(ShiftedWindowAttention3d(4, [8, 7, 7], [0, 0, 0], 2))
    theirs = layer.get_relative_position_bias(list(window))
    layer.__class__ = vision.WindowAttention
    ours = layer.get_relative_position_bias(list(window))
    table = layer.relative_position_bias_table.unflatten(0, (15, 13, 13))
    places = torch.cartesian_prod(*map(torch.arange, window)).reshape(-1, 3)
    away = places[:, None] - places + torch.tensor([7, 6, 6])
    assert torch.equal(ours[0], table[tuple(away.unbind(-1))].permute(2, 0, 1))
    assert torch.equal(ours, theirs) == (window[1:] in ((7, 7), (1, 1)))


# -- pools ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 7, 7), (2, 7, 9), (3, 8, 7), (5, 15, 20)])
def test_windows_are_averaged_as_torchvision_averages_them(shape):
    features = torch.randn(2, 3, *shape)
    wanted = functional.avg_pool3d(features, (2, 7, 7), stride=1).mean((2, 3, 4))
    close(vision.WindowMean((2, 7, 7))(features), wanted)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 7), (2, 2, 3)])
def test_less_than_a_window_is_one_window(shape):
    features = torch.randn(2, 3, *shape)
    close(vision.WindowMean((2, 7, 7))(features), features.mean((2, 3, 4)))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_average_pool_is_left(name):
    pools = nn.AvgPool3d | nn.AdaptiveAvgPool3d
    assert not [path for path, module in on_meta(name).named_modules() if isinstance(module, pools)]


@pytest.mark.parametrize("name", ["r3d_18", "s3d"])
def test_it_can_be_bf16_altogether(name, built):
    network = copy.deepcopy(built(name)).to(torch.bfloat16)
    assert network(clips(8, 32).to(torch.bfloat16)).dtype == torch.bfloat16


# -- what they take -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_least_it_takes_works(name, built):
    network, takes = built(name), NETWORKS[name][-1]
    clip = clips(takes.frames, takes.size)
    assert network(clip).isfinite().all()
    assert network.train()(clip).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("axis", [2, 3, 4])
def test_one_less_is_refused(name, axis, built):
    takes = NETWORKS[name][-1]
    less = (takes.frames if axis == 2 else takes.size) - 1
    clip = clips(takes.frames, takes.size).narrow(axis, 0, less)
    with pytest.raises(ValueError, match=f"^{name} cannot take .*it needs at least"):
        built(name)(clip)
    with pytest.raises((RuntimeError, ZeroDivisionError)):
        built(name).backbone(clip)  # indeed it cannot


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shape_it_cannot_take_is_refused_at_once(name):
    takes = NETWORKS[name][-1]
    with pytest.raises(ValueError, match=f"{name} cannot take frames {takes.frames - 1}; it needs"):
        getattr(vision, name)(5, frames=takes.frames - 1, size=64)


# -- MViT, whose own takes one shape only ---------------------------------------------------------

VERSIONS = {
    "v1": {"rel_pos_embed": False, "residual_pool": False, "residual_with_cls_embed": False,
           "proj_after_attn": False},
    "v2": {"rel_pos_embed": True, "residual_pool": True, "residual_with_cls_embed": False,
           "proj_after_attn": True},
}  # fmt: skip
BLOCKS = [
    MSBlockConfig(1, 16, 16, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 4, 4]),
    MSBlockConfig(2, 16, 32, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
    MSBlockConfig(2, 32, 32, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
]


def small(version, frames, size):
    """torchvision's, three blocks long."""
    torch.manual_seed(0)
    return draw(MViT((size, size), frames, BLOCKS, **VERSIONS[version], num_classes=5))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("frames", "size"), [(8, 32), (4, 64), (2, 16)])
def test_at_the_built_shape_it_is_torchvisions(version, frames, size):
    theirs, clip = small(version, frames, size), clips(frames, size)
    with torch.no_grad():
        close(theirs.head(vision.Multiscale(theirs)(clip)), theirs(clip))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("frames", "size"), [(4, 32), (8, 64), (16, 16), (2, 96)])
def test_at_another_shape_its_tables_are_interpolated(version, frames, size):
    built, theirs = small(version, 8, 32), small(version, frames, size)
    for name, table in theirs.state_dict().items():
        old = built.state_dict()[name]
        table.copy_(old if old.shape == table.shape else interpolated(name, old, table))
    clip = clips(frames, size)
    with torch.no_grad():
        close(theirs.head(vision.Multiscale(built)(clip)), theirs(clip))


def interpolated(name, old, table):
    rows = old.T[None]
    if "spatial" not in name:
        return functional.interpolate(rows, len(table), mode="linear")[0].T
    before, after = (round(len(one) ** 0.5) for one in (old, table))
    places = rows.unflatten(2, (before, before))
    return functional.interpolate(places, (after, after), mode="bicubic")[0].flatten(1).T


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("height", "width"), [(16, 64), (36, 20), (33, 7)])
def test_height_and_width_are_not_confused(version, height, width):
    """Clip, filters and tables laid on their side: the same answer."""
    network, lying = (vision.Multiscale(small(version, 4, 32)) for _ in range(2))
    state = network.state_dict()
    for name, value in lying.state_dict().items():
        value.copy_(on_its_side(name, state))
    clip = clips(4, height, width)
    with torch.no_grad():
        close(lying(clip.transpose(3, 4)), network(clip))


def on_its_side(name, state):
    value = state[re.sub("_[hw]$", lambda found: {"_h": "_w", "_w": "_h"}[found[0]], name)]
    if name.endswith("spatial_pos"):
        return value.unflatten(0, (8, 8)).transpose(0, 1).flatten(0, 1)
    return value.transpose(3, 4) if value.ndim == 5 else value


def test_an_exported_mvit_takes_any_number_of_clips():
    network, clip = vision.Multiscale(small("v1", 4, 32)), clips(4, 48, 32, batch=3)
    batch = {0: torch.export.Dim.DYNAMIC}
    graph = torch.export.export(network, (clips(4, 48, 32),), dynamic_shapes=(batch,)).module()
    close(graph(clip), network(clip))


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
def test_its_tables_are_the_published_ones_whatever_it_is_built_for(name, built):
    tables = {key: value.shape for key, value in built(name).state_dict().items() if "pos" in key}
    assert tables == {
        key: value.shape for key, value in on_meta(name).state_dict().items() if "pos" in key
    }


# The last block's distances and query pool make patches, of which nothing is asked any more.
DEAD = {"mvit_v1_b": [], "mvit_v2_s": [
    "attn.rel_pos_h", "attn.rel_pos_w", "attn.rel_pos_t", "attn.pool_q.pool.weight",
]}  # fmt: skip


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", DEAD)
def test_a_gradient_reaches_every_parameter_of_an_mvit(name, kind):
    network = make(name, drop_path=0.0).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        network(clips(4, 64, 48)).float().square().sum().backward()
    grads = {path: own.grad for path, own in network.named_parameters()}
    assert not [path for path, grad in grads.items() if grad is None]
    assert [path for path, grad in grads.items() if not grad.abs().sum() > 0] == [
        f"backbone.blocks.15.{path}" for path in DEAD[name]
    ]


# -- in training ----------------------------------------------------------------------------------


MOST = {"mvit_v1_b": 0.2, "mvit_v2_s": 0.2, "swin3d_t": 0.1}


@pytest.mark.parametrize("name", MOST)
def test_branches_are_left_out_as_torchvisions_are(name):
    def shares(model):
        return [module.p for module in model.modules() if isinstance(module, StochasticDepth)]

    with torch.device("meta"):
        theirs = shares(getattr(video, name)())
        ours, twice = shares(make(name)), shares(make(name, drop_path=2 * MOST[name]))
    assert ours == pytest.approx(theirs)
    assert ours[-1] == MOST[name]
    assert twice == pytest.approx([2 * share for share in theirs])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_in_one_stage(name):
    network = on_meta(name)
    parts = [part for stage in network.stages for part in stage]
    for path, _ in network.backbone.named_parameters():
        assert sum(f"{path}.".startswith(f"{part}.") for part in parts) == 1, path
    for part in parts:
        network.backbone.get_submodule(part)
    assert len(network.stages) in (4, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_stages_are_from_the_input_on(name):
    """Each stage is run only when the one before it has been."""
    network, order = make(name).eval(), []
    for index, stage in enumerate(network.stages):
        for part in stage:
            module = network.backbone.get_submodule(part)
            module.register_forward_pre_hook(lambda *_, index=index: order.append(index))
    network(clips(5, 32))
    assert order == sorted(order)
    assert set(order) == set(range(len(network.stages)))
