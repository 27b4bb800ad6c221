"""The SRTG block: what it multiplies, when its gates open, and what it tells of them."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from network.heads import Heads
from network.model import Backbone, Takes
from network.srtg import SqueezeAndRecursion, SrtgNetwork, correspond
from tests.resnets import Backwards, Echo

FRAMES, WIDTH = 8, 16
pytestmark = pytest.mark.usefixtures("one_thread")


def block(recursion=nn.LSTM, gates=True):
    torch.manual_seed(0)
    made = SqueezeAndRecursion(WIDTH, gates)
    if recursion is not nn.LSTM:
        made.lstm = recursion(WIDTH, WIDTH)
    return made


def layer(clips=2, frames=FRAMES):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(clips, WIDTH, frames, 3, 4, generator=generator)


def reads_through(lstm):
    """A real LSTM without memory that passes small numbers on nearly as they are."""
    wide_open, shut = 20, -20  # biases of the input, forget, cell and output gates
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.zero_()
        for number in (0, 1):
            bias = getattr(lstm, f"bias_ih_l{number}").view(4, WIDTH)
            bias[0], bias[1], bias[3] = wide_open, shut, wide_open
            weight = getattr(lstm, f"weight_ih_l{number}").view(4, WIDTH, WIDTH)
            weight[2] = torch.eye(WIDTH)


# -- which sequences correspond -------------------------------------------------------------------

GENERATOR = torch.Generator().manual_seed(2)


def rough(frames, width):
    return torch.rand(3, frames, width, generator=GENERATOR)


def walk(frames, width):
    return torch.randn(3, frames, width, generator=GENERATOR).cumsum(1)


def smooth(frames, width):
    """A straight line from one point to another: the ends are averaged inwards most easily."""
    there, here = torch.rand(2, 3, 1, width, generator=GENERATOR)
    return here + torch.linspace(0, 1, frames)[None, :, None] * there


def slow_then_far(frames, width):
    """All frames but the last close together: no share of the mean distance tells them apart."""
    return torch.cat([5 + 1e-3 * walk(frames, width)[:, :-1], 500 + rough(1, width)], 1)


def circle(frames, width):
    """Closed: each frame is as near to the one before as to the next."""
    angle = 2 * math.pi * torch.arange(frames) / frames
    plane = torch.randn(3, 2, width, generator=GENERATOR)
    return 3 + torch.stack([angle.cos(), angle.sin()], 1) @ plane


def ordered(frames):
    return torch.arange(frames)


def permuted(frames):
    """Any order but the right one."""
    order = ordered(frames)
    while torch.equal(order, ordered(frames)):
        order = torch.randperm(frames, generator=GENERATOR)
    return order


ORDERS = {
    "itself": (ordered, True),
    "reversed": (lambda frames: ordered(frames).flip(0), False),
    "a frame late": (lambda frames: ordered(frames).roll(1), False),
    "held": (lambda frames: (ordered(frames) - 1).clamp_min(0), False),
    "two exchanged": (lambda frames: ordered(frames)[[1, 0, *range(2, frames)]], False),
    "permuted": (permuted, False),
    "static": (lambda frames: torch.zeros(frames, dtype=torch.int64), False),
}
SHAPES = [(2, 512), (3, 8), (16, 64), (64, 8), (64, 512)]


@pytest.mark.parametrize(("frames", "width"), SHAPES)
@pytest.mark.parametrize("kind", [rough, walk, smooth, slow_then_far, circle])
@pytest.mark.parametrize("order", ORDERS)
def test_a_sequence_corresponds_to_itself_only_in_order(kind, order, frames, width):
    arranged, expected = ORDERS[order]
    sequence = kind(frames, width)
    other = sequence[:, arranged(frames)]
    assert correspond(sequence, other).tolist() == [expected] * 3
    assert correspond(other, sequence).tolist() == [expected] * 3


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-3, 1e3, 1e18, 1e30])
@pytest.mark.parametrize("kind", [rough, walk, smooth, slow_then_far, circle])
def test_the_scale_of_features_means_nothing(kind, scale):
    sequence = scale * kind(16, 8)
    assert correspond(sequence, sequence).all()
    assert not correspond(sequence, sequence.roll(1, 1)).any()


def line(*places):
    return torch.tensor(places, dtype=torch.float32).reshape(1, len(places), -1)


PAIRS = {
    "near enough": (line(0, 5, 9), line(0.3, 4.8, 9.4), True),
    "one way only": (line(11, 0, 8), line(11, 0, 1), False),
    "both static": (line(2, 2, 2), line(2, 2, 2), False),
    "two equal frames": (line(1, 2, 2, 3), line(1, 2, 2, 3), False),
    "all zero": (line(0, 0), line(0, 0), False),
    "against zero": (line(1, 2), line(0, 0), False),
    "one frame": (line(1), line(7), True),
    "of other size and place": (line(0, 1, 2) / 10, 50 + 100 * line(0, 1, 2), True),
    "bent": (line(0, 1, 2, 9), line(0, 1, 2, 9).tanh(), False),
    "bent a little": (line(0, 0.2, 0.9), line(0, 0.2, 0.9).tanh(), True),
    # The nearest frame of each is the right one, both ways. But the first is as good as equally
    # far from all three: their average is nearest to the second.
    "no clear neighbour": (
        line((-0.001, -2.4), (0.5, 2.2), (3, 0)),
        line((-1, 0), (0, 0.2), (1, 0)),
        False,
    ),
    "not a number": (line(1, math.nan), line(1, math.nan), False),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_which_sequences_correspond(pair):
    one, other, expected = PAIRS[pair]
    assert correspond(one, other).tolist() == [expected]
    assert correspond(other, one).tolist() == [expected]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_blur_neighbours(dtype):
    sequence = smooth(64, 8)
    with torch.autocast("cpu", dtype=dtype):
        assert correspond(sequence, sequence).all()


def test_autocast_changes_no_decision():
    """Not even of sequences that correspond just so, or just not."""
    ones = torch.randn(100_000, 3, 2, generator=GENERATOR)
    others = ones + 0.5 * torch.randn(ones.shape, generator=GENERATOR)
    decided = correspond(ones, others)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(correspond(ones, others), decided)
    assert 0.2 < decided.float().mean() < 0.8


# -- what the block does --------------------------------------------------------------------------


def test_every_frame_is_multiplied_by_what_two_lstm_layers_say_of_it():
    made, clip = block(gates=False), layer()
    plain = nn.LSTM(WIDTH, WIDTH, num_layers=2)  # frames first, as the paper's
    plain.load_state_dict(made.lstm.state_dict())
    said, _ = plain(clip.flatten(3).mean(3).permute(2, 0, 1))
    expected = torch.einsum("bcthw,tbc->bcthw", clip, said)
    torch.testing.assert_close(made(clip), expected)
    assert sum(p.numel() for p in made.parameters()) == 16 * WIDTH**2 + 16 * WIDTH


def test_an_open_gate_fuses():
    clip = layer()
    squeezed = clip.mean((3, 4), keepdim=True)
    assert torch.equal(block(Echo)(clip), clip * squeezed)


def test_a_closed_gate_is_the_identity_bit_for_bit():
    clip = layer() * 10.0 ** torch.randint(-30, 30, (1, WIDTH, 1, 1, 1))
    assert torch.equal(block(Backwards)(clip).view(torch.int32), clip.view(torch.int32))


def test_a_batch_is_mixed():
    """Each clip for itself: a static one is closed between two that are open."""
    clips = layer(3)
    clips[1] = clips[1, :, :1]
    made = block(Echo)
    fused = made(clips)
    for number, is_open in enumerate((True, False, True)):
        clip = clips[number]
        expected = clip * clip.mean((2, 3), keepdim=True) if is_open else clip
        assert torch.equal(fused[number], expected)
        alone = made(clips[number : number + 1])
        assert torch.equal(alone[0], fused[number])
    assert (int(made.gates_open), int(made.gates_seen)) == (4, 6)


def test_one_frame_is_always_fused():
    clip = layer(frames=1)
    assert torch.equal(block(gates=True)(clip), block(gates=False)(clip))


@pytest.mark.parametrize("gates", [False, True])
def test_a_gradient_reaches_a_real_lstm_that_fuses(gates):
    made, clip = block(gates=gates), 0.05 * layer()
    reads_through(made.lstm)
    clip.requires_grad_()
    made(clip).square().sum().backward()
    assert int(made.gates_open) == (2 if gates else 0)
    assert clip.grad.count_nonzero() == clip.numel()
    for name, parameter in made.named_parameters():
        assert parameter.grad.count_nonzero(), name


def test_a_closed_gate_gives_the_lstm_a_gradient_of_zero():
    """And not none: ranks that wait for every parameter's gradient get it."""
    made, clip = block(), layer().requires_grad_()
    weights = torch.rand(clip.shape)
    (made(clip) * weights).sum().backward()
    assert int(made.gates_open) == 0
    assert torch.equal(clip.grad, weights)
    for parameter in made.parameters():
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


def test_the_gradient_is_the_derivative():
    made = block(gates=False).double()
    clip = layer(clips=1, frames=3)[..., :2, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(made, clip)


def bfloat16_neighbours():
    """Frames whose means are too close for bfloat16, of pixels that are not."""
    clip = torch.ones(2, WIDTH, FRAMES, 4, 4)
    for frame in range(FRAMES):
        clip[:, :, frame].flatten(2)[..., :frame] += 2**-7
    assert torch.equal(clip.bfloat16(), clip)
    assert clip.mean((3, 4)).bfloat16().unique().numel() < FRAMES
    return clip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_precision_of_a_layer_and_the_sight_of_the_gates(dtype):
    made, clip = block(Echo), bfloat16_neighbours().to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        fused, recalled = made(clip), block()(clip)
    assert (fused.dtype, recalled.dtype) == (dtype, dtype)
    assert int(made.gates_open) == 2


def test_a_whole_block_in_half_precision_runs():
    assert block(gates=True).bfloat16()(layer().bfloat16()).dtype == torch.bfloat16


# -- what a network tells of its gates ------------------------------------------------------------


def network(*recursions, gates=True):
    blocks = nn.Sequential(*(block(recursion, gates) for recursion in recursions))
    backbone = Backbone(blocks, WIDTH, Takes(), stages=())
    made = SrtgNetwork("blocks", backbone, 2)
    made.heads = Heads(WIDTH, 2)
    return made


def test_the_share_of_open_gates_is_told_once():
    made = network(Echo, Backwards, Echo, Echo)
    made.backbone(layer(3))
    assert made.statistics() == {"open_gates": 0.75}
    assert made.statistics() == {}
    made.backbone(layer(3)[:, :, :1])
    made.backbone(layer(1))
    assert made.statistics() == {"open_gates": 0.75}  # a single frame's are open, and tell nothing


def test_without_gates_there_is_nothing_to_tell():
    made = network(nn.LSTM, Echo, gates=False)
    made.backbone(layer())
    assert made.statistics() == {}


def test_counts_move_and_copy_with_the_network_but_are_no_part_of_a_checkpoint():
    made = network(Echo, Backwards)
    made.backbone(layer())
    assert not [name for name in made.state_dict() if "gates" in name]
    assert len([name for name, _ in made.named_buffers() if "gates" in name]) == 4
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert copied.statistics() == {"open_gates": 0.5}
    assert made.statistics() == {"open_gates": 0.5}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gates_are_counted_in_evaluation_too(mode):
    made = network(Echo).eval()
    with mode():
        made.backbone(layer())
    assert made.statistics() == {"open_gates": 1.0}


def test_counting_changes_no_result():
    made = network(Echo, nn.LSTM, Backwards)
    assert torch.equal(made.backbone(layer()), made.backbone(layer()))
