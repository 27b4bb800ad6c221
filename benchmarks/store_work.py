"""What the store's benchmark times, in a process of its own: MODE READER PLACE CLIPS TIMES.

MODE cpu reads so many random clips so many times and prints the number of pictures and CPU
seconds of one time; psnr prints the number of pictures and how near they are to the source;
make-lmdb writes the one layout that needs a peer.
READER is one of READERS. One thread.
"""

from __future__ import annotations

import importlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import simplejpeg

from benchmarks.footage import GOPS, RATE, SMALL, loose_file, old_name, store_folder
from data.memory import keep_large_blocks
from tools.bench import take_turns

LENGTH, STRIDE = 16, 2
Clip = tuple[int, ...]
Read = Callable[[Clip], Any]  # the pictures of a clip, or their bytes
OLD_QUERY = "SELECT ObjId, frames FROM Images WHERE ObjId IN ({})"
LMDB_ROOM = 4 << 30


def draw_clips(frames: int, count: int) -> list[Clip]:
    """Random clips in random order, one from each of `count` equal parts of the video."""
    random = np.random.default_rng(7)
    starts = frames - STRIDE * (LENGTH - 1)
    places = ((np.arange(count) + random.random(count)) / count * starts).astype(int)
    random.shuffle(places)
    return [tuple(range(start, start + STRIDE * LENGTH, STRIDE)) for start in places.tolist()]


# -- the readers -------------------------------------------------------------------------------


def store(place: Path, clips: Sequence[Clip]) -> Read:
    from data.store import FrameStore

    return FrameStore(store_folder(place)).frames


def small(place: Path, clips: Sequence[Clip]) -> Read:
    from data.store import FrameStore

    opened = FrameStore(store_folder(place))
    return lambda clip: opened.frames(clip, short_side=SMALL)


def store_bytes(place: Path, clips: Sequence[Clip]) -> Read:
    from data.store import FrameStore

    return FrameStore(store_folder(place)).read


def limit(place: Path, clips: Sequence[Clip]) -> Read:
    """Nothing but the decoder: the bytes are in memory."""
    held = {clip: loose_bytes(place, clips)(clip) for clip in clips}
    decode = simplejpeg.decode_jpeg
    return lambda clip: [decode(data) for data in held[clip]]


def loose_bytes(place: Path, clips: Sequence[Clip]) -> Read:
    def read(clip: Clip) -> list[bytes]:
        found = []
        for number in clip:
            with open(loose_file(place, number), "rb") as file:
                found.append(file.read())
        return found

    return read


def loose(place: Path, clips: Sequence[Clip]) -> Read:
    read = loose_bytes(place, clips)
    return lambda clip: [simplejpeg.decode_jpeg(data) for data in read(clip)]


def old_bytes(place: Path, clips: Sequence[Clip]) -> Read:
    """As the predecessor's training does, but the file stays open."""
    connection = sqlite3.connect(place / "old.db")

    def read(clip: Clip) -> list[bytes]:
        query = OLD_QUERY.format(",".join("?" * len(clip)))
        rows = connection.execute(query, [old_name(number) for number in clip]).fetchall()
        return [data for _, data in sorted(rows, key=lambda row: row[0])]

    return read


def old(place: Path, clips: Sequence[Clip]) -> Read:
    read = old_bytes(place, clips)
    return lambda clip: [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in read(clip)
    ]


def lmdb_views(place: Path, clips: Sequence[Clip], views: bool = True) -> Read:
    """Views of the file's pages, without a copy."""
    lmdb: Any = importlib.import_module("lmdb")
    opened = lmdb.open(str(place / "lmdb"), readonly=True, lock=False, readahead=False)

    def read(clip: Clip) -> list[Any]:
        with opened.begin(buffers=views) as transaction:
            found = [transaction.get(b"%08d" % number) for number in clip]
            return [simplejpeg.decode_jpeg(data) for data in found] if views else found

    return read


def lmdb_bytes(place: Path, clips: Sequence[Clip]) -> Read:
    return lmdb_views(place, clips, views=False)


def torchcodec(place: Path, clips: Sequence[Clip], gop: int) -> Read:
    torch: Any = importlib.import_module("torch")
    decoders: Any = importlib.import_module("torchcodec.decoders")
    torch.set_num_threads(1)
    decoder = decoders.VideoDecoder(str(place / f"{gop}.mp4"), seek_mode="exact",
                                    dimension_order="NHWC", num_ffmpeg_threads=1)  # fmt: skip
    return lambda clip: decoder.get_frames_at(indices=list(clip)).data.numpy()


def pyav(place: Path, clips: Sequence[Clip], gop: int) -> Read:
    """Seek to the keyframe before, decode on, keep what was asked for."""
    container: Any = av.open(str(place / f"{gop}.mp4"))
    stream = container.streams.video[0]
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    frame_long = round(1 / (RATE * stream.time_base))

    def read(clip: Clip) -> list[np.ndarray]:
        container.seek(clip[0] * frame_long, stream=stream)
        wanted = set(clip)
        return [frame.to_ndarray(format="rgb24") for frame in until(clip[-1])
                if round(frame.pts / frame_long) in wanted]  # fmt: skip

    def until(last: int) -> Iterator[Any]:
        for frame in container.decode(stream):
            yield frame
            if frame.pts >= last * frame_long:
                return

    return read


READERS: dict[str, Callable[[Path, Sequence[Clip]], Read]] = {
    "store": store,
    "small": small,
    "limit": limit,
    "plain": limit,
    "loose": loose,
    "old": old,
    "lmdb": lmdb_views,
    "store-bytes": store_bytes,
    "loose-bytes": loose_bytes,
    "old-bytes": old_bytes,
    "lmdb-bytes": lmdb_bytes,
}
for _gop in GOPS:
    READERS[f"torchcodec-{_gop}"] = partial(torchcodec, gop=_gop)
    READERS[f"pyav-{_gop}"] = partial(pyav, gop=_gop)
IN_BGR = ("old",)


# -- the modes ---------------------------------------------------------------------------------


def cpu(reader: str, place: Path, clips: Sequence[Clip], times: int) -> tuple[int, float]:
    read = READERS[reader](place, clips)
    for clip in clips:  # to warm up
        read(clip)
    count = 0
    start = time.process_time()
    for _ in range(times):
        for clip in clips:
            count += len(read(clip))
    return count // times, (time.process_time() - start) / times


def beside(readers: Sequence[str], place: Path, clips: Sequence[Clip], times: int) -> str:
    """CPU seconds of every clip for every reader, clip by clip in turn and in reverse, as JSON.

    A neighbour on the machine who comes and goes within a second disturbs all of them alike.
    """
    read = {name: READERS[name](place, clips) for name in readers}
    return json.dumps(take_turns(read, clips, times))


def psnr(reader: str, place: Path) -> tuple[int, float]:
    """Mean over pictures, which also shows that they are the right ones."""
    truth = np.load(place / "truth.npz")
    clip = tuple(sorted(int(name) for name in truth))
    found = np.asarray(READERS[reader](place, [clip])(clip))
    found = found[..., ::-1] if reader in IN_BGR else found
    errors = [np.mean((truth[str(number)].astype(float) - picture) ** 2)
              for number, picture in zip(clip, found, strict=True)]  # fmt: skip
    return len(found), float(np.mean(10 * np.log10(255**2 / np.array(errors))))


def make_lmdb(place: Path, frames: int) -> tuple[int, float]:
    lmdb: Any = importlib.import_module("lmdb")
    opened = lmdb.open(str(place / "lmdb"), map_size=LMDB_ROOM)
    with opened.begin(write=True) as transaction:
        for number in range(frames):
            transaction.put(b"%08d" % number, loose_file(place, number).read_bytes())
    opened.close()
    return frames, 0.0


def main(mode: str, reader: str, folder: str, clips: str = "1", times: str = "1") -> None:
    cv2.setNumThreads(1)
    if reader != "plain":
        keep_large_blocks()  # as our store does: else every other reader pays for page faults
    place = Path(folder)
    frames = int(place.name)
    if mode == "beside":
        print(beside(reader.split(","), place, draw_clips(frames, int(clips)), int(times)))
        return
    if mode == "make-lmdb":
        count, value = make_lmdb(place, frames)
    elif mode == "psnr":
        count, value = psnr(reader, place)
    else:
        count, value = cpu(reader, place, draw_clips(frames, int(clips)), int(times))
    print(count, f"{value:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
