"""Everything that can go wrong with a conversion, by name: what is said, and what is left whole."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from data.catalog import Catalog
from data.store import FrameStore
from tests import barcode, synth
from tests.command import ROOT, run
from tools.check import check
from tools.convert import UsageError, convert
from tools.workplace import FOLDER, Shard, workplace


@pytest.fixture
def videos(media, tmp_path) -> Path:
    """Twelve videos in two classes."""
    for number in range(12):
        path = tmp_path / "videos" / "ab"[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(media("bframes").path.read_bytes())
    return tmp_path / "videos"


def assert_whole(out: Path, count: int) -> None:
    reports = check(out, jobs=1)
    assert len(reports) == count
    assert [fault for report in reports for fault in report.faults] == []


def leftovers(out: Path) -> list[str]:
    """Files of an unfinished conversion."""
    inside = list((out / FOLDER).rglob("*")) if (out / FOLDER).exists() else []
    return [path.name for path in inside if path.suffix != ".lock" and path.is_file()]


# -- what cannot begin -----------------------------------------------------------------------------


def test_out_inside_source_is_refused(videos):
    for out in (videos, videos / "out", videos / "a" / "deep" / "out"):
        with pytest.raises(UsageError, match=r"OUT, .*, lies in SOURCE"):
            convert(videos, out)
    link = videos.parent / "link"
    link.symlink_to(videos)
    with pytest.raises(UsageError, match="lies in SOURCE"):
        convert(videos, link / "out")
    assert sorted(path.name for path in videos.iterdir()) == ["a", "b"]


def test_source_where_out_is_written_is_refused(media, tmp_path):
    (tmp_path / "jpg").mkdir()
    shutil.copy(media("constant").path, tmp_path / "jpg" / "a.mp4")
    with pytest.raises(UsageError, match="lies where OUT"):
        convert(tmp_path / "jpg", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what to convert and where to"),
        (["only_one"], "name what to convert and where to"),
        (["nothing_here", "out"], "SOURCE, nothing_here, does not exist"),
        (["empty", "out"], "found no videos in empty (1 other files)"),
        (["empty", "file"], "OUT, file, is a file; name a folder"),
        (["out", "--labels", "none.csv"], "--labels takes one folder of videos"),
        (["out", "--labels", "none.csv", "--videos", "empty"], "none.csv: cannot be read"),
        (["empty", "out", "--videos", "empty"], "--videos goes with --labels"),
        (["empty", "out", "--quality", "0"], "--quality is from 1 to 100"),
        (["empty/x.mp4", "/proc/reelgrid"], "cannot be written to"),
    ],
)
def test_a_run_that_cannot_begin_says_why_and_ends_with_2(tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    if "x.mp4" in str(arguments):
        (tmp_path / "empty" / "x.mp4").touch()
    (tmp_path / "file").touch()
    result = run("tools.convert", *arguments, folder=tmp_path)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out" / "jpg").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_refused(media, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    with pytest.raises(UsageError, match="cannot be written to"):
        convert(media("constant").path, out)


def test_two_runs_on_one_dataset_are_refused_shards_are_not(media, tmp_path):
    out = tmp_path / "out"
    with workplace(out, Shard(1, 2)):
        for shard in ("1/2", "1/1", "2/3"):
            with pytest.raises(UsageError, match="another run converts into"):
                convert(media("constant").path, out, shard=shard)
        assert convert([media("constant").path, media("bframes").path], out,
                       shard="2/2").converted == 1  # fmt: skip
    assert convert([media("constant").path, media("bframes").path], out).skipped == 1


def test_another_run_is_told_apart_from_a_dead_one(media, tmp_path):
    """What a killed run left is cleared, whatever its share of the work was."""
    out = tmp_path / "out"
    for shard in (Shard(), Shard(2, 5)):
        folder = out / FOLDER / str(shard)
        folder.mkdir(parents=True)
        (folder / "123-0.db").write_bytes(b"half")
        (out / FOLDER / f"{shard}.lock").touch()
    convert(media("constant").path, out)
    assert not (out / FOLDER).exists()


# -- what dies -------------------------------------------------------------------------------------


@contextmanager
def running(videos: Path, out: Path, *arguments: str):
    command = [sys.executable, "-m", "tools.convert", str(videos), str(out), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("finished", [0, 1, 5])
def test_killed_at_any_moment_it_leaves_whole_databases_and_goes_on(videos, tmp_path, finished):
    out = tmp_path / "out"
    with running(videos, out, "--jobs", "2") as process:
        if finished:
            wait_for(lambda: len(list(out.rglob("frames.db"))) >= finished)
        else:
            wait_for(lambda: leftovers(out))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: not _workers_of(out))
    whole = list(out.rglob("frames.db"))
    for path in whole:
        with FrameStore(path) as store:
            assert [barcode.read(one) for one in store.frames(range(45))] == list(range(45))
    summary = convert(videos, out)
    assert summary.skipped == len(whole)
    assert summary.converted == 12 - len(whole)
    assert_whole(out, 12)
    assert not (out / FOLDER).exists()


def _workers_of(out: Path) -> list[int]:
    """Processes that still have a file in this dataset open."""
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            targets = [os.readlink(link) for link in folder.iterdir()]
        except OSError:
            continue
        if any(str(out) in target for target in targets) and int(folder.parent.name) != os.getpid():
            found.append(int(folder.parent.name))
    return found


def test_a_worker_that_dies_costs_one_video(videos, tmp_path):
    """The process that reads a file may be killed; its file is listed, the rest is done."""
    out = tmp_path / "out"
    big = synth.endless(tmp_path / "big.mp4", minutes=30).rename(videos / "a" / "big.mp4")
    with running(videos, out, "--jobs", "2") as process:
        wait_for(lambda: len(list(out.rglob("frames.db"))) >= 2)
        wait_for(lambda: any(_holds(pid, big) for pid in _workers_of(out)))
        (victim,) = {pid for pid in _workers_of(out) if _holds(pid, big)}
        os.kill(victim, signal.SIGKILL)
        assert process.wait(60) == 1
    assert (
        "big.mp4,the process that worked on it was ended by SIGKILL"
        in (out / "failed.csv").read_text()
    )
    assert_whole(out, 12)


def _holds(pid: int, path: Path) -> bool:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return any(os.path.exists(link) and os.path.samefile(link, path) for link in links)


def test_interrupted_by_ctrl_c_it_clears_up(videos, tmp_path):
    out = tmp_path / "out"
    with running(videos, out, "--jobs", "1") as process:
        wait_for(lambda: len(list(out.rglob("frames.db"))) >= 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert leftovers(out) == []
    assert not (out / FOLDER).exists()


# -- disks -----------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str):
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder],
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode:
        pytest.skip("may not mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_full_disk_what_fits_is_done_and_the_rest_is_listed(media, videos, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        summary = convert(videos, disk / "out", jobs=1, audio=False)
        assert 0 < summary.converted < 12
        assert summary.converted + summary.failed == 12
        assert all("full" in reason or "space" in reason for _, reason in summary.failures)
        assert_whole(disk / "out", summary.converted)
        assert leftovers(disk / "out") == []


def test_a_limit_on_file_sizes_is_listed_like_a_full_disk(videos, tmp_path):
    limit = 100_000
    command = [sys.executable, "-m", "tools.convert", str(videos), str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "12 failed" in done.stdout
    assert "cannot be written" in (tmp_path / "out" / "failed.csv").read_text()
    assert list((tmp_path / "out").rglob("*.db")) == [tmp_path / "out" / "catalog.db"]


def test_nothing_is_written_through_a_link_that_leads_out(media, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "out"
    (out / "jpg").mkdir(parents=True)
    (out / "jpg" / "_").symlink_to(outside)
    ((_, reason),) = convert(media("constant").path, out).failures
    assert "leads out of the dataset" in reason
    assert list(outside.iterdir()) == []


def test_a_work_folder_that_is_a_link_is_refused(media, tmp_path):
    scratch = tmp_path / "scratch" / "1-of-1"
    scratch.mkdir(parents=True)
    (scratch / "mine.txt").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / FOLDER).symlink_to(scratch.parent)
    with pytest.raises(UsageError, match="is a link"):
        convert(media("constant").path, tmp_path / "out")
    assert (scratch / "mine.txt").exists()


def test_the_sources_stay_as_they_are(videos, tmp_path):
    def state() -> dict[str, tuple[str, int]]:
        return {
            str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in sorted(videos.rglob("*")) if path.is_file()
        }  # fmt: skip

    before = state()
    convert(videos, tmp_path / "out")
    convert(videos, tmp_path / "out", overwrite=True, quality=50)
    assert state() == before


# -- damaged sources -------------------------------------------------------------------------------


def test_what_decodes_of_a_damaged_video_is_kept_and_flagged(media, tmp_path):
    path = tmp_path / "cut.ts"
    data = bytearray(media("ts").path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    summary = convert(path, tmp_path / "out")
    ((name, what),) = summary.damaged
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "cut") as store:
        assert 0 < len(store) <= 45
        assert (name, store.meta["damage"]) == ("_/cut", what)
    assert Catalog(tmp_path / "out")["_/cut"].frames == len(store_frames(tmp_path))


def store_frames(tmp_path: Path) -> range:
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "cut") as store:
        return range(len(store))


def test_a_file_that_promises_more_than_it_holds_counts_what_it_holds(media, tmp_path):
    path = tmp_path / "cut.ts"
    data = media("ts").path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188])
    convert(path, tmp_path / "out")
    frames = store_frames(tmp_path)
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "cut") as store:
        assert 20 < len(frames) < 45
        assert [barcode.read(one) for one in store.frames(frames[:-2])] == list(frames[:-2])
        count = (tmp_path / "out" / "jpg" / "_" / "cut" / "n_frames").read_text()
        assert count == str(len(store))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"just text", "is text, not video"),
        (os.urandom(5000), "is not a video file"),
    ],
)
def test_sources_that_are_no_videos_are_listed_with_reason(tmp_path, content, reason):
    (tmp_path / "x.mp4").write_bytes(content)
    ((path, found),) = convert(tmp_path / "x.mp4", tmp_path / "out").failures
    assert path == str(tmp_path / "x.mp4")
    assert reason in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_source_that_may_not_be_read_is_listed(media, tmp_path):
    path = tmp_path / "x.mp4"
    shutil.copy(media("constant").path, path)
    path.chmod(0)
    ((_, reason),) = convert(path, tmp_path / "out").failures
    assert "permission" in reason.lower()
