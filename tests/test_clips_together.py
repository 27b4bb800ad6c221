"""From videos to batches as a user does it: convert, split, open, load; the README's example."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from data.augment import Augmentation
from data.batching import BatchSampler, Order, constant
from data.clip import ClipShape
from data.crops import Crop
from data.dataset import open_clips
from data.iterator import ClipIterator, Making
from data.sampling import Sampling
from tests import barcode
from tests.clips import Video, write_dataset
from tests.command import ROOT, run
from tests.frames import Content
from tools.convert import convert
from train.loader import Loader, Options

CLASSES = ("archery", "bowling", "curling")
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three classes and its lists, as the README's example names them."""
    place = tmp_path_factory.mktemp("work")
    videos = [Video(f"{name}/{number}", Content(20)) for name in CLASSES for number in range(6)]
    write_dataset(place / "dataset", videos)
    done = run("tools.split", "dataset", "--ratio", "70/30", "--out", "lists", folder=place)
    assert done.code == 0, done.err
    return place


def test_the_readmes_example_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (code,) = (
        code for code in re.findall(r"```python\n(.*?)```", README, re.S) if "open_clips" in code
    )
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {})
    summary, batch = capsys.readouterr().out.splitlines()
    assert "classes: 3 of label; 0 labels without media" in summary
    assert batch.startswith("0 torch.Size([8, 16, 224, 224, 3]) tensor([")


def test_no_clip_of_one_split_is_in_another(folder: Path):
    names = {
        split: set(open_clips(folder / "dataset", folder / "lists", split).table.names)
        for split in ("train", "val")
    }
    assert not names["train"] & names["val"]
    assert len(names["train"] | names["val"]) == 18
    assert {name.split("/")[0] for name in names["val"]} <= set(CLASSES)
    classes = json.loads((folder / "lists" / "classes.json").read_text())
    assert classes["tasks"]["label"] == list(CLASSES)


def test_barcodes_of_real_videos_arrive_in_order(media, tmp_path: Path):
    """Encoded, converted, labelled, sampled, warped, sent by a worker, joined: still that frame."""
    (tmp_path / "videos" / "run").mkdir(parents=True)
    for name in ("constant", "variable"):
        (tmp_path / "videos" / "run" / f"{name}.mp4").symlink_to(media(name).path)
    convert(tmp_path / "videos", tmp_path / "out")
    (tmp_path / "list.csv").write_text("label,id\nrun,constant\nrun,variable\n")
    found = open_clips(tmp_path / "out", tmp_path / "list.csv")
    making = Making(Sampling(interval=3), Augmentation(Crop("whole"), flip=0, any=0))
    clips = ClipIterator(found.table, making, seed=1)
    sampler = BatchSampler(Order(2, seed=1), constant(2, ClipShape(8, 96)), epochs=4)
    batches = list(Loader(clips, sampler, Options(workers=1)))
    assert len(batches) == 4
    for clip in torch.cat([batch.clips for batch in batches]).numpy():
        codes = [barcode.read(picture) for picture in clip]
        assert codes[0] is not None
        assert codes == list(range(codes[0], codes[0] + 24, 3))
