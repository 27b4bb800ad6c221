"""Everything that the reader refuses is listed by the converter, with the same words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.media import open_video
from data.store import FrameStore
from tests import barcode, surgery
from tests.synth import write
from tests.test_bad_input import CUT, DAMAGED, REFUSED
from tools.convert import Summary, convert

# A folder that is called like a video is a folder to a search; a file that is not there is none.
LISTED = [case for case in REFUSED if case not in ("no such file", "a folder")]


@pytest.fixture(scope="module")
def run_over_all(tmp_path_factory) -> tuple[Path, Summary]:
    """One run over a folder for every case, beside one good video."""
    videos = tmp_path_factory.mktemp("bad")
    for case in LISTED:
        name, make, _ = REFUSED[case]
        (videos / case).mkdir()
        make(videos / case / name)
    return videos, convert(videos, tmp_path_factory.mktemp("out") / "out")


@pytest.mark.parametrize("case", LISTED)
def test_it_is_listed_with_its_reason(run_over_all, case):
    videos, summary = run_over_all
    name, _, reason = REFUSED[case]
    reasons = dict(summary.failures)
    assert re.search(reason, reasons[str(videos / case / name)])


def test_nothing_is_left_of_them(run_over_all):
    _, summary = run_over_all
    assert (summary.converted, summary.failed) == (0, len(LISTED))
    assert list(Path(summary.out).rglob("frames*.db")) == []


SPOILED = {
    **{f"cut {suffix}": (*CUT[suffix], None) for suffix in CUT},
    **{f"scrambled {suffix}": (DAMAGED[suffix], 0.45, 0.5) for suffix in DAMAGED},
}


@pytest.mark.parametrize("case", SPOILED)
def test_of_a_damaged_one_the_store_holds_what_decodes_and_says_so(case, tmp_path):
    variant, start, stop = SPOILED[case]
    path = write(variant, tmp_path / f"x.{variant.suffix}")
    if stop is None:
        surgery.cut_short(path, start)
    else:
        surgery.scramble(path, start, stop)
    with open_video(path) as video:
        wanted = [(frame.time, barcode.read(frame.rgb())) for frame in video.frames()]
    summary = convert(path, tmp_path / "out")
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "x") as store:
        pictures = store.frames(range(len(store)))
        assert [barcode.read(one) for one in pictures] == [index for _, index in wanted]
        assert list(store.times) == [time for time, _ in wanted]
        assert summary.damaged == [("_/x", store.meta["damage"])]
        assert store.meta["damage"]
