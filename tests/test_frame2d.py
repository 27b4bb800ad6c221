"""Frame by frame: every backbone and consensus, against torchvision and published numbers."""

import copy
import pickle
import re

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from network.frame2d import CONSENSUS
from network.non_local import NonLocal
from network.temporal_shift import ShiftedConv2d, TemporalShift
from tests.framenets import TWO, build, clip_of, on_meta

pytestmark = pytest.mark.usefixtures("one_thread")


# -- published numbers ----------------------------------------------------------------------------

COUNTS = [
    ("resnet50", 400, {}, 24_327_632),
    ("resnet18", 400, {}, 11_381_712),
    ("resnet18", 1000, {}, 11_689_512),
    ("resnet50", 1000, {}, 25_557_032),
    ("bninception", 1000, {}, 11_295_240),
    ("resnet50", 174, {"consensus": "tsm"}, 23_864_558),
    ("resnet50", 400, {"consensus": "tsm-nl"}, 31_686_096),  # 31.68M in mmaction2's table
    ("resnet50", 400, {"modality": "rgbdiff", "frames": 6}, 24_327_632 + 12 * 64 * 49),
    # Frames to 256 numbers, eight of them to 512, those to 400 classes.
    ("resnet50", 400, {"consensus": "trn", "frames": 8},
     23_508_032 + 2049 * 256 + (8 * 256 + 1) * 512 + 513 * 400),
    # Each number of frames from eight down to two has a relation of 256 numbers of its own.
    ("resnet50", 400, {"consensus": "mtrn", "frames": 8},
     23_508_032 + 2049 * 256 + (35 * 256 + 7) * 256 + (7 * 256 + 1) * 400),
]  # fmt: skip


@pytest.mark.parametrize(("name", "classes", "options", "expected"), COUNTS)
def test_parameters_are_those_published(name, classes, options, expected):
    network = on_meta(name, classes, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(
    ("name", "consensus", "expected"),
    [
        ("resnet50", "average", 4.08918),
        ("resnet50", "tsm", 4.08918),
        ("resnet18", "average", 1.81407),
    ],
)
def test_gmacs_a_frame_are_those_published(name, consensus, expected):
    network = on_meta(name, 400, consensus=consensus)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 4, 224, 224, device="meta"))
    assert counter.get_total_flops() / 2 / 4 / 1e9 == pytest.approx(expected, rel=1e-3)


# -- against torchvision --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("mode", [True, False])
def test_one_frame_is_torchvisions_network(name, mode):
    theirs = getattr(torchvision.models, name)(num_classes=3).train(mode)
    ours = build(name, frames=1).train(mode)
    ours.backbone.load_state_dict(
        {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    )
    ours.heads.of("label").load_state_dict(theirs.fc.state_dict())
    clip = clip_of(frames=1)
    assert torch.equal(ours(clip), theirs(clip[:, :, 0]))


@pytest.mark.parametrize("consensus", ["average", "tsm"])
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_keys_are_torchvisions_with_or_without_shift(name, consensus):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().state_dict()
    ours = on_meta(name, 3, consensus=consensus).backbone.state_dict()
    assert [*ours] == [key for key in theirs if not key.startswith("fc.")]


def test_pictures_are_averaged_with_a_gradient_that_is_the_same_each_time():
    """Adaptive pooling has none such on every device."""
    layers = (nn.AdaptiveAvgPool2d, nn.AvgPool3d, nn.MaxPool3d)
    for name in ("resnet18", "bninception"):
        assert not any(isinstance(one, layers) for one in on_meta(name, 3).modules())


def test_the_same_seed_gives_torchvisions_weights():
    torch.manual_seed(5)
    theirs = torchvision.models.resnet18()
    ours = build(seed=5)
    assert torch.equal(ours.backbone.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("consensus", CONSENSUS)
@pytest.mark.parametrize("mode", [True, False])
def test_who_sees_the_order_of_frames(consensus, mode):
    network = build("resnet50" if consensus == "tsm-nl" else "resnet18", consensus=consensus)
    clip = clip_of()
    torch.set_grad_enabled(False)
    try:
        network.train(mode)
        if not mode:
            network.train()(clip)  # statistics that let something through
            network.eval()
        given, turned = network(clip), network(clip[:, :, [2, 0, 3, 1]])
    finally:
        torch.set_grad_enabled(True)
    same = torch.allclose(given, turned, atol=1e-5 * given.abs().max().item())
    assert same == (consensus in ("average", "maximum"))


def test_the_average_is_that_of_each_frame_by_itself():
    network, clip = build().eval(), clip_of()
    alone = torch.stack([network(clip[:, :, i : i + 1]) for i in range(4)])
    assert torch.allclose(network(clip), alone.mean(0), atol=1e-5)
    network = build(consensus="maximum").eval()
    assert torch.allclose(network(clip), alone.amax(0), atol=1e-5)


def test_one_frame_under_shift_has_no_neighbours():
    """A quarter of what each block's branch sees is zeros; the other branch is whole."""
    network = build(frames=1, consensus="tsm").eval()
    plain = build(frames=1).eval()

    def silence(conv, inputs):
        (frames,) = inputs
        quarter = frames.shape[1] // 4
        return (torch.cat((torch.zeros_like(frames[:, :quarter]), frames[:, quarter:]), 1),)

    for stage in (plain.backbone.layer1, plain.backbone.layer2,
                  plain.backbone.layer3, plain.backbone.layer4):  # fmt: skip
        for block in stage:
            block.conv1.register_forward_pre_hook(silence)
    clip = clip_of(frames=1)
    assert torch.allclose(network(clip), plain(clip), atol=1e-6)


def test_frames_of_one_clip_never_reach_another():
    network = build(consensus="tsm").eval()
    clip = clip_of()
    assert torch.allclose(network(clip)[:1], network(clip[:1]), atol=1e-5)


@pytest.mark.parametrize("consensus", ["tsm", "trn", "mtrn"])
def test_what_a_clip_says_depends_on_no_clip_before(consensus):
    network, clip = build(consensus=consensus).eval(), clip_of()
    first = network(clip)
    for frames in (1, 2, 6, 8):
        network(clip_of(frames))
    assert torch.equal(network(clip), first)


SHIFTING = [
    ("resnet18", 8),
    ("resnet34", 16),
    ("resnet50", 16),
    ("resnet101", 2 + 2 + 12 + 2),  # every second block
    ("timm:test_resnet", None),
    ("timm:resnet50d", 16),
]


@pytest.mark.parametrize(("name", "count"), SHIFTING)
def test_blocks_that_shift(name, count):
    layers = [one for one in on_meta(name, 3, consensus="tsm").modules()
              if isinstance(one, ShiftedConv2d)]  # fmt: skip
    assert len(layers) == count if count else layers
    assert not any(isinstance(one, ShiftedConv2d) for one in on_meta(name, 3).modules())


def test_bninception_shifts_between_blocks():
    network = build("bninception", consensus="tsm").eval()
    seen = []
    shift = network.backbone.before_blocks
    assert isinstance(shift, TemporalShift)
    shift.register_forward_hook(lambda layer, inputs, made: seen.append(layer.rows_per_clip))
    network(clip_of(frames=3))
    assert seen == [3] * 11


def test_non_local_blocks_stand_after_five_blocks_and_add_only_their_own_keys():
    plain = on_meta("resnet50", 3).state_dict()
    network = on_meta("resnet50", 3, consensus="tsm-nl")
    places = [path for path, one in network.named_modules() if isinstance(one, NonLocal)]
    assert places == [f"backbone.layer{i}.nl" for i in ("2.0", "2.2", "3.0", "3.2", "3.4")]
    new = [key for key in network.state_dict() if ".nl." in key]
    assert [key for key in network.state_dict() if key not in new] == [*plain]


def test_non_local_blocks_are_asked():
    network = build("resnet50", consensus="tsm-nl", frames=2).eval()
    clip = clip_of(frames=2)
    before = network(clip)
    for block in network.modules():
        if isinstance(block, NonLocal):
            nn.init.ones_(block.W.get_parameter("1.weight"))
    assert not torch.allclose(network(clip), before)


class Counting(nn.Module):
    """A layer that, like some norms, has to know how many rows a clip has."""

    rows_per_clip = 1

    def forward(self, rows):
        return rows


@pytest.mark.parametrize(
    ("options", "frames", "rows"),
    [
        ({}, 5, 5),
        ({"modality": "rgbdiff", "frames": 6}, 12, 2),
        ({"consensus": "trn", "frames": 2}, 6, 2),
        ({"consensus": "trn", "frames": 2}, 1, 1),
    ],
)
def test_layers_are_told_how_many_rows_a_clip_has(options, frames, rows):
    network = build(**options).eval()
    network.backbone.layer1.add_module("counting", layer := Counting())
    network(clip_of(frames))
    assert layer.rows_per_clip == rows


# -- every kind of network ------------------------------------------------------------------------

KINDS = [
    ("resnet18", {}),
    ("resnet18", {"consensus": "maximum", "tasks": TWO}),
    ("resnet18", {"consensus": "trn", "tasks": TWO}),
    ("resnet18", {"consensus": "mtrn"}),
    ("resnet18", {"consensus": "tsm"}),
    ("resnet50", {"consensus": "tsm-nl"}),
    ("resnet18", {"modality": "rgbdiff", "frames": 6}),
    ("resnet18", {"modality": "rgbdiff", "frames": 12, "consensus": "mtrn"}),
    ("bninception", {}),
    ("bninception", {"consensus": "tsm", "modality": "rgbdiff", "frames": 6}),
    ("timm:test_resnet", {"consensus": "tsm"}),
    ("timm:test_resnet", {"modality": "rgbdiff", "frames": 6}),
    ("timm:test_vit.r160_in1k", {"modality": "rgbdiff", "frames": 6, "consensus": "trn"}),
    ("timm:test_vit.r160_in1k", {}),
]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_any_shape_trains_every_parameter(name, options):
    network = build(name, **options)
    step = network.takes.frames_step
    for frames, height, width in ((2 * step, 32, 64), (3 * step, 64, 48)):
        network.zero_grad()
        made = network(clip_of(frames, height, width))
        outputs = made if isinstance(made, dict) else {"label": made}
        assert {task: tuple(one.shape) for task, one in outputs.items()} == {
            task: (2, one.classes) for task, one in network.heads.tasks.items()
        }
        sum(one.square().sum() for one in outputs.values()).backward()
        missing = [key for key, one in network.named_parameters() if one.grad is None]
        assert missing == []


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_copies_pickles_bf16_and_memory_formats(name, options):
    network, frames = build(name, **options).eval(), options.get("frames", 4)
    clip = clip_of(frames, 32, 48, batch=1)
    with torch.no_grad():
        first = network(clip)
        copies = [network, copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
        again = build(name, **options).eval()
        for one in (*copies, again):
            torch.testing.assert_close(one(clip), first, rtol=0, atol=0)
        with torch.autocast("cpu", torch.bfloat16):
            network(clip)
        network.to(memory_format=torch.channels_last)
        clip = clip.contiguous(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(network(clip), first, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [{}, {"consensus": "trn"}, {"consensus": "tsm"}, {"modality": "rgbdiff", "frames": 6}],
)
def test_logits_are_those_of_the_features(options):
    network, clip = build(**options).eval(), clip_of(options.get("frames", 4))
    features = network.features(clip)
    assert features.shape[-1] == network.width
    assert torch.equal(network.logits(features), network(clip))


def test_frames_stay_apart_and_in_order_in_the_features_until_they_are_related():
    network, clip = build().eval(), clip_of()
    alone = [network.features(clip[:, :, i : i + 1]) for i in range(4)]
    assert torch.allclose(network.features(clip), torch.cat(alone, 1), atol=1e-5)
    assert build(consensus="trn").eval().features(clip_of()).shape == (2, 512)
    assert build(consensus="mtrn").eval().features(clip_of()).shape == (2, 3 * 256)


def test_dropout_falls_on_each_frame_before_the_heads_or_before_the_relation():
    assert build(dropout=0.25).heads.dropout.p == 0.25
    related = build(dropout=0.25, consensus="trn")
    assert (related.heads.dropout.p, related.consensus.dropout.p) == (0.0, 0.25)


# -- differences ----------------------------------------------------------------------------------


def test_differences_of_a_clip_that_stands_still_are_zeros():
    network = build(modality="rgbdiff", frames=12).eval()
    still = clip_of(1).expand(-1, -1, 12, -1, -1)
    seen = []
    network.backbone.conv1.register_forward_pre_hook(lambda conv, inputs: seen.append(inputs[0]))
    assert torch.equal(*network(still))
    assert seen[0].shape == (4, 15, 64, 64)
    assert not seen[0].any()


@pytest.mark.parametrize("name", ["resnet18", "bninception", "timm:test_resnet"])
def test_weights_for_pictures_become_weights_for_differences(name):
    theirs = build(name, frames=1).state_dict()
    network = build(name, frames=6, modality="rgbdiff", seed=3)
    network.load_state_dict(network.adapt(theirs))
    (first, kernel), *_ = [(k, v) for k, v in theirs.items() if v.ndim == 4]
    expected = kernel.mean(1, keepdim=True).expand(-1, 15, -1, -1)
    assert torch.equal(network.state_dict()[first], expected)


def test_published_kernels_of_non_local_blocks_lose_their_third_axis():
    network = on_meta("resnet50", 3, consensus="tsm-nl")
    published = {"backbone.layer2.0.nl.theta.weight": torch.zeros(256, 512, 1, 1, 1)}
    assert [one.shape for one in network.adapt(published).values()] == [(256, 512, 1, 1)]


def test_weights_that_fit_are_left_alone():
    network = build()
    state = network.state_dict()
    adapted = network.adapt(state)
    assert all(adapted[key] is state[key] for key in state)


# -- what cannot be -------------------------------------------------------------------------------

REFUSED = [
    ({"name": "resnet51"}, "no picture network 'resnet51'; there are resnet18, .* timm:"),
    ({"name": "timm:resnet5O"}, "no network 'resnet5O'; the nearest are .*resnet50"),
    (
        {"name": "timm:test_vit.no_such_tag"},
        "no network 'test_vit.no_such_tag'; the nearest are test_vit.r160_in1k;",
    ),
    ({"name": "timm:hf-hub:timm/resnet18"}, "timm has no network"),
    ({"consensus": "median"}, "consensus is one of average, .*, tsm-nl, got 'median'"),
    ({"modality": "flow"}, "modality is one of rgb, rgbdiff, got 'flow'"),
    ({"modality": "rgbdiff", "frames": 8}, "cannot take frames 8; it needs at least 6 frames in"),
    ({"consensus": "mtrn", "frames": 1}, "mtrn relates 2 frames or more"),
    ({"name": "timm:test_vit", "consensus": "tsm"}, "timm:test_vit has no place for a temporal"),
    ({"name": "timm:skresnet18", "consensus": "tsm"}, "no place .* resnet101, bninception and"),
    ({"name": "resnet101", "consensus": "tsm-nl"}, "resnet101 has no place .*; resnet50 has"),
    ({"name": "timm:test_vit", "size": 72}, "timm:test_vit cannot take height 72"),
    ({"name": "timm:inception_v4", "size": 64}, "inception_v4 cannot take pictures of 64x64"),
    ({"name": "resnet50", "consensus": "tsm-nl", "size": 16}, "cannot take height 16"),
    ({"name": "bninception", "size": 6}, "bninception cannot take height 6"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(options, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message) as error:
        build(**options)
    assert not re.search(r"\n", str(error.value))


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (torch.zeros(2, 3, 64, 64), "rank 5"),
        (torch.zeros(2, 1, 4, 64, 64), "3 colours"),
        (torch.zeros(2, 3, 7, 64, 64), "frames 7; it needs at least 6 frames in multiples of 6"),
    ],
)
def test_what_is_no_clip_is_refused(clip, message):
    with pytest.raises(ValueError, match=message):
        build(modality="rgbdiff", frames=6)(clip)
