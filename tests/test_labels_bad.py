"""Label files that cannot be used: which file, line and column, and what is allowed instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.labels import FORMATS, LabelError, read_labels

HEADER = "label,youtube_id,time_start,time_end,split\n"
HACS = "classname,youtube_id,subset,start,end,label\n"
EPIC = "participant_id,video_id,start_timestamp,stop_timestamp,verb,verb_class,noun,noun_class\n"
FRAMES = "participant_id,video_id,start_frame,stop_frame,verb,noun\n"
OWN = "video,start,stop,unit,split,group,region,task:label\n"

DIVE = '{"vid_name": "a", "label": 0, "start_frame": 0, "end_frame": 9}'
KITCHEN = EPIC + "P01,v,0:01,0:02,take,0,bag,1\n"

# file name, contents, message
BAD: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("l", "", r"l: is empty; a label file has at least one row"),
    "blank": ("l", "\n \r\n", r"l: is empty"),
    "header only": ("l", HEADER, r"l: has a header and no rows below it"),
    "header only of a json": ("l", '{"categories": {}}', r"l: has a header and no rows"),
    "unknown": ("l", "file;class\nx;a\n", r"l:1: begins with 'file;class', which is no "
                r"dialect known here; name one with --label-format, or write one of\n"),
    "unknown json": ("l", '{"database": {}}', r"l:1: begins with '\{\"database"),
    "no header": ("l", "abseiling,alYgwCPj4wQ,10,20,train\n", r"l:1: begins with 'abse"),
    "no id": ("l", "label,split\na,b\n", r"l:1: begins with 'label,split'"),
    "no UTF-8": ("l", b"label,id\nb,2\na\xff,1\n", r"l:3: byte 0xff is no UTF-8; save"),
    "of another encoding": ("l", "label,id\n".encode("utf-16"), r"l:1: byte 0xff is no"),
    "a column twice": ("l", "label,id,id\na,x,y\n", r"l:1: column id is there twice"),
    "too many cells": ("l", "label,id\na, b,x\n", r"l:2: has 3 cells for 2 columns; put"),
    "a quote that never ends": ("l", "label,id\na,x\n" + "b,y\n" * 50_000 + '"' + "a" * 140_000,
                                r"l:50003: the row that begins here is no CSV \(field larger"),
    "a quote that ends nowhere": ("l", 'label,id,notes\na,x,y\n\nb,y,"open\nc,z,\n',
                                  r"l:4: the row that begins here is no CSV .*; if a quote opens"),
    "a quote that ends in another": ("l", 'label,id,notes\nb,y,"open\nc,z,"good"\n',
                                     r"l:2: the row that begins here is no CSV"),
    "too few cells": ("l", HEADER + "abseiling,x\n", r"l:2: has 2 cells for 5 columns; write ev"),
    "our own, too few cells": ("l", OWN + "x,1,2,seconds\n", r"l:2: has 4 cells for 8 columns"),
    "the header again": ("l", "label,id\na,x\nlabel,id\nb,y\n",
                         r"l:3: is the header once more; where files were joined, keep"),
    "the header again, of another file": ("l", "label,id\na,x\n\ufefflabel, id\nb,y\n",
                                          r"l:3: is the header once more"),
    "an empty label": ("l", HEADER + ",x,1,2,\n", r"l:2: column label is empty; every row"),
    "a blank label": ("l", HEADER + "  ,x,1,2,\n", r"l:2: column label is empty"),
    "an empty id": ("l", HEADER + "a,  ,1,2,\n", r"l:2: column youtube_id is empty"),
    "no start": ("l", HEADER + "a,x,,2,\n", r"l:2: time_start and time_end go together"),
    "no end": ("l", HEADER + "a,x,1,,\n", r"l:2: time_start and time_end go together"),
    "backwards": ("l", HEADER + "a,x,20,10,\n", r"l:2: from 20 to 10 is no passage; time_"),
    "nothing long": ("l", HEADER + "a,x,5,5,\n", r"l:2: from 5 to 5 is no passage"),
    "before the start": ("l", HEADER + "a,x,-1,5,\n", r"l:2: from -1 to 5 is no passage"),
    "words": ("l", HEADER + "a,x,0,ten,\n", r"l:2: column time_end is 'ten'; allowed are s"),
    "infinite": ("l", HEADER + "a,x,0,inf,\n", r"l:2: column time_end is 'inf'"),
    "not a number": ("l", HEADER + "a,x,nan,1,\n", r"l:2: column time_start is 'nan'"),
    "for years": ("l", HEADER + "a,x,0,1e9,\n", r"l:2: column time_end is '1e9'"),
    "no clock": ("l", HEADER + "a,x,0,1:75,\n", r"l:2: column time_end is '1:75'"),
    "the second row": ("l", HEADER + "a,x,1,2,\na,y,2,1,\n", r"l:3: from 2 to 1"),
    "a split": ("l", HEADER + "a,x,1,2,dev\n", r"l:2: column split is 'dev'; allowed are tr"),
    "a way out": ("l", HEADER + "../..,x,1,2,\n", r"l:2: column label is '../..'; it names"),
    "a way up": ("l", HEADER + "a,..,1,2,\n", r"l:2: column youtube_id is '..'; a video is"),
    "a way round": ("l", HEADER + "a,b/../../c,1,2,\n", r"l:2: column youtube_id is 'b/../"),
    "here": ("l", HEADER + ".,x,1,2,\n", r"l:2: column label is '.'"),
    "a root": ("l", HEADER + "a,/etc/passwd,1,2,\n", r"l:2: column youtube_id is '/etc/pa"),
    "a drive": ("l", HEADER + "a,C:/x,1,2,\n", r"l:2: column youtube_id is 'C:/x'"),
    "a backslash": ("l", HEADER + "a,b\\..\\c,1,2,\n", r"l:2: column youtube_id is 'b"),
    "a backslash in a label": ("l", HEADER + "a\\b,x,1,2,\n", r"l:2: column label is 'a"),
    "a slash at the end": ("l", HEADER + "a,x/,1,2,\n", r"l:2: column youtube_id is 'x/'"),
    "a null byte": ("l", "label,id\na,b\0\n", r"l:2: column id is 'b\\x00'"),
    "a line end in a label": ("l", 'label,id\n"a\nb",x\n', r"l:2: column label is 'a\\nb'"),
    "a hidden file": ("trainlist01.txt", "run/.x.avi 1\n", r"trainlist01.txt:1: column path is"),
    "the same row": ("l", HEADER + "a,x,1,2,\nb,y,1,2,\na,x,1,2,\n",
                     r"l:4: is the same row as line 2; delete one"),
    "the same row without a class": ("l", "youtube_id,time_start,time_end\nx,1,2\nx,1,2\n",
                                     r"l:3: is the same row as line 2"),
    "the same line": ("trainlist01.txt", "run/x.avi 1\nrun/x.avi 1\n", r"01.txt:2: is the same"),
    "the same passage": ("l", HEADER + "a,x,1,2,train\nb,y,1,2,\na,x,1.0,2,val\n",
                         r"l:4: the same passage of x is in .*l:2 already"),
    "the same whole video": ("l", "label,id\na,x.mp4\na,x.avi\n", r"l:3: the same passage"),
    "two classes": ("l", HEADER + "a,x,1,2,\nb,x,1,2,\n",
                    r"l:3: the passage of x is 'b' here and 'a' in .*l:2; delete"),
    "hacs, a sign": ("l", HACS + "a,x,training,1,2,0\n", r"l:2: column label is '0'; allowed"),
    "epic, no time": ("l", EPIC + "P01,v,,,take,0,bag,1\n", r"l:2: start_timestamp and stop_"),
    "epic, no verb": ("l", EPIC.replace("verb_class,", "") + "P01,v,0:01,0:02,,bag,1\n",
                      r"l:2: column verb is empty"),
    "epic, no frame": ("l", FRAMES + "P01,v,one,9,take,bag\n",
                       r"l:2: column start_frame is 'one'; a frame is a whole number"),
    "epic, backwards": ("l", FRAMES + "P01,v,10,9,take,bag\n", r"l:2: from 9 to 9 is no pas"),
    "actions, no noun": ("l", "uid,verb,noun\nx.mp4,take,\n", r"l:2: column noun is empty"),
    "k400-tiny, no class": ("l", "youtube_id,folder_name,label\nx,x,\n", r"l:2: column lab"),
    "ucf, a line": ("trainlist01.txt", "run/x.avi 1\nrun/y.avi one\n",
                    r"01.txt:2: the line is 'run/y.avi one'; allowed are lines like Archery/"),
    "ucf, a class of two numbers": ("l", "videos/0.mp4 0\nvideos/1.mp4 1\n",
                                    r"l:2: column number is '1'; the video lies in 'videos', and "
                                    r"above it has 0, so this is no list of UCF-101; write one"),
    "ucf, a number of two classes": ("l", "run/0.mp4 0\njump/1.mp4 0\n",
                                     r"l:2: column number is '0'; the .* 'run' has this number"),
    "ucf, numbers in front": ("l", "1 1 Archery/x.avi\n",
                              r"l:1: column path is '1 1 Archery/x.avi'; UCF-101's folders have"),
    "hmdb, elsewhere": ("l", "x.avi 1\n", r"l: HMDB-51 has its class in the file's name"),
    "hmdb, a line": ("a_test_split1.txt", "x.avi 1\ny.avi 3\n", r"1.txt:2: the line is 'y.avi 3"),
    "moments, a line": ("l", "run/x.mp4,run,3,0\nrun/y.mp4\n", r"l:2: the line is 'run/y.mp"),
    "autotosis, a box": ("l", 'x.mp4 "[0, 0, 1.2, 1]"\n',
                         r"l:1: column region is '\[0, 0, 1.2, 1\]'; a region is \[left, top"),
    "autotosis, no box": ("l", 'x.mp4 "[0, 0, 1]" "(1, 2)"\n', r"l:1: column region is '\[0"),
    "autotosis, words in a box": ("l", 'x.mp4 "[a, b, c, d]"\n', r"l:1: column region is"),
    "autotosis, not in a box": ("l", 'x.mp4 "[nan, 0, 1, 1]"\n', r"l:1: column region is"),
    "autotosis, inside out": ("l", 'x.mp4 "[0.5, 0, 0.5, 1]"\n', r"l:1: column region is"),
    "autotosis, an interval": ("l", 'x.mp4 "[0, 0, 1, 1]" "(1, 2, 3)"\n',
                               r"l:1: column interval is '\(1, 2, 3\)'; allowed are a start and"),
    "autotosis, backwards": ("l", 'x.mp4 "[0, 0, 1, 1]" "(3, 2)"\n', r"l:1: from 3 to 2 is"),
    "autotosis, overlapping": ("l", 'x.mp4 "[0, 0, 1, 1]" "(1, 5)" "(4, 9)"\n',
                               r"l:1: the interval from 4 begins before the one in front of it "
                               r"has ended, at 5; sort or join them"),
    "autotosis, a word for a box": ("l", 'x.mp4 "[0,0,1,1]"\ny.mp4 artosis "(1, 2)"\n',
                                    r"l:2: the line is 'y.mp4 artosis"),
    "autotosis, a video twice": ("l", 'x.mp4 "[0, 0, 1, 1]"\nx.mp4 "[0, 0, 1, 1]" "(1, 2)"\n',
                                 r"l:2: x has its intervals in .*l:1 already"),
    "autotosis, an absolute path": ("l", '/bulk/x.mp4 "[0, 0, 1, 1]"\n',
                                    r"l:1: column path is '/bulk/x.mp4'; a video is named by"),
    "json, cut off": ("l", '[\n{"vid_name": "a",', r"l:2: is no JSON \(Expecting"),
    "json, too deep": ("l", '[{"vid_name": ' + "[" * 200_000, r"l: is nested too deep"),
    "diving, no frame": ("l", '[{"vid_name": "a", "label": 1, "start_frame": 0}]',
                         r"l\[0\]: column end_frame is None; a frame is a whole number"),
    "diving, a true label": ("l", '[{"vid_name": "a", "label": true, "start_frame": 0, '
                             '"end_frame": 1}]', r"l\[0\]: column label is True"),
    "diving, a number for a name": ("l", '[{"vid_name": 7}]', r"column vid_name is 7; expected"),
    "diving, a number": ("l", '[{"vid_name": "a"}, 5]', r"l\[1\]: is 5; expected an object"),
    "annotations, a list": ("l", '{"categories": ["a"]}', r"l:categories: is \['a'\]; exp"),
    "annotations, a target": ("l", '{"categories": {"a": 0}, "val": [{"video": "x", "target": '
                              "3}]}", r"l:val\[0\]: column target is 3; categories has 1 class"),
    "annotations, a segment": ("l", '{"categories": {"a": 0}, "train": [{"video": "x", '
                               '"segment": [5, 4], "target": 0}]}',
                               r"l:train\[0\]: from 5 to 5 is no passage; the first frame"),
    "annotations, half a segment": ("l", '{"categories": {}, "train": [{"video": "x", '
                                    '"segment": [5]}]}', r"segment is \[5\]; expected \[first"),
    "annotations, a way up": ("l", '{"categories": {}, "test": [{"video": "../x"}]}',
                              r"l:test\[0\]: column video is '../x'; a video is"),
    "annotations, a split": ("l", '{"categories": {}, "dev": []}', r"l: has the key 'dev'; allowed"
                             " are categories, train, "),
    "annotations, a number for a list": ("l", '{"categories": {}, "train": 5}',
                                         r"l:train: is 5; expected a list in brackets"),
    "annotations, an object for a list": ("l", '{"categories": {}, "val": {"video": "x"}}',
                                          r"l:val: is \{'video': 'x'\}; expected a list"),
    "annotations, a number twice": ("l", '{"categories": {"a": 0, "b": 0}, "train": []}',
                                    r"l:categories: column b is 0; which is the number of 'a'"),
    "annotations, no number": ("l", '{"categories": {"a": [0]}}',
                               r"l:categories: column a is \[0\]; the number of a class is a who"),
    "annotations, a true target": ("l", '{"categories": {"a": 0, "b": 1}, "val": [{"video": "x", '
                                   '"target": true}]}', r"l:val\[0\]: column target is True; cat"),
    "annotations, several targets": ("l", '{"categories": {"a": 0, "b": 1}, "val": [{"video": "x",'
                                     ' "target": [1]}]}', r"l:val\[0\]: column target is \[1\]; c"),
    "annotations, a box in words": ("l", '{"categories": {}, "val": [{"video": "x", "region": '
                                    '"0 0 1 1"}]}', r"l:val\[0\]: column region is '0 0 1 1'; exp"),
    "annotations, a box of words": ("l", '{"categories": {}, "val": [{"video": "x", "region": '
                                    '["0", "0", "1", "1"]}]}', r"a list of four numbers"),
    "annotations, three sides": ("l", '{"categories": {}, "val": [{"video": "x", "region": '
                                 "[0, 0, 1]}]}", r"column region is \[0, 0, 1\]; a region is"),
    "annotations, a target of a task": ("l", '{"categories": {}, "val": [{"video": "x", "targets":'
                                        " 7}]}", r"l:val\[0\]:targets: is 7; expected an object"),
    "json, an endless number": ("l", '[{"vid_name": ' + "1" * 5000 + "}]", r"l: is no JSON of lab"),
    "diving, for ever": ("l", '[{"vid_name": "a", "label": 1, "start_frame": 0, "end_frame": '
                         + "9" * 400 + "}]", r"l\[0\]: column end_frame is 9+; a frame is"),
    "annotations, a task": ("l", '{"categories": {}, "test": [{"video": "x", "targets": {"../a"'
                            ': "b"}}]}', r"test\[0\]: '../a' names no task"),
    "annotations, a unit": ("l", '{"categories": {}, "test": [{"video": "x", "unit": "hours"}]}',
                            r"test\[0\]: column unit is 'hours'; allowed are seconds and frames"),
    "our own, a unit": ("l", OWN + "x,,,,,,,a\n", r"l:2: column unit is ''; allowed are sec"),
    "our own, half a frame": ("l", OWN + "x,1,2.5,frames,,,,a\n", r"frames are whole numbers"),
    "our own, backwards": ("l", OWN + "x,3,1,seconds,,,,a\n", r"l:2: from 3 to 1 is no pass"),
    "our own, a box": ("l", OWN + "x,,,seconds,,,0 0 1 2,a\n", r"l:2: column region is '0 0"),
    "our own, a way up": ("l", OWN + "../x,,,seconds,,,,a\n", r"l:2: column video is '../x'"),
    "our own, a task": ("l", OWN.replace("label", "../x") + "x,,,seconds,,,,a\n",
                        r"l:1: '../x' names no task"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str, tmp_path: Path):
    name, contents, message = BAD[case]
    path = tmp_path / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    with pytest.raises(LabelError, match=message):
        read_labels(path)


def test_an_unknown_dialect_hears_of_all_that_are_known(tmp_path: Path):
    (tmp_path / "l").write_text("nothing of ours\n")
    with pytest.raises(LabelError) as raised:
        read_labels(tmp_path / "l")
    for name, dialect in FORMATS.items():
        assert re.search(
            rf"^ +{name} +{re.escape(dialect.looks)}$", str(raised.value), re.MULTILINE
        )


def test_a_format_that_is_not_there(tmp_path: Path):
    with pytest.raises(LabelError, match=r"no label format 'k400'; there are:\n +folders"):
        read_labels(tmp_path, "k400")


WRONGLY_NAMED = {
    "hacs": r"l:1: the columns are label, id; missing: classname, youtube_id, subset",
    "epic": r"l:1: the columns are label, id; missing: video_id",
    "kinetics": r"never raised",
    "diving48": r"l:1: is no JSON",
    "folders": r"l: is a file; name the folder",
    "moments": r"l:1: the line is 'label,id'; allowed are lines like blocking/",
    "ucf101": r"l:1: the line is 'label,id'; allowed are lines like Archery/",
    "autotosis": r"l:1: the line is 'label,id'; allowed are lines like video.mp4",
}


@pytest.mark.parametrize("name", WRONGLY_NAMED)
def test_a_file_of_another_dialect_than_was_named(name: str, tmp_path: Path):
    (tmp_path / "l").write_text("label,id\na,x\n")
    if name == "kinetics":  # which the predecessor's list is, too
        assert len(read_labels(tmp_path / "l", name)) == 1
        return
    with pytest.raises(LabelError, match=WRONGLY_NAMED[name]):
        read_labels(tmp_path / "l", name)


def test_numbers_must_mean_what_the_list_of_classes_says(tmp_path: Path):
    (tmp_path / "classInd.txt").write_text("1 run\n2 jump\n")
    (tmp_path / "trainlist01.txt").write_text("jump/x.avi 2\njump/y.avi 1\n")
    with pytest.raises(
        LabelError, match=r"01.txt:2: column number is '1'; classInd.txt calls it 'ru"
    ):
        read_labels(tmp_path / "trainlist01.txt")
    (tmp_path / "EPIC_100_verb_classes.csv").write_text("id,key,instances\n0,take,x\n")
    (tmp_path / "l").write_text(EPIC + "P01,v,0:01,0:02,take,5,bag,1\n")
    with pytest.raises(LabelError, match=r"l:2: column verb_class is '5'; the list of classes ha"):
        read_labels(tmp_path / "l")
    (tmp_path / "Diving48_vocab.json").write_text('[["Back", "Free"]]')
    (tmp_path / "d").write_text('[{"vid_name": "a", "label": 1, "start_frame": 0, "end_frame": 9}]')
    with pytest.raises(LabelError, match=r"d\[0\]: column label is 1; Diving48_vocab.json has 0"):
        read_labels(tmp_path / "d")


# what lies beside a list, the list, message
BESIDE: dict[str, tuple[str, str | bytes, str, str]] = {
    "a vocabulary that is no list": ("Diving48_vocab.json", '{"a": 1}', "[" + DIVE + "]",
                                     r"vocab.json: is \{'a': 1\}; expected a list"),
    "a vocabulary of numbers": ("Diving48_vocab.json", "[5]", "[" + DIVE + "]",
                                r"vocab.json\[0\]: is 5; expected a list"),
    "EPIC's classes, a short row": ("EPIC_100_verb_classes.csv", "id,key\n0\n", KITCHEN,
                                    r"EPIC_100_verb_classes.csv:2: has a number and no name"),
    "EPIC's classes, no UTF-8": ("EPIC_100_verb_classes.csv", b"id,key\n0,\xff\n", KITCHEN,
                                 r"EPIC_100_verb_classes.csv:2: byte 0xff is no UTF-8"),
    "UCF's classes, no UTF-8": ("classInd.txt", b"1 caf\xe9\n", "cafe/x.avi 1\n",
                                r"classInd.txt:1: byte 0xe9 is no UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE)
def test_what_is_wrong_beside_a_list_is_said(case: str, tmp_path: Path):
    name, contents, text, message = BESIDE[case]
    (tmp_path / name).write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    (tmp_path / "l").write_text(text)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "l")


def test_a_dialect_of_files_and_a_folder(tmp_path: Path):
    with pytest.raises(LabelError, match=r"is a folder, and srtg is a file; name it, or several"):
        read_labels(tmp_path, "srtg")


def test_two_classes_that_would_have_one_name(tmp_path: Path):
    rows = "".join(f"P01,v,0:0{at},0:09,turn,{at},bag,1\n" for at in (3, 8))
    (tmp_path / "l").write_text(EPIC + rows)
    message = (r"l: verb_class 3 and 8 would both be called 'turn' after their most frequent word;"
               r" put EPIC_100_verb_classes.csv beside")  # fmt: skip
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "l")


def test_ten_errors_are_shown_and_the_others_counted(tmp_path: Path):
    (tmp_path / "l").write_text("label,id\n" + "".join(f",{at}\n" for at in range(25)))
    with pytest.raises(LabelError) as raised:
        read_labels(tmp_path / "l")
    *lines, last = str(raised.value).split("\n")
    assert [line.split(":")[1] for line in lines] == [str(2 + at) for at in range(10)]
    assert last == "and 15 more"


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(LabelError, match=r"cannot be read \(No such file or directory\); check"):
        read_labels(tmp_path / "list.csv")
    with pytest.raises(LabelError, match=r"cannot be read \(No such file or directory\); check"):
        read_labels(tmp_path / "*.csv")
