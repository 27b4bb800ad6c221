"""What sees more than one frame: the shift, non-local blocks, relations, consensus, differences."""

from itertools import combinations
from math import comb

import pytest
import torch
from torch import nn

from network.consensus import Average, Maximum, Relation, evenly, frame_set, frame_sets
from network.difference import rgb_to_difference, stacks_of
from network.non_local import NonLocal
from network.temporal_shift import ShiftedConv2d, TemporalShift, shifted

pytestmark = pytest.mark.usefixtures("one_thread")


# -- the shift ------------------------------------------------------------------------------------

# Sixteen channels: two from the next frame, two from the one before, the rest its own. By row of
# the batch: which row the channels 0-1, 2-3 and 4-15 come from; None is zeros.
SHIFTS = [
    (1, 1, [(None, None, 0)]),
    (1, 3, [(1, None, 0), (2, 0, 1), (None, 1, 2)]),
    (2, 2, [(1, None, 0), (None, 0, 1), (3, None, 2), (None, 2, 3)]),
    (2, 1, [(None, None, 0), (None, None, 1)]),
]


@pytest.mark.parametrize(("clips", "frames", "table"), SHIFTS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_shift_is_the_table(clips, frames, table, layout):
    rows = torch.rand(clips * frames, 16, 3, 5).contiguous(memory_format=layout)
    made = shifted(rows, frames)
    zeros = torch.zeros(16, 3, 5)
    for row, sources in enumerate(table):
        after, before, own = (zeros if source is None else rows[source] for source in sources)
        assert torch.equal(made[row, :2], after[:2])
        assert torch.equal(made[row, 2:4], before[2:4])
        assert torch.equal(made[row, 4:], own[4:])
    assert made.is_contiguous(memory_format=layout)


def test_the_shift_hands_gradients_back_to_where_values_came_from():
    rows = torch.rand(3, 8, 1, 1, requires_grad=True)
    shifted(rows, 3)[1].sum().backward()
    assert rows.grad is not None
    assert rows.grad.flatten(1).tolist() == [
        [0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0]]  # fmt: skip


def test_a_convolution_that_shifts_has_the_same_weights_and_settings():
    plain = nn.Conv2d(8, 4, 3, stride=2, padding=1, bias=False)
    conv = ShiftedConv2d.of(plain)
    conv.rows_per_clip = 2
    rows = torch.rand(4, 8, 6, 6)
    assert conv.weight is plain.weight
    assert torch.equal(conv(rows), plain(shifted(rows, 2)))
    assert [*conv.state_dict()] == [*plain.state_dict()]


def test_the_layer_is_the_function():
    layer, rows = TemporalShift(), torch.rand(6, 8, 2, 2)
    layer.rows_per_clip = 3
    assert torch.equal(layer(rows), shifted(rows, 3))


# -- non-local blocks -----------------------------------------------------------------------------


def by_hand(block, clip):
    """Of one clip, `T x C x H x W`, place by place."""

    def conv(layer, frame):
        return (
            torch.einsum("oc,chw->ohw", layer.weight[:, :, 0, 0], frame) + layer.bias[:, None, None]
        )

    def pooled(frame):
        return frame.unfold(1, 2, 2).unfold(2, 2, 2).amax((3, 4))

    keys = torch.cat([pooled(conv(block.phi[0], one)).flatten(1) for one in clip], 1)
    values = torch.cat([pooled(conv(block.g[0], one)).flatten(1) for one in clip], 1)
    made = []
    for frame in clip:
        asked = conv(block.theta, frame)
        seen = torch.zeros_like(asked)
        for y in range(frame.shape[1]):
            for x in range(frame.shape[2]):
                seen[:, y, x] = values @ torch.softmax(keys.T @ asked[:, y, x], 0)
        made.append(conv(block.W[0], seen))
    norm = block.W[1]
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return clip + torch.stack(made) * scale[:, None, None] + norm.bias[:, None, None]


def test_a_non_local_block_looks_at_every_place_of_its_own_clip():
    torch.manual_seed(0)
    block = NonLocal(6).eval()
    for parameter in block.W[1].parameters():
        nn.init.uniform_(parameter)
    block.rows_per_clip = 3
    rows = torch.randn(6, 6, 4, 5)
    with torch.no_grad():
        made = block(rows)
        expected = torch.cat([by_hand(block, clip) for clip in rows.split(3)])
    assert torch.allclose(made, expected, atol=1e-5)


def test_a_non_local_block_changes_nothing_at_the_start():
    block, rows = NonLocal(4), torch.randn(4, 4, 4, 4)
    block.rows_per_clip = 2
    assert torch.equal(block(rows), rows)


def test_non_local_keys_are_the_published_ones():
    keys = [*NonLocal(4).state_dict()]
    layers = ("g.0", "theta", "phi.0", "W.0", "W.1")
    assert keys[:10] == [f"{layer}.{one}" for layer in layers for one in ("weight", "bias")]


# -- relations ------------------------------------------------------------------------------------

PICKS = [
    (1, 1, [0]),
    (4, 4, [0, 1, 2, 3]),
    (8, 4, [1, 3, 5, 7]),
    (2, 4, [0, 0, 1, 1]),
    (1, 3, [0, 0, 0]),
    (5, 3, [0, 2, 4]),
]


@pytest.mark.parametrize(("count", "wanted", "expected"), PICKS)
def test_frames_are_picked_at_even_distances(count, wanted, expected):
    assert evenly(count, wanted) == expected


@pytest.mark.parametrize(("frames", "size"), [(1, 1), (4, 2), (8, 3), (8, 7), (7, 7)])
def test_sets_are_numbered_as_itertools_does(frames, size):
    ranks = range(comb(frames, size))
    assert [frame_set(frames, size, rank) for rank in ranks] == [*combinations(range(frames), size)]


SETS = [
    (8, 8, ((0, 1, 2, 3, 4, 5, 6, 7),)),
    (8, 2, ((0, 5), (2, 4), (4, 6))),
    (3, 2, ((0, 1), (0, 2), (1, 2))),
    (2, 2, ((0, 1),)),
]


@pytest.mark.parametrize(("frames", "size", "expected"), SETS)
def test_at_most_three_sets_evenly_spread(frames, size, expected):
    assert frame_sets(frames, size) == expected


def test_sets_of_many_frames_are_found_without_listing_them():
    assert all(len(set(one)) == 32 and list(one) == sorted(one) for one in frame_sets(64, 32))


def test_a_single_relation_is_that_of_all_frames_in_their_order():
    torch.manual_seed(0)
    relation = Relation(10, 3, dropout=0.0, multiple=False)
    features = torch.randn(2, 3, 10)
    given = relation.project(features).relu().flatten(1)
    assert torch.equal(relation.gather(features), relation.relations[0](given).relu())
    assert relation.width == 512


def test_relations_of_several_scales_lie_side_by_side_the_largest_first():
    torch.manual_seed(0)
    relation = Relation(10, 3, dropout=0.0, multiple=True)
    given = relation.project(features := torch.randn(2, 3, 10)).relu()
    three = relation.relations[0](given.flatten(1)).relu()
    two = sum(
        relation.relations[1](given[:, pair].flatten(1)).relu() for pair in ([0, 1], [0, 2], [1, 2])
    )
    made = relation.gather(features)
    assert torch.allclose(made, torch.cat((three, two), 1), atol=1e-6)
    assert made.shape[1] == relation.width == 2 * 256


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 9])
def test_relations_take_any_number_of_frames(frames):
    relation = Relation(4, 3, dropout=0.0, multiple=True)
    clip = torch.rand(2, frames, 1, 2, 2)
    looked_at = relation.select(clip)
    assert looked_at.shape[1] == min(frames, 3)
    if frames == 9:
        assert torch.equal(looked_at, clip[:, [1, 4, 7]])
    assert relation.gather(torch.rand(2, looked_at.shape[1], 4)).shape == (2, 512)


def test_published_dropout_falls_on_the_frames_features():
    relation = Relation(4, 2, dropout=1.0, multiple=False)
    ones, zeros = torch.ones(1, 2, 4), torch.zeros(1, 2, 4)
    assert torch.equal(relation.gather(ones), relation.gather(zeros))
    assert not torch.equal(relation.eval().gather(ones), relation.gather(zeros))


def test_several_scales_need_two_frames():
    with pytest.raises(ValueError, match="2 frames or more, got 1; take trn"):
        Relation(4, 1, dropout=0.0, multiple=True)


@pytest.mark.parametrize(
    ("consensus", "expected"), [(Average(), [[2.0, 1.0]]), (Maximum(), [[3.0, 4.0]])]
)
def test_frames_agree(consensus, expected):
    logits = torch.tensor([[[1.0, 4.0], [3.0, -2.0]]])
    assert consensus.agree(logits).tolist() == expected


# -- differences ----------------------------------------------------------------------------------


def test_differences_are_taken_within_groups_and_colours_lie_side_by_side():
    # Red counts frames squared, green is ten times it, blue stands still.
    frames = torch.arange(6.0).square()
    clip = torch.stack((frames, 10 * frames, torch.full((6,), 7.0)))[None, :, :, None, None]
    assert stacks_of(clip, 2).flatten(2).tolist() == [
        [[1, 10, 0, 3, 30, 0], [7, 70, 0, 9, 90, 0]]  # 4 - 9 is between the groups
    ]


def test_a_clip_that_stands_still_is_zeros():
    clip = torch.rand(2, 3, 1, 4, 4).expand(-1, -1, 12, -1, -1)
    assert stacks_of(clip, 5).shape == (2, 2, 15, 4, 4)
    assert not stacks_of(clip, 5).any()


def test_kernels_for_differences_are_the_mean_of_the_colours():
    kernel = torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1)
    assert rgb_to_difference(kernel, 2).flatten().tolist() == [3.0] * 6
