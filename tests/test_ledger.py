"""Clips that could not be read: none lost, none twice, whatever is done to the files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from data.ledger import HEADER, MERGED, Fault, Ledger, merge, read_ledger


def fault(clip: int, position: int = 0, reason: str = "frame 7 is damaged") -> Fault:
    return Fault(clip, position, f"train.csv:{clip + 2}", f"dancing/{clip}", reason)


def write(folder: Path, rank: int, *clips: int) -> Ledger:
    ledger = Ledger(folder, rank)
    ledger.add(fault(clip, position=100 * rank + clip) for clip in clips)
    return ledger


def test_what_was_added_is_read(tmp_path: Path):
    ledger = Ledger(tmp_path / "run" / "7", rank=3)
    ledger.add([fault(5), fault(2)])
    ledger.add([fault(9, 10**12)])
    assert ledger.path == tmp_path / "run" / "7" / "unread-3.csv"
    assert read_ledger(ledger.path) == [fault(5), fault(2), fault(9, 10**12)]


def test_a_ledger_is_a_table_with_one_header(tmp_path: Path):
    write(tmp_path, 0, 5)
    write(tmp_path, 0, 6)  # the run after this one
    rows = list(csv.reader((tmp_path / "unread-0.csv").read_text().splitlines()))
    assert rows[0] == list(HEADER) == ["clip", "position", "label", "video", "reason"]
    assert rows[1:] == [[str(value) for value in fault(clip, clip)] for clip in (5, 6)]


def test_no_faults_no_file(tmp_path: Path):
    ledger = Ledger(tmp_path / "run")
    ledger.add([])
    ledger.add(iter(()))
    assert not ledger.path.parent.exists()
    assert merge(tmp_path / "run") == []
    assert merge(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


REASONS = ['it says "no", twice', "one line\nand another", "Windows' lines\r\nand these",
           "comma, ;", "日本語 é", "", " spaces "]  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_any_reason_survives(tmp_path: Path, reason: str):
    faults = [fault(1), fault(2, reason=reason), fault(3)]
    ledger = Ledger(tmp_path)
    for one in faults:
        ledger.add([one])
    assert read_ledger(ledger.path) == faults
    assert merge(tmp_path) == faults
    assert read_ledger(tmp_path / MERGED) == faults


def test_merging_gives_each_clip_once_in_the_order_of_the_dataset(tmp_path: Path):
    write(tmp_path, 0, 7, 3)
    write(tmp_path, 1, 3, 11, 7)
    write(tmp_path, 10, 2)
    merged = merge(tmp_path)
    assert [one.clip for one in merged] == [2, 3, 7, 11]
    assert [one.position for one in merged] == [1002, 3, 7, 111]
    assert read_ledger(tmp_path / MERGED) == merged


def test_merging_again_changes_nothing_and_leaves_nothing(tmp_path: Path):
    write(tmp_path, 0, 7)
    write(tmp_path, 1, 3)
    first, text = merge(tmp_path), (tmp_path / MERGED).read_bytes()
    assert merge(tmp_path) == first
    assert (tmp_path / MERGED).read_bytes() == text
    write(tmp_path, 1, 5)
    assert [one.clip for one in merge(tmp_path)] == [3, 5, 7]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["unread-0.csv", "unread-1.csv", MERGED]


def test_a_line_cut_anywhere_costs_that_line_alone(tmp_path: Path):
    """Also what the next run adds behind it stays whole."""
    ledger = write(tmp_path, 0, 1, 2)
    whole = ledger.path.read_bytes()
    ledger.add([fault(3, reason='日本 "é"')])
    longer = ledger.path.read_bytes()
    for end in range(len(whole), len(longer)):
        ledger.path.write_bytes(longer[:end])
        assert read_ledger(ledger.path) == [fault(1, 1), fault(2, 2)]
        Ledger(tmp_path).add([fault(4)])
        assert read_ledger(ledger.path) == [fault(1, 1), fault(2, 2), fault(4)]


@pytest.mark.parametrize("end", range(0, 35, 3))
def test_a_header_cut_anywhere_is_written_anew(tmp_path: Path, end: int):
    ledger = write(tmp_path, 0, 1)
    ledger.path.write_bytes(ledger.path.read_bytes()[:end])
    assert read_ledger(ledger.path) == []
    ledger.add([fault(4)])
    assert read_ledger(ledger.path) == [fault(4)]


def test_a_ledger_edited_by_hand_reads_too(tmp_path: Path):
    """Editors of other systems end lines otherwise, or leave the last one open."""
    ledger = write(tmp_path, 0, 1, 2)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"\r\n", b"\n"))
    assert read_ledger(ledger.path) == [fault(1, 1), fault(2, 2)]
    ledger.add([fault(3)])
    assert read_ledger(ledger.path) == [fault(1, 1), fault(2, 2), fault(3)]
