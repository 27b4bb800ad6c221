"""The same small footage, 340x256, as every layout that the store is measured against.

<folder>/<frames>/loose/frame_00001.jpg ...     JPEG files, quality 90, 4:2:0
                  dataset/jpg/_/loose/frames.db the same bytes converted, and a small level
                  old.db                        the same bytes as the predecessor lays them out
                  lmdb/                         the same bytes (made by store_work)
                  250.mp4, 12.mp4, 2.mp4        the same pictures as H.264, by their GOP
                  truth.npz                     some of the source pictures
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from data.jpeg import encode
from tools.convert import convert
from tools.encode import PictureTrack, write_video

WIDTH, HEIGHT, RATE = 340, 256, 30
QUALITY, SMALL = 90, 128
GOPS = (250, 12, 2)
X264 = {"preset": "veryfast", "crf": "20", "sc_threshold": "0"}
SAMPLE = range(20, 284, 24)  # frames that are compared with the source
OLD_TABLE = "CREATE TABLE Images (ObjId STRING, frames BLOB, size INT)"


def pictures(count: int) -> Iterator[np.ndarray]:
    """A camera that pans and zooms over a landscape, with grain: JPEGs of about 26 kB.

    H.264 needs a twelfth of that for them, as it does for real films of this size.
    """
    random = np.random.default_rng(2)
    land: np.ndarray = np.full((HEIGHT + 200, WIDTH + 800, 3), 128, np.float32)
    for cells in (6, 24, 96, 384):
        coarse = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        coarse = coarse / 2 + coarse.mean(2, keepdims=True)  # less colour than light
        hills = cv2.resize(coarse, land.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        land = land + np.asarray(hills) * 65 / cells**0.25
    grain = random.normal(0, 5, (2 * HEIGHT, 2 * WIDTH, 3)).astype(np.float32)
    for number in range(count):
        time = number / RATE
        zoom = 1 + 0.1 * np.sin(time * 0.9)
        x, y = 400 + 390 * np.sin(time * 0.7), 100 + 90 * np.sin(time * 0.4)
        where = np.array([[zoom, 0, x], [0, zoom, y]], np.float32)
        view = cv2.warpAffine(land, where, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT,
                              flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)  # fmt: skip
        across, down = random.integers(0, (WIDTH, HEIGHT))
        grains = grain[down : down + HEIGHT, across : across + WIDTH]
        yield np.clip(view + grains, 0, 255).astype(np.uint8)


def lay_out(folder: Path, count: int) -> Path:
    """The footage of so many frames in every layout but LMDB."""
    place = folder / str(count)
    loose = place / "loose"
    loose.mkdir(parents=True)
    truth: dict[str, Any] = {}
    for number, picture in enumerate(pictures(count)):
        loose_file(place, number).write_bytes(encode(picture, QUALITY, "4:2:0"))
        if number in SAMPLE:
            truth[str(number)] = picture
    np.savez(place / "truth.npz", **truth)
    convert(loose, place / "dataset", levels=[SMALL], jobs=1)
    _write_old(place, count)
    for gop in GOPS:
        track = PictureTrack(rate=Fraction(RATE), options={**X264, "g": str(gop)})
        frames = (av.VideoFrame.from_ndarray(picture, "rgb24") for picture in pictures(count))
        write_video(place / f"{gop}.mp4", (track, frames))
    return place


def loose_file(place: Path, number: int) -> Path:
    """The JPEG file of a frame, counted from 0."""
    return place / "loose" / f"frame_{number + 1:05d}.jpg"


def store_folder(place: Path) -> Path:
    """The folder of the one video in the dataset."""
    return next((place / "dataset").rglob("frames.db")).parent


def old_name(number: int) -> str:
    """The predecessor's name of a frame, counted from 0."""
    return f"loose/frame_{number + 1:05d}"


def _write_old(place: Path, count: int) -> None:
    """As the predecessor does: no index, pages of SQLite's own size."""
    with closing(sqlite3.connect(place / "old.db")) as connection, connection:
        connection.execute(OLD_TABLE)
        rows = (
            (old_name(number), loose_file(place, number).read_bytes(), WIDTH)
            for number in range(count)
        )
        connection.executemany("INSERT INTO Images VALUES (?, ?, ?)", rows)


def bytes_on_disk(path: Path) -> int:
    """What a file, or all files in a folder, take up."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_blocks * 512 for one in files)
