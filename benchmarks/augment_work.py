"""What the augmentation benchmark times, in a process of its own: MODE WORKERS STORE CLIPS TIMES.

MODE cpu makes so many random clips so many times with one worker and prints the number of pictures
and CPU seconds of one time; beside lets several, A,B,C, take turns at every clip and prints the
CPU seconds of each, as JSON.
STORE is the folder of one video. A worker reads and decodes a clip and makes a square one of it,
uint8, every picture alike, on one thread. Its name says who and what (bare: nothing more):

crop    a random part of the picture, resized, and perhaps flipped
zoom    a square of random size, resized, and perhaps flipped
jitter  crop, and brightness, contrast, saturation and hue
warp    crop, and a rotation
bend    crop, and a perspective
set     a crop, and the predecessor's whole set at its probabilities

Ours go through the door of training, ClipIterator: a clip is a label's passage that is as long as
the clip, so its frames are the others' frames, and every call draws at the next position.
torchvision gets the layout in memory that each operation is fastest with; it has no motion blur,
and its noise is another one for every picture. imgaug crops as the predecessor does, and gets one
picture at a time, as there.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.augment import Augmentation, Jitter
from data.batching import ClipKey
from data.clip import ClipShape
from data.crops import Crop
from data.draws import Draws, Slot
from data.iterator import ClipIterator, Making
from data.memory import keep_large_blocks
from data.sampling import Sampling
from data.store import FrameStore
from data.table import UNITS, ClipTable, whole_videos
from tools.bench import take_turns

LENGTH, STRIDE, SIDE = 16, 2, 224
SEED = 7
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
ANY, EACH = 0.8, 0.4
NOISE = 0.03  # of 255
TURN = 10  # degrees
RESIZED = 294  # the predecessor squashes every picture to this square before it crops
POSITIONS = 4096  # of the stream, then from the beginning
Clip = range
Make = Callable[[Clip], Any]  # a clip's frame numbers -> its pictures
Start = Callable[[FrameStore, Sequence[Clip]], Make]


def draw_clips(frames: int, count: int) -> list[Clip]:
    starts = np.random.default_rng(SEED).integers(frames - STRIDE * (LENGTH - 1), size=count)
    return [range(start, start + STRIDE * LENGTH, STRIDE) for start in starts.tolist()]


# -- the workers -------------------------------------------------------------------------------


def bare(store: FrameStore, clips: Sequence[Clip]) -> Make:
    """The limit: read and decode, no more."""
    return store.frames


def reelgrid(store: FrameStore, clips: Sequence[Clip], what: str) -> Make:
    making = Making(Sampling(interval=STRIDE), REELGRID[what])
    iterator = ClipIterator(passages(store, clips), making, SEED)
    rows = {clip: row for row, clip in enumerate(clips)}
    shape = ClipShape(LENGTH, SIDE)
    positions = cycle([one for one in range(POSITIONS) if is_drawn(what, one)])
    return lambda clip: iterator[ClipKey(rows[clip], shape, next(positions))].clip


def passages(store: FrameStore, clips: Sequence[Clip]) -> ClipTable:
    """A label for every clip, from its first frame to its last."""
    *_, kind, video, _ = Path(store.path).parts
    table = whole_videos(Path(store.path).parents[2], [f"{kind}/{video}"] * len(clips))
    frames = UNITS.index("frames")
    bounds = [(clip.start, 1, clip[-1] + 1, 1, frames) for clip in clips]
    return replace(table, bounds=np.array(bounds, np.int64))


def is_drawn(what: str, position: int) -> bool:
    """Whether that place of the stream bends what it is asked to bend; half of them do."""
    bends = Draws(SEED, position).uniform(Slot.WARP, lane=1) < 0.5
    return what not in ("warp", "bend") or bends == (what == "bend")


def torchvision(store: FrameStore, clips: Sequence[Clip], what: str) -> Make:
    torch: Any = importlib.import_module("torch")
    v2: Any = importlib.import_module("torchvision.transforms.v2")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    crop = v2.Compose([v2.RandomResizedCrop(SIDE, AREA, RATIO, antialias=False),
                       v2.RandomHorizontalFlip()])  # fmt: skip
    more = TORCHVISION[what](v2)

    def make(clip: Clip) -> Any:
        return more(crop(torch.from_numpy(store.frames(clip)).permute(0, 3, 1, 2)))

    return make


def albumentations(store: FrameStore, clips: Sequence[Clip], what: str) -> Make:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks the network
    alb: Any = importlib.import_module("albumentations")
    crop = [alb.RandomResizedCrop((SIDE, SIDE), AREA, RATIO), alb.HorizontalFlip(p=0.5)]
    change = alb.Compose([*crop, *ALBUMENTATIONS[what](alb)], seed=SEED)
    return lambda clip: change(images=store.frames(clip))["images"]


def imgaug(store: FrameStore, clips: Sequence[Clip], what: str) -> Make:
    iaa: Any = importlib.import_module("imgaug.augmenters")
    importlib.import_module("imgaug").seed(SEED)
    crop = [iaa.Resize(RESIZED), iaa.CropToFixedSize(SIDE, SIDE, position="uniform")]
    change = iaa.Sequential([*crop, *IMGAUG[what](iaa), iaa.Fliplr(0.5)])

    def make(clip: Clip) -> list[np.ndarray]:
        fixed = change.to_deterministic()
        return [fixed.augment_image(picture) for picture in store.frames(clip)]

    return make


# -- what ours may draw ------------------------------------------------------------------------

CROPPED = Augmentation(Crop("resized", area=AREA, ratio=RATIO), any=0)
WARPED = replace(CROPPED, any=1, each=1, operations=("warp",))
REELGRID: Mapping[str, Augmentation] = {
    "crop": CROPPED,
    "zoom": Augmentation(any=0),
    "jitter": replace(CROPPED, jitter=Jitter(**JITTER)),
    "warp": WARPED,
    "bend": WARPED,
    "set": Augmentation(any=ANY, each=EACH),
}

# -- what torchvision does after the crop ------------------------------------------------------


def planar(v2: Any) -> Any:
    """Colour by colour in memory, no longer pixel by pixel."""
    return v2.Lambda(lambda pictures: pictures.contiguous())


def torchvision_set(v2: Any) -> Any:
    """All but the motion blur."""
    linear = v2.InterpolationMode.BILINEAR

    def add(pictures: Any) -> Any:
        values = pictures[0, :, :1, :1].short().random_(-5, 16)
        return (pictures.short() + values).clamp_(0, 255).byte()

    blur = v2.RandomApply([v2.GaussianBlur(5, (0.1, 0.3))], EACH)
    steps = [
        v2.Lambda(add),
        v2.GaussianNoise(sigma=NOISE),
        v2.ColorJitter(saturation=(1.2, 1.6)),
        v2.ColorJitter(saturation=16 / 255, hue=16 / 510),
        v2.ColorJitter(contrast=(0.85, 1.115)),
        v2.RandomChoice([v2.RandomPerspective(0.1, 1.0, linear), v2.RandomRotation(TURN, linear)]),
    ]
    every = [blur, planar(v2), *(v2.RandomApply([step], EACH) for step in steps)]
    return v2.RandomApply(every, ANY)


TORCHVISION: Mapping[str, Callable[[Any], Any]] = {
    "crop": lambda v2: v2.Identity(),
    "jitter": lambda v2: v2.Compose([planar(v2), v2.ColorJitter(**JITTER)]),
    "warp": lambda v2: v2.RandomRotation(TURN, v2.InterpolationMode.BILINEAR),
    "bend": lambda v2: v2.RandomPerspective(0.1, 1.0, v2.InterpolationMode.BILINEAR),
    "set": torchvision_set,
}

# -- what Albumentations does after the crop ---------------------------------------------------


def albumentations_set(alb: Any) -> list[Any]:
    kept = {"brightness": (1, 1), "contrast": (1, 1), "hue": (0, 0)}
    steps = [
        alb.GaussianBlur(blur_limit=5, sigma_limit=(0.1, 0.3), p=EACH),
        alb.RGBShift((-5, 15), (-5, 15), (-5, 15), p=EACH),
        alb.GaussNoise(std_range=(NOISE, NOISE), per_channel=True, p=EACH),
        alb.ColorJitter(**kept, saturation=(1.2, 1.6), p=EACH),
        alb.MotionBlur(blur_limit=(3, 7), p=EACH),
        alb.HueSaturationValue(11, 16, 0, p=EACH),
        alb.RandomBrightnessContrast(0, (-0.15, 0.115), p=EACH),
        alb.OneOf([alb.Perspective((0.02, 0.05)), alb.Affine(rotate=(-TURN, TURN))], p=EACH),
    ]
    return [alb.Sequential(steps, p=ANY)]


ALBUMENTATIONS: Mapping[str, Callable[[Any], list[Any]]] = {
    "crop": lambda alb: [],
    "jitter": lambda alb: [alb.ColorJitter(**JITTER, p=1)],
    "warp": lambda alb: [alb.Affine(rotate=(-TURN, TURN), p=1)],
    "bend": lambda alb: [alb.Perspective((0.02, 0.05), p=1)],
    "set": albumentations_set,
}

# -- what imgaug does after the crop -----------------------------------------------------------


def imgaug_set(iaa: Any) -> list[Any]:
    steps = [
        iaa.GaussianBlur(sigma=[0.1, 0.2, 0.3]),
        iaa.Add((-5, 15), per_channel=True),
        iaa.AdditiveGaussianNoise(scale=NOISE * 255, per_channel=True),
        iaa.pillike.EnhanceColor((1.2, 1.6)),
        iaa.MotionBlur([3, 5, 7]),
        iaa.AddToHueAndSaturation((-16, 16), per_channel=True),
        iaa.LinearContrast((0.85, 1.115)),
        iaa.OneOf([iaa.PerspectiveTransform((0.02, 0.05)), iaa.Rotate((-TURN, TURN))]),
    ]
    return [iaa.Sometimes(ANY, [iaa.Sometimes(EACH, step) for step in steps])]


IMGAUG: Mapping[str, Callable[[Any], list[Any]]] = {
    "crop": lambda iaa: [],
    "warp": lambda iaa: [iaa.Rotate((-TURN, TURN))],
    "bend": lambda iaa: [iaa.PerspectiveTransform((0.02, 0.05))],
    "set": imgaug_set,
}

WORKERS: dict[str, Start] = {
    "bare": bare,
    **{f"reelgrid-{what}": partial(reelgrid, what=what) for what in REELGRID},
    **{f"torchvision-{what}": partial(torchvision, what=what) for what in TORCHVISION},
    **{f"albumentations-{what}": partial(albumentations, what=what) for what in ALBUMENTATIONS},
    **{f"imgaug-{what}": partial(imgaug, what=what) for what in IMGAUG},
}

# -- the modes ---------------------------------------------------------------------------------


def cpu(worker: str, store: FrameStore, clips: Sequence[Clip], times: int) -> str:
    """Pictures and CPU seconds of one time."""
    make = WORKERS[worker](store, clips)
    for clip in clips:  # to warm up
        make(clip)
    count = 0
    start = time.process_time()
    for _ in range(times):
        for clip in clips:
            count += len(make(clip))
    taken = time.process_time() - start
    return f"{count // times} {taken / times:.6f}"


def beside(workers: Sequence[str], store: FrameStore, clips: Sequence[Clip], times: int) -> str:
    """CPU seconds of every clip for every worker, clip by clip in turn and in reverse, as JSON."""
    make = {name: WORKERS[name](store, clips) for name in workers}
    return json.dumps(take_turns(make, clips, times))


def main(mode: str, workers: str, folder: str, clips: str, times: str) -> None:
    cv2.setNumThreads(1)
    keep_large_blocks()  # as our store does: else every other worker pays for page faults
    with FrameStore(folder) as store:
        drawn = draw_clips(len(store), int(clips))
        if mode == "beside":
            print(beside(workers.split(","), store, drawn, int(times)))
        else:
            print(cpu(workers, store, drawn, int(times)))


if __name__ == "__main__":
    main(*sys.argv[1:])
