"""What a network is shown of a clip, and boxes of boxes."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pytest

from data.audio import Spectrogram
from data.crops import Crop
from data.plan import WHOLE, Box
from data.views import IMAGENET, KINETICS, PLAIN, SHOWS, Part, View, check_box, nested

COMPOSITE = View(
    (Part("region", KINETICS, Crop("resized")), Part("whole", None), Part("sound")),
    region=(0.1, 0.2, 0.5, 0.6),
    black=((0.0, 0.9, 1.0, 1.0), (0.8, 0.0, 1.0, 0.1)),
    spectrogram=Spectrogram(cutoff=4000),
)


def test_a_plain_view_is_the_whole_picture():
    assert View() == PLAIN
    assert [part.shows for part in PLAIN.parts] == ["whole"]
    assert PLAIN.region == WHOLE
    assert PLAIN.black == ()
    assert PLAIN.parts[0].norm == IMAGENET
    assert PLAIN.parts[0].crop is None


@pytest.mark.parametrize("view", [PLAIN, COMPOSITE, View((Part("sound"),)),
                                  View((Part("whole"), Part("whole")))])  # fmt: skip
def test_a_view_is_as_high_as_its_squares(view: View):
    for side in (1, 80, 224):
        assert view.height(side) == side * len(view.parts)


def test_every_part_has_a_norm_of_its_own():
    assert [part.norm for part in COMPOSITE.parts] == [KINETICS, None, IMAGENET]
    for mean, deviation in (IMAGENET, KINETICS):
        assert len(mean) == len(deviation) == 3
        assert all(0.2 < value < 0.5 for value in (*mean, *deviation))


def test_a_view_goes_to_workers_as_it_is():
    assert pickle.loads(pickle.dumps(COMPOSITE)) == COMPOSITE
    assert hash(COMPOSITE) == hash(pickle.loads(pickle.dumps(COMPOSITE)))


# -- boxes -----------------------------------------------------------------------------------------


NESTED: dict[str, tuple[Box, Box, Box]] = {  # a box, a box of it, and where that lies
    "the whole of it": ((0.2, 0.4, 0.6, 0.8), WHOLE, (0.2, 0.4, 0.6, 0.8)),
    "of the whole": (WHOLE, (0.2, 0.4, 0.6, 0.8), (0.2, 0.4, 0.6, 0.8)),
    "its lower right": ((0.2, 0.4, 0.6, 0.6), (0.5, 0.5, 1, 1), (0.4, 0.5, 0.6, 0.6)),
    "its middle": ((0.5, 0, 1, 0.4), (0.25, 0.25, 0.75, 0.75), (0.625, 0.1, 0.875, 0.3)),
}


@pytest.mark.parametrize("case", NESTED)
def test_a_box_of_a_box(case: str):
    outer, inner, meant = NESTED[case]
    assert nested(outer, inner) == pytest.approx(meant)


def test_boxes_of_boxes_of_boxes():
    one, two, three = (0.1, 0.2, 0.7, 0.9), (0.3, 0.1, 0.8, 0.6), (0.2, 0.5, 0.4, 1.0)
    assert nested(one, nested(two, three)) == pytest.approx(nested(nested(one, two), three))


@pytest.mark.parametrize("box", [WHOLE, (0, 0, 1e-6, 1e-6), (0.999, 0.5, 1, 1)])
def test_a_box_of_the_picture(box: Box):
    check_box(box)
    assert View(region=box, black=(box,)).region == box


WRONG: dict[str, Box] = {
    "too far left": (-0.01, 0, 1, 1),
    "too far up": (0, -1, 1, 1),
    "too far right": (0, 0, 1.01, 1),
    "too far down": (0, 0, 1, 2),
    "in pixels": (10, 20, 100, 200),
    "of no width": (0.5, 0, 0.5, 1),
    "of no height": (0, 0.5, 1, 0.5),
    "from right to left": (0.6, 0, 0.4, 1),
    "upside down": (0, 0.6, 1, 0.4),
    "no number": (0, 0, math.nan, 1),
    "no number either": (0, math.nan, 1, 1),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_box_outside_the_picture_is_named(case: str):
    box = WRONG[case]
    ways: list[Callable[[], object]] = [
        lambda: check_box(box), lambda: View(region=box), lambda: View(black=(WHOLE, box)),
    ]  # fmt: skip
    for way in ways:
        with pytest.raises(ValueError, match=r"does not lie in the picture; .* fractions") as error:
            way()
        assert str(box) in str(error.value)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no part": (lambda: View(()), "at least one part: whole, region or sound"),
    "an unknown part": (
        lambda: Part("face"),  # type: ignore[arg-type]
        f"a part shows 'face'; allowed: {', '.join(SHOWS)}",
    ),
    "a deviation of 0": (
        lambda: Part(norm=((0.5, 0.5, 0.5), (0.2, 0.0, 0.2))),
        r"deviations are more than 0, got \(0.2, 0.0, 0.2\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_view_is_named(case: str):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()
