"""Folders of numbered pictures: their order, what is missing, and what each shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.faults import MediaError
from data.jpeg import encode
from data.pictures import is_numbered, read_picture, series_in
from tests.test_jpeg import exif, landscape, psnr, with_segment

SERIES = {
    "no padding": (["f_10.jpg", "f_9.jpg", "f_1.jpg"], ["f_1.jpg", "f_9.jpg", "f_10.jpg"]),
    "padding": (["f_010.jpg", "f_009.jpg"], ["f_009.jpg", "f_010.jpg"]),
    "from 0": (["0.png", "1.png", "2.png"], ["0.png", "1.png", "2.png"]),
    "beyond the padding": (["f_99999.jpg", "f_100000.jpg"], ["f_99999.jpg", "f_100000.jpg"]),
    "endings": (["a1.JPG", "a2.jpeg", "a3.PNG"], ["a1.JPG", "a2.jpeg", "a3.PNG"]),
    "others beside": (["a1.jpg", "notes.txt", "cover.jpg", "a2.gif"], ["a1.jpg"]),
    "numbers in the name": (["v2_07.jpg", "v2_08.jpg"], ["v2_07.jpg", "v2_08.jpg"]),
}


@pytest.mark.parametrize("case", SERIES)
def test_the_order_is_that_of_the_numbers(case: str):
    names, meant = SERIES[case]
    assert series_in("folder", names).files == tuple(meant)


GAPS = [([1, 2, 3], ()), ([0, 1], ()), ([5], ()), ([1, 4, 6], (2, 3, 5)), ([7, 9], (8,))]


@pytest.mark.parametrize(("numbers", "gaps"), GAPS)
def test_gaps_are_listed(numbers, gaps):
    series = series_in("folder", [f"f{number}.jpg" for number in numbers])
    assert series.numbers == tuple(numbers)
    assert series.gaps == gaps


REFUSED = {
    "several series": (
        ["a1.jpg", "a2.jpg", "b1.jpg"], r"several series of pictures: 'a' \(2\), 'b' \(1\); give"
    ),
    "one number twice": (
        ["a1.jpg", "a01.jpg"], r"holds number 1 twice \(a01.jpg and a1.jpg\); remove one of them"
    ),
    "two endings": (["a1.jpg", "a1.png"], r"holds number 1 twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_put_in_order(case: str):
    names, message = REFUSED[case]
    with pytest.raises(MediaError, match=message):
        series_in("folder", names)


NUMBERED = {"a1.jpg": True, "1.PNG": True, ".a1.jpg": False, "a.jpg": False, "a1.mp4": False,
            "1.jpg.part": False, "a1b.jpg": False}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERED)
def test_which_files_are_numbered(name: str):
    assert is_numbered(name) == NUMBERED[name]


# -- what they show --------------------------------------------------------------------------------

SIZE = (48, 32)
RGB = landscape(SIZE)
BGR = RGB[:, :, ::-1]


def png(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


def with_alpha(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def read(data: bytes, folder: Path):
    (folder / "p").write_bytes(data)
    return read_picture(folder / "p")


SHOWN = {
    "PNG": png(BGR),
    "PNG of 16 bits": png(BGR.astype(np.uint16) * 257),
    "PNG with transparency": png(with_alpha(BGR)),
    "JPEG": encode(RGB, 98, "4:4:4"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_is_shown(case: str, tmp_path: Path):
    picture = read(SHOWN[case], tmp_path)
    assert picture.rgb.dtype == np.uint8
    assert psnr(picture.rgb, RGB) > 40


def test_a_plain_jpeg_keeps_its_bytes(tmp_path: Path):
    data = encode(RGB, 90, "4:2:0")
    assert read(data, tmp_path).jpeg == data


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_a_turned_one_stands_upright_and_does_not(orientation: int, turns: int, tmp_path: Path):
    """Readers that know no Exif would show its bytes lying, so they are not kept."""
    data = with_segment(encode(RGB, 98, "4:4:4"), 0xE1, exif(orientation, "big"))
    picture = read(data, tmp_path)
    assert picture.jpeg is None
    assert psnr(picture.rgb, np.rot90(RGB, turns)) > 35


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_grey_one_becomes_colour(ending: str, tmp_path: Path):
    """And the bytes of a grey JPEG are kept: every reader makes the same colours of them."""
    grey = RGB[:, :, 0]
    data = bytes(cv2.imencode(ending, grey)[1])
    picture = read(data, tmp_path)
    assert picture.jpeg == (data if ending == ".jpg" else None)
    assert psnr(picture.rgb, np.dstack([grey] * 3)) > 35


BROKEN = {
    "text": (b"Dear diary", "is not a whole JPEG or PNG picture; copy it again"),
    "nothing": (b"", r"is empty \(0 bytes\)"),
    "a cut JPEG": (encode(RGB, 90, "4:2:0")[:-30], r"is not a whole JPEG picture .*; copy it ag"),
    "a cut turned JPEG": (
        with_segment(encode(RGB, 90, "4:2:0"), 0xE1, exif(6, "big"))[:-30], "is not a whole JPEG"
    ),
    "a cut grey JPEG": (bytes(cv2.imencode(".jpg", RGB[:, :, 0])[1])[:-30], "is not a whole JPEG"),
    "a cut PNG": (png(BGR)[:-300], "is not a whole"),
    "a PNG with a flipped byte": (
        png(BGR)[:500] + bytes([png(BGR)[500] ^ 255]) + png(BGR)[501:], "is not a whole"
    ),
    "half a header": (b"\xff\xd8\xff\xe0", "is not a JPEG picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_whole_is_refused(case: str, tmp_path: Path):
    data, message = BROKEN[case]
    with pytest.raises(MediaError, match=message):
        read(data, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(MediaError, match="does not exist"):
        read_picture(tmp_path / "1.jpg")
