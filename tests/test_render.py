"""The CPU executor: where every pixel comes from, and that all frames are treated alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.display import Size
from data.plan import KEEP, Blur, Box, Erased, HueShift, Matrix, Noise, Plan, perspective, rotation
from data.render import black_out, pixels, render
from tests.scenes import chart, chequered, clip, flat, meant_places, read_chart, scene

NEARER = perspective(((0.05, 0.1), (0.93, 0.02), (0.98, 0.9), (0.07, 0.95)))
FLOOR = ((0.6, 0.1, 0.2), (0.0, 1.0, 0.1), (0.0, 0.25, 1.0))  # only what is lower is nearer
PART = (0.2, 0.31, 0.77, 0.83)


def rendered(frames: np.ndarray, plan: Plan, side: int) -> np.ndarray:
    out = np.full((len(frames), side, side, 3), 77, np.uint8)
    render(frames, plan, out)
    return out


# -- where each pixel comes from -------------------------------------------------------------------


STRAIGHT: dict[str, tuple[Plan, Size, int]] = {
    "as it is": (Plan(), (60, 60), 60),
    "enlarged": (Plan(), (60, 40), 112),
    "a part": (Plan(PART), (110, 84), 44),
    "a part at the ends": (Plan((0.6, 0.5, 1.0, 1.0)), (110, 84), 44),
    "flipped": (Plan(flip=True), (100, 80), 80),
    "a part, flipped": (Plan(PART, flip=True), (110, 84), 44),
    "shrunk": (Plan(), (110, 84), 22),
    "shrunk across only": (Plan(), (110, 30), 30),
    "shrunk a lot, flipped": (Plan(flip=True), (110, 110), 7),
    "odd": (Plan(PART), (97, 61), 35),
}
BENT: dict[str, tuple[Plan, Size, int]] = {
    "turned": (Plan(bend=rotation(10)), (110, 84), 64),
    "turned far": (Plan(bend=rotation(40)), (110, 84), 64),
    "turned back, flipped": (Plan(bend=rotation(-10), flip=True), (110, 84), 44),
    "turned, as large": (Plan(bend=rotation(7)), (80, 80), 80),
    "turned, enlarged": (Plan(bend=rotation(7)), (40, 30), 90),
    "turned, shrunk": (Plan(bend=rotation(-8)), (116, 84), 22),
    "a part, turned": (Plan(PART, rotation(9)), (110, 84), 32),
    "a perspective": (Plan(bend=NEARER), (110, 84), 44),
    "a perspective, flipped, shrunk": (Plan(bend=NEARER, flip=True), (112, 90), 24),
    "a part, a perspective, flipped": (Plan(PART, NEARER, True), (110, 84), 32),
    "a floor": (Plan(bend=FLOOR), (110, 84), 44),
    "a corner, turned": (Plan((0.7, 0.6, 1, 1), rotation(10)), (110, 84), 30),
    "a tall part, turned": (Plan((0.4, 0.1, 0.6, 0.9), rotation(10)), (84, 110), 26),
    "odd": (Plan(PART, rotation(5), True), (97, 61), 35),
}
PLACES = {
    **{f"straight: {case}": given for case, given in STRAIGHT.items()},
    **{f"bent: {case}": given for case, given in BENT.items()},
}


@pytest.mark.parametrize("case", PLACES)
def test_every_pixel_comes_from_its_place(case: str):
    """The picture is a chart of itself: what is seen says where it was."""
    plan, size, side = PLACES[case]
    found, whole = read_chart(rendered(chart(size), plan, side)[0], size)
    meant = meant_places(plan, size, side)
    inside = np.logical_and(meant >= 0.5, meant <= np.array(size) - 1.5).all(axis=-1)
    away = np.abs(found - meant)
    # Straight boxes are cut at whole pixels of the picture, or of the square if it has fewer.
    scale = np.abs(meant[-1, -1] - meant[0, 0]) / (side - 1)
    tolerance = 0.4 if plan.bend is not None else np.maximum(1, scale)
    assert (away <= tolerance)[inside & whole].all()
    assert (inside & whole).mean() > 0.6
    ends = np.array([plan.box[axis + 2] * size[axis] - 2 for axis in (0, 1)])
    assert (inside & ~whole & (meant < ends).all(axis=-1)).mean() < 0.05


@pytest.mark.parametrize("case", PLACES)
def test_on_average_nothing_is_moved(case: str):
    """Rounding goes both ways; half a pixel lost somewhere would show."""
    plan, size, side = PLACES[case]
    found, whole = read_chart(rendered(chart(size), plan, side)[0], size)
    meant = meant_places(plan, size, side)
    inside = whole & np.logical_and(meant >= 1, meant <= np.array(size) - 2).all(axis=-1)
    away = (found - meant)[inside].mean(axis=0)
    assert np.abs(away).max() < (0.1 if plan.bend is not None else 0.2)


@pytest.mark.parametrize("case", BENT)
def test_beyond_the_picture_is_black(case: str):
    plan, size, side = BENT[case]
    picture = rendered(flat(size, (200, 100, 50)), plan, side)[0]
    meant = meant_places(plan, size, side)
    step = np.abs(meant[-1, -1] - meant[0, 0]).max() / (side - 1) + 1
    beyond = ((meant < -step) | (meant > np.array(size) - 1 + step)).any(axis=-1)
    inside = ((meant > step) & (meant < np.array(size) - 1 - step)).all(axis=-1)
    assert not picture[beyond].any()
    assert (picture[inside] == (200, 100, 50)).all()
    if "far" in case:
        assert beyond.mean() > 0.1


def test_clockwise():
    """A bright block at the middle of the upper edge goes to the right."""
    frames = flat((90, 90), (0, 0, 0))
    frames[:, 2:12, 40:50] = 255
    x = np.arange(90) @ rendered(frames, Plan(bend=rotation(30)), 90)[0, :, :, 0].astype(float).T
    assert x.sum() / rendered(frames, Plan(bend=rotation(30)), 90)[0, :, :, 0].sum() > 60
    flipped = rendered(frames, Plan(bend=rotation(30), flip=True), 90)
    assert (np.abs(flipped[:, :, ::-1].astype(int) - rendered(frames, Plan(bend=rotation(30)), 90))
            <= 8).all()  # fmt: skip


SAME: dict[str, tuple[int, int]] = {
    "as large": (112, 112), "shrunk a little": (168, 112), "averaged": (224, 112),
    "three to one": (336, 112), "enlarged": (56, 112),
}  # fmt: skip


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("case", SAME)
def test_a_bend_of_nothing_is_no_bend(case: str, flip: bool):
    """Both ways mean the same places: within a level, but for the edge's blending with black."""
    length, side = SAME[case]
    frames = clip((length, length), 2)
    straight = rendered(frames, Plan(flip=flip), side)
    bent = rendered(frames, Plan(bend=rotation(0), flip=flip), side)
    edge = 2 if length < side else 0
    cut = slice(edge, side - edge)
    away = np.abs(straight.astype(int) - bent)[:, cut, cut]
    assert away.max() <= (0 if length == side else 1 if length > side else 4)
    assert away.mean() < 0.3


def test_nothing_to_do_is_a_copy():
    frames = clip((50, 50), 2)
    assert (rendered(frames, Plan(), 50) == frames).all()
    assert (rendered(frames, Plan(flip=True), 50) == frames[:, :, ::-1]).all()
    assert (rendered(frames, Plan(bend=rotation(90)), 50)[0]
            == np.rot90(frames[0], -1)).all()  # fmt: skip


# -- shrinking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bend", [None, rotation(0), rotation(8), NEARER],
                         ids=["straight", "bent by nothing", "turned", "nearer"])  # fmt: skip
@pytest.mark.parametrize("ratio", [1.6, 2.0, 2.5, 3.0, 4.0, 5.2])
def test_what_is_too_fine_becomes_grey(ratio: float, bend: Matrix | None):
    """And no pattern of its own."""
    side = 50
    length = round(ratio * side) + (1 if bend is NEARER and ratio < 2 else 0)
    if bend is NEARER:
        length = round(length * 1.2)  # it shows a part only
    picture = rendered(chequered((length, length)), Plan(bend=bend), side)[0, :, :, 0]
    inner = picture[9:-9, 9:-9].astype(int)
    assert abs(inner.mean() - 127.5) < 1.5
    assert np.abs(inner - 127.5).max() <= 15  # of three in a row one more is bright than dark


def test_what_is_not_too_fine_stays():
    """Up to 1.5 times nothing is averaged away."""
    picture = rendered(chequered((75, 75)), Plan(), 50)[0, :, :, 0]
    assert picture.astype(float).std() > 25


# -- all frames alike ------------------------------------------------------------------------------


FULL = Plan(
    PART, rotation(7), True, Blur(0.9, 7, 30, 0.3),
    ((1.2, -0.1, 0, 5), (0, 1.1, 0, -3), (0.1, 0, 0.9, 2)), HueShift(20, 12),
    ((0.9, 0, 0, 9), (0, 0.9, 0, 9), (0, 0, 0.9, 9)), Noise(7.65, 3, 4),
    (Erased((0.1, 0.2, 0.4, 0.5), (9, 8, 7)),),
)  # fmt: skip
ALONE: dict[str, Plan] = {
    "nothing": Plan(),
    "box": Plan(PART),
    "bend": Plan(bend=FULL.bend),
    "flip": Plan(flip=True),
    "blur": Plan(blur=FULL.blur),
    "before": Plan(before=FULL.before),
    "hue": Plan(hue=FULL.hue),
    "after": Plan(after=FULL.after),
    "noise": Plan(noise=FULL.noise),
    "erased": Plan(erased=FULL.erased),
    "everything": FULL,
    "everything but a bend": replace(FULL, bend=None),
}


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 70])
@pytest.mark.parametrize("case", ["nothing", "bend", "everything", "everything but a bend"])
def test_a_frame_comes_out_as_it_would_alone(case: str, count: int):
    frames = clip((40, 30), 7)[np.arange(count) * 3 % 7]
    frames[:, :, :, 0] += np.arange(count, dtype=np.uint8)[:, None, None]
    together = rendered(frames, ALONE[case], 25)
    for number in {0, 1, 30, 31, 32, 33, 63, 64, count - 1} & set(range(count)):
        alone = rendered(frames[number : number + 1], ALONE[case], 25)[0]
        assert (together[number] == alone).all(), number


@pytest.mark.parametrize("case", ALONE)
def test_equal_frames_stay_equal(case: str):
    for side in (48, 61, 158):
        frames = np.repeat(scene((97, 61))[None], 5, axis=0)
        made = rendered(frames, ALONE[case], side)
        assert (made == made[0]).all()
        assert case == "nothing" or (made != rendered(frames, Plan(), side)).mean() > 0.05


def test_noise_per_frame_is_the_one_thing_that_differs():
    noise = Noise(7.65, 3, 4, per_frame=True)
    frames = flat((20, 20), (100, 100, 100), 4)
    made = rendered(frames, Plan(noise=noise), 30).astype(int) - 100
    for number, frame in enumerate(made):
        assert (frame.ravel() == noise.field(number, frame.size)).all()
    assert len({frame.tobytes() for frame in made}) == 4


@pytest.mark.parametrize("case", ALONE)
def test_the_frames_given_stay_as_they_were(case: str):
    frames = clip((48, 48), 2)
    before = frames.copy()
    rendered(frames, ALONE[case], 48)
    assert (frames == before).all()


@pytest.mark.parametrize("case", ALONE)
def test_a_part_of_a_larger_picture_is_filled_and_nothing_beside_it(case: str):
    frames, side = clip((97, 61), 3), 33
    whole = np.full((3, 3 * side, side, 3), 7, np.uint8)
    render(frames, ALONE[case], whole[:, side : 2 * side])
    assert (whole[:, side : 2 * side] == rendered(frames, ALONE[case], side)).all()
    assert (whole[:, :side] == 7).all()
    assert (whole[:, 2 * side :] == 7).all()


ODD: list[Size] = [(1, 1), (2, 1), (1, 7), (3, 3), (2000, 3), (3, 2000), (97, 61)]


@pytest.mark.parametrize("size", ODD, ids=str)
@pytest.mark.parametrize("case", ALONE)
def test_any_size_can_be_drawn(case: str, size: Size):
    uncoloured = replace(ALONE[case], before=KEEP, hue=None, after=KEEP, noise=None, erased=())
    for side in (1, 2, 7, 33):
        rendered(clip(size, 2), ALONE[case], side)
        picture = rendered(flat(size, (10, 20, 30), 2), uncoloured, side)
        assert (picture <= (10, 20, 30)).all()  # it blends with the black beyond
        assert ALONE[case].bend is not None or (picture == (10, 20, 30)).all()


# -- boxes in whole pixels -------------------------------------------------------------------------


BOXES: dict[str, tuple[Box, tuple[int, ...], tuple[int, int, int, int]]] = {
    "all": ((0, 0, 1, 1), (100, 50), (0, 0, 100, 50)),
    "a part": ((0.25, 0.5, 0.5, 0.9), (100, 50), (25, 25, 50, 45)),
    "to the nearest": ((0.104, 0.106, 0.506, 0.504), (100,), (10, 11, 51, 50)),
    "and the other way": ((0.106, 0.104, 0.504, 0.506), (100,), (11, 10, 50, 51)),
    "at least a pixel": ((0.5, 0.5, 0.501, 0.501), (100, 50), (50, 25, 51, 26)),
    "also at the end": ((0.999, 0.999, 1, 1), (100, 50), (99, 49, 100, 50)),
    "of one pixel": ((0.2, 0.2, 0.3, 0.3), (1,), (0, 0, 1, 1)),
}


@pytest.mark.parametrize("case", BOXES)
def test_a_box_in_pixels(case: str):
    box, size, meant = BOXES[case]
    assert pixels(box, *size) == meant


def test_erased_boxes_are_of_one_colour_after_everything_else():
    erased = (Erased((0.1, 0.2, 0.4, 0.5), (9, 8, 7)), Erased((0.3, 0.4, 0.6, 1), (255, 0, 1)))
    full = replace(FULL, erased=())
    plain, made = (rendered(clip((97, 61)), plan, 50) for plan in
                   (full, replace(full, erased=erased)))  # fmt: skip
    assert (made[:, 20:50, 15:30] == (255, 0, 1)).all()
    assert (made[:, 10:20, 5:20] == (9, 8, 7)).all()
    plain[:, 10:25, 5:20] = 9, 8, 7
    plain[:, 20:50, 15:30] = 255, 0, 1
    assert (made == plain).all()


def test_black_boxes_are_painted_into_every_frame_and_nowhere_else():
    frames = clip((100, 50), 3)
    meant = frames.copy()
    black_out(frames, ())
    assert (frames == meant).all()
    black_out(frames, ((0.1, 0.2, 0.5, 0.4), (0.999, 0.0, 1.0, 1.0)))
    meant[:, 10:20, 10:50] = 0
    meant[:, :, 99] = 0
    assert (frames == meant).all()
