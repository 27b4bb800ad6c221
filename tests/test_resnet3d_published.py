"""The 3D residual networks against the published ones: counts, names of weights, and wiring."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from network.count import macs, parameters
from network.resnet3d import BLOCKS, Plan, plain_basic, plain_deep, srtg_basic, srtg_deep
from tests import resnets
from tests.resnets import FORMS, KINDS, clips, tiny

MAKERS = {
    (False, False): plain_basic,
    (False, True): plain_deep,
    (True, False): srtg_basic,
    (True, True): srtg_deep,
}
both_kinds = pytest.mark.parametrize("kind", KINDS)
pytestmark = pytest.mark.usefixtures("one_thread")


def named(name, **options):
    """As a table of networks would build it."""
    *_, kind, depth = name.split("_")
    make = MAKERS[name.startswith("srtg"), int(depth) >= 50]
    plan = Plan(name, kind, BLOCKS[int(depth)])
    return make(plan, 400, frames=16, size=224, **options)


@cache
def on_meta(name, **options):
    with torch.device("meta"):
        return named(name, **options)


# -- counts ---------------------------------------------------------------------------------------

# The published code's parameters at 400 classes, of which in LSTMs, and GMACs at 16 frames of
# 224x224 and of 264x264. Where no count is known (None) ours is kept.
COUNTS = {
    "r3d_18": (33_371_472, 0, None, None),
    "srtg_r3d_18": (44_543_312, 11_171_840, 25.321, 35.696),
    "r3d_34": (63_681_104, 0, 42.646, 60.425),
    "srtg_r3d_34": (83_861_072, 20_179_968, 42.677, 60.455),
    "r3d_50": (36_724_688, 0, 26.468, 37.443),
    "srtg_r3d_50": (56_904_656, 20_179_968, 26.499, 37.474),
    "r3d_101": (69_060_048, 0, 39.133, 56.118),
    "srtg_r3d_101": (107_135_440, 38_075_392, 39.199, 56.184),
    "r3d_152": (95_690_704, 0, None, None),
    "srtg_r3d_152": (148_507_600, 52_816_896, None, None),
    "r3d_200": (103_305_168, 0, None, None),
    "srtg_r3d_200": (160_349_136, 57_043_968, None, None),
    "r2plus1d_18": (31_505_325, 0, None, None),
    "srtg_r2plus1d_18": (42_677_165, 11_171_840, 22.955, 32.424),
    "r2plus1d_34": (61_831_661, 0, 40.280, 57.152),
    "srtg_r2plus1d_34": (82_011_629, 20_179_968, 40.311, 57.183),
    "r2plus1d_50": (34_863_287, 0, 24.830, 35.229),
    "srtg_r2plus1d_50": (55_043_255, 20_179_968, 24.861, 35.260),
    "r2plus1d_101": (67_218_231, 0, 37.496, 53.904),
    "srtg_r2plus1d_101": (105_293_623, 38_075_392, 37.562, 53.970),
    "r2plus1d_152": (93_866_167, 0, None, None),
    "srtg_r2plus1d_152": (146_683_063, 52_816_896, None, None),
    "r2plus1d_200": (101_489_847, 0, None, None),
    "srtg_r2plus1d_200": (158_533_815, 57_043_968, None, None),
}


def recurrent_parameters(network):
    return sum(parameters(m) for m in network.modules() if isinstance(m, nn.LSTM))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_the_published_ones_to_the_unit(name):
    total, recurrent, *_ = COUNTS[name]
    network = on_meta(name)
    assert (parameters(network), recurrent_parameters(network)) == (total, recurrent)
    # Two LSTM layers of c numbers have 16 c^2 weights and 16 c biases.
    blocks = BLOCKS[int(name.split("_")[-1])]
    stages = zip(blocks, (64, 128, 256, 512), strict=True)
    closed_form = sum(count * 16 * (c * c + c) for count, c in stages)
    assert recurrent == (closed_form if name.startswith("srtg") else 0)
    assert COUNTS[f"srtg_{name.removeprefix('srtg_')}"][0] - total == closed_form - recurrent


@pytest.mark.parametrize("name", [name for name, (*_, gmacs) in COUNTS.items() if gmacs])
def test_macs_are_the_published_ones(name):
    network = on_meta(name)
    for size, published in zip((224, 264), COUNTS[name][2:], strict=True):
        assert macs(network, 16, size) / 1e9 == pytest.approx(published, rel=1e-3)


@both_kinds
def test_macs_of_the_plain_18s_are_those_with_recursion_less_the_lstms(kind):
    frames = (8, 4, 2, 1)  # of 16, stage by stage
    lstms = sum(2 * t * 16 * c * c for t, c in zip(frames, (64, 128, 256, 512), strict=True))
    plain, whole = (macs(on_meta(f"{prefix}{kind}_18"), 16, 224) for prefix in ("", "srtg_"))
    assert whole - plain == lstms


STANDARD = {
    "r3d_50": 46_980_944,
    "srtg_r3d_50": 369_135_440,
    "r2plus1d_50": 53_949_691,
    "srtg_r2plus1d_101": 707_559_171,
}


@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_bottleneck_is_four_times_as_wide(name):
    network = on_meta(name, bottleneck="standard")
    assert parameters(network) == STANDARD[name]
    assert network.width == 4 * on_meta(name).width == 2048


# -- the published files --------------------------------------------------------------------------


def published(kind, blocks, is_deep, has_recursion, wider=False):
    """Names in a published file, without the classifier's."""

    def norm(name):
        kept = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.{what}" for what in kept]

    def pair(name, at=0):
        return [f"{name}.{at}.weight", *norm(f"{name}.{at + 1}")]

    def convolution(name):
        if kind == "r3d":
            return [f"{name}.0.weight"]
        return [*pair(name), f"{name}.3.weight"]

    def block(name, has_shortcut):
        if is_deep:
            yield from pair(f"{name}.conv1")
            yield from [*convolution(f"{name}.conv2.0"), *norm(f"{name}.conv2.1")]
            yield from pair(f"{name}.conv3")
        else:
            yield from [*convolution(f"{name}.conv1.0"), *norm(f"{name}.conv1.1")]
            yield from [*convolution(f"{name}.conv2.0"), *norm(f"{name}.conv2.1")]
        if has_shortcut:
            yield from pair(f"{name}.downsample")
        if has_recursion:
            for layer in (0, 1):
                for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    yield f"{name}.sar.lstm.{what}_l{layer}"

    names = pair("stem") + (pair("stem", 3) if kind == "r2plus1d" else [])
    for stage, count in enumerate(blocks, 1):
        for number in range(count):
            has_shortcut = number == 0 and (stage > 1 or wider)
            names += block(f"layer{stage}.{number}", has_shortcut)
    return names


@pytest.mark.parametrize("name", COUNTS)
def test_weights_are_named_as_in_the_published_files(name):
    *prefix, kind, depth = name.split("_")
    expected = published(kind, BLOCKS[int(depth)], int(depth) >= 50, prefix == ["srtg"])
    network = on_meta(name)
    assert sorted(network.backbone.state_dict()) == sorted(expected)
    heads = sorted(set(network.state_dict()) - {f"backbone.{name}" for name in expected})
    assert heads == ["heads.to_label.bias", "heads.to_label.weight"]
    assert network.published_heads == (("fc", ""),)


def test_gates_and_the_standard_bottleneck_are_named_alike():
    network = on_meta("srtg_r2plus1d_50", bottleneck="standard", gates=True)
    expected = published("r2plus1d", BLOCKS[50], True, True, wider=True)
    assert sorted(network.backbone.state_dict()) == sorted(expected)


SHAPES_OF_WEIGHTS: dict[str, dict[str, tuple[int, ...]]] = {
    "srtg_r3d_34": {
        "stem.0.weight": (64, 3, 3, 7, 7),
        "layer2.0.conv1.0.0.weight": (128, 64, 3, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1, 1),
        "layer4.2.sar.lstm.weight_hh_l1": (2048, 512),
    },
    "srtg_r2plus1d_34": {
        "stem.0.weight": (45, 3, 1, 7, 7),
        "stem.3.weight": (64, 45, 3, 1, 1),
        "layer2.0.conv1.0.0.weight": (230, 64, 1, 3, 3),
        "layer2.0.conv2.0.0.weight": (230, 128, 1, 3, 3),
        "layer2.1.conv1.0.3.weight": (128, 288, 3, 1, 1),
    },
    "srtg_r2plus1d_50": {
        "layer2.0.conv1.0.weight": (128, 64, 1, 1, 1),
        "layer2.0.conv2.0.0.weight": (230, 128, 1, 3, 3),
        "layer2.0.conv3.0.weight": (128, 128, 1, 1, 1),
    },
}


@pytest.mark.parametrize("name", SHAPES_OF_WEIGHTS)
def test_weights_have_the_published_shapes(name):
    state = on_meta(name).backbone.state_dict()
    expected = SHAPES_OF_WEIGHTS[name]
    assert {key: tuple(state[key].shape) for key in expected} == expected


def reference(state, clip, kind):
    """The same network by its published names alone."""

    def norm(x, name):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{what}"] for what in names))

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        padding = tuple(side // 2 for side in weight.shape[2:])
        return F.conv3d(x, weight, stride=stride, padding=padding)

    def over_space_and_time(x, name, stride):
        if kind == "r3d":
            return conv(x, f"{name}.0", stride)
        x = norm(conv(x, f"{name}.0", (1, stride, stride)), f"{name}.1").relu()
        return conv(x, f"{name}.3", (stride, 1, 1))

    def block(x, name, stride):
        if f"{name}.conv3.0.weight" in state:
            y = norm(conv(x, f"{name}.conv1.0"), f"{name}.conv1.1").relu()
            y = norm(over_space_and_time(y, f"{name}.conv2.0", stride), f"{name}.conv2.1").relu()
            y = norm(conv(y, f"{name}.conv3.0"), f"{name}.conv3.1")
        else:
            y = norm(over_space_and_time(x, f"{name}.conv1.0", stride), f"{name}.conv1.1").relu()
            y = norm(over_space_and_time(y, f"{name}.conv2.0", 1), f"{name}.conv2.1")
        if f"{name}.downsample.0.weight" in state:
            x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        y = (x + y).relu()
        own = f"{name}.sar.lstm."
        weights = {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
        if weights:
            lstm = nn.LSTM(y.shape[1], y.shape[1], 2)
            lstm.load_state_dict(weights)
            said, _ = lstm(y.mean((3, 4)).permute(2, 0, 1))
            y = torch.einsum("bcthw,tbc->bcthw", y, said)
        return y

    x = norm(conv(clip, "stem.0", (1, 2, 2)), "stem.1").relu()
    if kind == "r2plus1d":
        x = norm(conv(x, "stem.3"), "stem.4").relu()
    x = F.max_pool3d(x, 3, 2, 1)
    for stage, count in enumerate(resnets.BLOCKS, 1):
        for number in range(count):
            x = block(x, f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1)
    return x.flatten(2).mean(2)


UNGATED = [form for form in FORMS if form != "srtg_gated"]


@both_kinds
@pytest.mark.parametrize("form", UNGATED)
def test_a_published_file_means_the_same_network(form, kind):
    """Loaded by its names, strictly, it gives the features that they stand for."""
    network = tiny(FORMS[form], kind).eval()
    theirs = tiny(FORMS[form], kind)
    is_deep, wider = "basic" not in form, "standard" in form
    names = published(kind, resnets.BLOCKS, is_deep, "srtg" in form, wider)
    made = {name: theirs.backbone.state_dict()[name] for name in names}
    for value in made.values():  # as if trained: no norm is the identity, no block is small
        if value.is_floating_point() and value.ndim < 3:
            value.uniform_(0.5, 1.5)
    network.backbone.load_state_dict(made, strict=True)
    shown = clips(2, 32, 64, 64)  # 2x2x2 in the last stage, so that pooling has what to pool
    with torch.no_grad():
        features, expected = network.features(shown), reference(made, shown, kind)
    assert expected.max() > 0.1
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4 * expected.max().item())


def test_weights_start_as_the_published_ones_did():
    network = named("srtg_r2plus1d_18")
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            fan_out = module.weight[:, 0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
        if isinstance(module, nn.BatchNorm3d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    head = network.heads.of("label")
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert (head.bias == 0).all()
