"""SubBatchNorm is a BatchNorm of every group of clips, and keeps the whole batch's statistics."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from network import norm
from network.frame2d import frame2d
from network.norm import SubBatchNorm2d, SubBatchNorm3d

KINDS = {2: (nn.BatchNorm2d, SubBatchNorm2d), 3: (nn.BatchNorm3d, SubBatchNorm3d)}


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clips_of(batch, channels=5, dims=3, seed=0):
    """Clips that differ in level and contrast, so that their groups' statistics do too."""
    values = seeded(batch, channels, *((4, 3, 2)[:dims]), seed=seed)
    shape = (batch, 1) + (1,) * dims
    return values * (1 + torch.arange(batch).reshape(shape)) + seeded(*shape, seed=seed + 1)


def varied(layer):
    with torch.no_grad():
        layer.weight.copy_(1 + torch.arange(len(layer.weight)) / 7)
        layer.bias.copy_(torch.arange(len(layer.bias)) / 3)
    return layer


def gradients(layer, clips):
    """Output, and what flows back into clips, weight and bias."""
    clips = clips.clone().requires_grad_()
    layer.zero_grad()
    output = layer(clips)
    output.backward(seeded(*output.shape, seed=9))
    return output, clips.grad, layer.weight.grad, layer.bias.grad


def worst(one, other):
    """The largest difference, beside the largest value."""
    pairs = ((a.detach(), b.detach()) for a, b in zip(one, other, strict=True))
    return max(float((a - b).abs().max() / (1 + b.abs().max())) for a, b in pairs)


# -- SubBatchNorm ---------------------------------------------------------------------------------

# Clips in the batch, clips a group, and the groups' sizes.
GROUPS = [
    (8, 8, [8]), (8, 4, [4, 4]), (16, 8, [8, 8]), (12, 3, [3, 3, 3, 3]), (4, 8, [4]),
    (3, 1, [1, 1, 1]), (11, 8, [11]), (12, 8, [6, 6]), (13, 8, [7, 6]), (20, 8, [7, 7, 6]),
    (7, 2, [2, 2, 2, 1]), (5, 3, [3, 2]), (1, 8, [1]),
]  # fmt: skip


@pytest.mark.parametrize(("batch", "clips", "sizes"), GROUPS)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_group_is_a_batchnorm_of_its_own(batch, clips, sizes, dims):
    ordinary, sub = KINDS[dims]
    whole = clips_of(batch, dims=dims)
    ours = varied(sub(5, clips=clips))
    output, *flowing = gradients(ours, whole)
    parts = whole.split(sizes)
    shared = varied(ordinary(5))
    alone = [(copy.deepcopy(shared), part) for part in parts]
    grads = seeded(*whole.shape, seed=9).split(sizes)
    outputs, inputs = [], []
    for (layer, part), grad in zip(alone, grads, strict=True):
        part = part.clone().requires_grad_()
        outputs.append(layer(part))
        outputs[-1].backward(grad)
        inputs.append(part.grad)
    assert worst([output], [torch.cat(outputs)]) < 5e-7
    expected = (torch.cat(inputs), sum(layer.weight.grad for layer, _ in alone),
                sum(layer.bias.grad for layer, _ in alone))  # fmt: skip
    assert worst(flowing, expected) < 5e-7
    assert len(sizes) == 1 or worst([output], [shared(whole)]) > 1e-3


@pytest.mark.parametrize(("batch", "clips", "sizes"), GROUPS)
@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0, None])
@pytest.mark.parametrize("dims", [2, 3])
def test_running_statistics_are_those_of_the_whole_batch(batch, clips, sizes, momentum, dims):
    ordinary, sub = (kind(5, momentum=momentum) for kind in KINDS[dims])
    sub.clips = clips
    for seed in range(3):
        whole = clips_of(batch, dims=dims, seed=seed)
        ordinary(whole), sub(whole)
    assert worst([sub.running_mean, sub.running_var],
                 [ordinary.running_mean, ordinary.running_var]) < 2e-7  # fmt: skip
    assert sub.num_batches_tracked == ordinary.num_batches_tracked == 3


def test_one_group_is_batchnorm_to_the_bit():
    whole = clips_of(6)
    ours, theirs = varied(SubBatchNorm3d(5)), varied(nn.BatchNorm3d(5))
    pairs = zip(gradients(ours, whole), gradients(theirs, whole), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert torch.equal(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_frames_of_a_clip_stay_together(frames):
    """A frame network's rows are clips x frames; groups are still counted in clips."""
    clips = clips_of(6, dims=3).transpose(1, 2)[:, :frames]  # BTCHW
    folded = SubBatchNorm2d(5, clips=3)
    folded.rows_per_clip = frames
    output = folded(clips.flatten(0, 1))
    alone = [nn.BatchNorm2d(5)(half.flatten(0, 1)) for half in clips.split(3)]
    assert worst([output], [torch.cat(alone)]) < 5e-7


@pytest.mark.parametrize("frames", [2, 3])
def test_a_frame_network_tells_how_many_frames_a_clip_has(frames):
    torch.manual_seed(0)
    network = frame2d("resnet18", 3, frames=2, size=32)
    clips = seeded(3, 3, frames, 32, 32)
    alone = torch.cat([copy.deepcopy(network)(clip[None]) for clip in clips])
    norm.convert(network, "sub", clips=1)
    assert worst([network(clips)], [alone]) < 1e-5


def test_evaluation_is_batchnorms():
    ours, theirs = SubBatchNorm3d(5, clips=2), nn.BatchNorm3d(5)
    for seed in range(2):
        ours(clips_of(8, seed=seed))
    theirs.load_state_dict(ours.state_dict())
    ours.eval(), theirs.eval()
    ours.rows_per_clip = 3  # means nothing here
    assert torch.equal(ours(clips_of(8)), theirs(clips_of(8)))


OPTIONS = [
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
    {"bias": False},
    {"eps": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_options_are_batchnorms(options, training):
    ours = SubBatchNorm3d(5, clips=4, **options).train(training)
    theirs = nn.BatchNorm3d(5, **options).train(training)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    whole = clips_of(8)
    grouped = training or theirs.running_mean is None
    expected = torch.cat([theirs(part) for part in whole.split(4 if grouped else 8)])
    assert worst([ours(whole)], [expected]) < 5e-7


def test_statistics_may_be_kept_no_longer():
    """As with BatchNorm, a layer told later not to track leaves them alone and uses the batch's."""
    layer = SubBatchNorm3d(5, clips=4)
    layer.track_running_stats = False
    expected = torch.cat([nn.BatchNorm3d(5)(part) for part in clips_of(8).split(4)])
    assert worst([layer(clips_of(8))], [expected]) < 5e-7
    assert worst([layer.running_var], [torch.ones(5)]) == layer.num_batches_tracked == 0


PRECISIONS = [  # of the clips, and whether the layer is of the same
    (torch.bfloat16, False), (torch.bfloat16, True), (torch.float16, False), (torch.float16, True),
    (torch.float64, True),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "layer_too"), PRECISIONS)
def test_other_precisions_are_batchnorms(dtype, layer_too):
    kinds: Any = (SubBatchNorm3d(5, clips=4), nn.BatchNorm3d(5))
    ours, theirs = (kind.to(dtype) if layer_too else kind for kind in kinds)
    whole = seeded(8, 5, 4, 4, 4).to(dtype)
    output = ours(whole)
    expected = torch.cat([theirs(part) for part in whole.split(4)])
    assert output.dtype == expected.dtype == dtype
    assert torch.equal(output, expected)
    assert ours.running_var.dtype == theirs.running_var.dtype
    assert worst([ours.running_var], [torch.full_like(ours.running_var, 1)]) < 0.05


def test_half_precision_statistics_do_not_overflow():
    layer: Any = SubBatchNorm3d(1, clips=4, momentum=1.0).to(torch.float16)
    whole = 30 * seeded(8, 1, 4, 4, 4).to(torch.float16)
    layer(whole)
    assert abs(float(layer.running_var) / float(whole.float().var()) - 1) < 1e-3


def test_autocast_and_memory_layout():
    ours = SubBatchNorm3d(4, clips=2)
    clips = clips_of(8, channels=4).to(memory_format=torch.channels_last_3d)
    output = ours(clips)
    assert output.is_contiguous(memory_format=torch.channels_last_3d)
    assert worst([output], [SubBatchNorm3d(4, clips=2)(clips.contiguous())]) < 5e-7
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(clips.bfloat16()).dtype is torch.bfloat16


def test_on_meta_and_compiled():
    with torch.device("meta"):
        layer = SubBatchNorm3d(5, clips=2)
        assert layer(torch.randn(6, 5, 2, 2, 2)).shape == (6, 5, 2, 2, 2)
    for momentum in (0.1, None):
        ours = SubBatchNorm3d(5, clips=2, momentum=momentum)
        compiled = copy.deepcopy(ours)
        graph = torch.compile(compiled, backend="aot_eager", fullgraph=True)
        for _ in range(2):
            assert worst([graph(clips_of(7))], [ours(clips_of(7))]) < 5e-7
        assert worst([compiled.running_var], [ours.running_var]) < 5e-7
    torch.compiler.reset()


BAD = [
    ({"clips": 1}, 1, (3, 5, 1, 1, 1), "1 value.s. a channel in a group of 1 clip.s."),
    ({"clips": 8}, 1, (1, 5, 1, 1, 1), "use more clips a group, larger ones, or GroupNorm"),
    ({"clips": 8}, 1, (0, 5, 2, 2, 2), "0 value"),
    ({"clips": 8}, 4, (6, 5, 2, 2, 2), "6 rows, which are no whole clips of 4 rows"),
    ({"clips": 8}, 1, (6, 5, 2, 2), "expected 5D input"),
]


@pytest.mark.parametrize(("options", "rows", "shape", "message"), BAD)
def test_what_has_no_statistics_is_refused(options, rows, shape, message):
    layer = SubBatchNorm3d(5, **options)
    layer.rows_per_clip = rows
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=message):
        layer(torch.zeros(shape))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_bad_numbers_of_clips():
    with pytest.raises(ValueError, match="at least 1 clip, got clips=0"):
        SubBatchNorm3d(5, clips=0)
    with pytest.raises(ValueError, match="at least 1 clip, got clips=-1"):
        norm.convert(nn.BatchNorm3d(5), "sub", clips=-1)
