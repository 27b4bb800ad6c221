"""Label files: what each row means, and which file, line and column is wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from data.labels import LabelError, LabelledClip, read_labels

HEADER = "label,youtube_id,time_start,time_end,split\n"


def read(text: str | bytes, folder: Path) -> list[LabelledClip]:
    path = folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path)


def clip(start, stop, video="alYgwCPj4wQ", label="abseiling", split="train", line=2):
    return LabelledClip(video, label, start, stop, split, line)


GOOD = {
    "the predecessor's": (HEADER + "abseiling,alYgwCPj4wQ,10,20,train\n", clip(10, 20)),
    "id": ("label,id\nabseiling,alYgwCPj4wQ\n", clip(None, None, split="")),
    "another order": ("split,id,label\ntrain,alYgwCPj4wQ,abseiling\n", clip(None, None)),
    "exact times": (HEADER + "abseiling,alYgwCPj4wQ,0.1,12.345,train\n",
                    clip(Fraction(1, 10), Fraction(12345, 1000))),
    "spaces around times": (HEADER + "abseiling,alYgwCPj4wQ, 10 ,20 ,train\n", clip(10, 20)),
    "no times": (HEADER + "abseiling,alYgwCPj4wQ,,,train\n", clip(None, None)),
    "quotes and a comma": (HEADER + '"a, b",alYgwCPj4wQ,0,1,\n',
                           clip(0, 1, label="a, b", split="")),
    "a mark of the byte order": ("\ufeff" + HEADER + "abseiling,alYgwCPj4wQ,10,20,train\n",
                                 clip(10, 20)),
    "Windows lines": ((HEADER + "abseiling,alYgwCPj4wQ,10,20,train\n").replace("\n", "\r\n"),
                      clip(10, 20)),
    "no last line end": (HEADER + "abseiling,alYgwCPj4wQ,10,20,train", clip(10, 20)),
    "a short row": (HEADER + "abseiling,alYgwCPj4wQ\n", clip(None, None, split="")),
    "another column": ("label,id,colour\nabseiling,alYgwCPj4wQ,red\n", clip(None, None, split="")),
    "spaces in a label": ("label,id\nair drumming,-x 1\n",
                          clip(None, None, "-x 1", "air drumming", "")),
    "another alphabet": ("label,id\n跳水,ü\n", clip(None, None, "ü", "跳水", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_a_row_means(case: str, tmp_path: Path):
    text, meant = GOOD[case]
    (found,) = read(text, tmp_path)
    assert found == meant
    assert isinstance(found.start, Fraction | None)


def test_rows_keep_their_order_and_line(tmp_path: Path):
    rows = read("label,id\nb,1\na,2\n\nb,1\n", tmp_path)
    assert [(row.label, row.video, row.line) for row in rows] == [
        ("b", "1", 2), ("a", "2", 3), ("b", "1", 5)
    ]  # fmt: skip


def test_a_list_of_nothing(tmp_path: Path):
    assert read(HEADER, tmp_path) == []


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"list.csv:1: the columns are none; missing: label, youtube_id or id; allowed"),
    "no label": ("id\n1\n", r"list.csv:1: the columns are id; missing: label; allowed: label,"),
    "no id": ("label,split\na,b\n", r"list.csv:1: .*; missing: youtube_id or id"),
    "no header": ("abseiling,alYgwCPj4wQ,10,20,train\n", r"list.csv:1: .*missing: label"),
    "an empty label": (HEADER + ",x,1,2,\n", r"list.csv:2: column label is empty; every row"),
    "an empty id": (HEADER + "a,  ,1,2,\n", r"list.csv:2: column id is empty"),
    "no start": (HEADER + "a,x,,2,\n", r"list.csv:2: time_start and time_end go together"),
    "no end": (HEADER + "a,x,1,,\n", r"list.csv:2: time_start and time_end go together"),
    "backwards": (HEADER + "a,x,20,10,\n", r"list.csv:2: from 20 to 10 is no passage; time_start"),
    "nothing long": (HEADER + "a,x,5,5,\n", r"list.csv:2: from 5 to 5 is no passage"),
    "before the start": (HEADER + "a,x,-1,5,\n", r"list.csv:2: from -1 to 5 is no passage"),
    "words": (HEADER + "a,x,0,ten,\n", r"list.csv:2: column time_end is 'ten'; allowed are sec"),
    "infinite": (HEADER + "a,x,0,inf,\n", r"list.csv:2: column time_end is 'inf'"),
    "not a number": (HEADER + "a,x,nan,1,\n", r"list.csv:2: column time_start is 'nan'"),
    "the second row": (HEADER + "a,x,1,2,\na,x,2,1,\n", r"list.csv:3: from 2 to 1"),
    "a way out": (HEADER + "../..,x,1,2,\n", r"list.csv:2: column label is '../..'; it names a"),
    "a way up": (HEADER + "a,..,1,2,\n", r"list.csv:2: column id is '..'"),
    "here": (HEADER + ".,x,1,2,\n", r"list.csv:2: column label is '.'"),
    "a root": (HEADER + "a,/etc/passwd,1,2,\n", r"list.csv:2: column id is '/etc/passwd'"),
    "a backslash": (HEADER + "a\\b,x,1,2,\n", r"list.csv:2: column label is 'a"),
    "no UTF-8": (b"label,id\n\xff\xfe,1\n", r"list.csv: is not a CSV file in UTF-8"),
    "a null byte": (b"label,id\na\0b,1\n", r"list.csv(:2: column label is|: is not a CSV file)"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str, tmp_path: Path):
    text, message = BAD[case]
    with pytest.raises(LabelError, match=message):
        read(text, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(LabelError, match=r"cannot be read \(No such file or directory\); check"):
        read_labels(tmp_path / "list.csv")
