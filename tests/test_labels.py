"""Label dialects: how each is recognised, and what its rows mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from data.label_file import LabelFile
from data.labels import FORMATS, LabelledClip, read_labels
from data.names import VIDEO_ENDINGS

HEADER = "label,youtube_id,time_start,time_end,split\n"


def clip(
    video: str = "alYgwCPj4wQ",
    label: str | None = "abseiling",
    passage: tuple = (None, None),
    split: str = "train",
    **rest,
) -> LabelledClip:
    start, stop = (None if end is None else Fraction(end) for end in passage)
    targets = {} if label is None else {"label": label}
    return LabelledClip(video, start, stop, rest.pop("targets", targets), split, **rest)


def kitchen(verb: str, noun: str, start: str, stop: str, **rest) -> LabelledClip:
    targets = {"verb": verb, "noun": noun, "action": f"{verb} {noun}"}
    return clip(rest.pop("video", "P01_05"), passage=(start, stop), targets=targets,
                group=rest.pop("group", "P01"), **rest)  # fmt: skip


EPIC_55 = ("uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,"
           "stop_frame,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes")  # fmt: skip
EPIC_100 = ("narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
            "stop_timestamp,start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,"
            "all_nouns,all_noun_classes")  # fmt: skip
VERBS = "id,key,instances\n0,take,\"['take', 'pick-up']\"\n3,open,['open']\n"
NOUNS = '"id","key","instances","category"\n19,"bag","[\'bag\']","containers"\n'
UCF_CLASSES = "1 ApplyEyeMakeup\n2 ApplyLipstick\n"
DIVES = '[["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]]'
TINY = {"categories": {"abseiling": 0, "archery": 1},
        "train": [{"video": "9RkXNJenaNU", "segment": [0, 39], "target": 1}],
        "val": [], "test": [{"video": "alYgwCPj4wQ", "segment": [5, 5], "target": 0}]}  # fmt: skip
OWN = "video,start,stop,unit,split,group,region,task:label\n"

# dialect, file name, text, what it means, what lies beside it
Case = tuple[str, str, str, list[LabelledClip], Mapping[str, str]]
GOOD: dict[str, Case] = {
    "the predecessor's": ("srtg", "a.csv", "label,id,time_start,split\nabseiling,x,,train\n",
                          [clip("x")], {}),
    "a list of nothing but names": ("srtg", "a.csv", "label,id\nabseiling,x\n",
                                    [clip("x", split="")], {}),
    "kinetics": ("kinetics", "a.csv", HEADER + "abseiling,alYgwCPj4wQ,10,20,train\n",
                 [clip(passage=(10, 20))], {}),
    "kinetics 700, another column": (
        "kinetics", "a.csv", HEADER.strip() + ",is_cc\ntestifying,---QUuC4vJs,84,94,validate,0\n",
        [clip("---QUuC4vJs", "testifying", (84, 94), "val")], {}),
    "kinetics' test set has no classes": (
        "kinetics", "a.csv", "youtube_id,time_start,time_end,split\nx,1,11,test\n",
        [clip("x", None, (1, 11), "test")], {}),
    "the split is in the file's name": (
        "kinetics", "kinetics-600_val.csv", "label,youtube_id,time_start,time_end\na,x,1,11\n",
        [clip("x", "a", (1, 11), "val")], {}),
    "what the row says counts for more": (
        "kinetics", "test.csv", HEADER + "a,x,1,11,train\na,y,1,11,\n",
        [clip("x", "a", (1, 11), "train"), clip("y", "a", (1, 11), "test")], {}),
    "another order": ("srtg", "a.csv", "split,id,label\ntrain,alYgwCPj4wQ,abseiling\n",
                      [clip()], {}),
    "exact times": ("kinetics", "a.csv", HEADER + "abseiling,x,0.1,12.345,train\n",
                    [clip("x", passage=(Fraction(1, 10), Fraction(12345, 1000)))], {}),
    "passages of one video": (
        "kinetics", "a.csv", HEADER + "a,x,0,10,\nb,x,0,11,\nb,x,1,10,\n",
        [clip("x", "a", (0, 10), ""), clip("x", "b", (0, 11), ""), clip("x", "b", (1, 10), "")],
        {}),
    "times of a clock": ("kinetics", "a.csv", HEADER + "abseiling,x,1:02.5,1:00:00,train\n",
                         [clip("x", passage=("62.5", 3600))], {}),
    "spaces around": ("kinetics", "a.csv", HEADER + " abseiling , x , 10 ,20 , train\n",
                      [clip("x", passage=(10, 20))], {}),
    "quotes and a comma": ("srtg", "a.csv", 'label,id\n"a, b",x\n', [clip("x", "a, b", split="")],
                           {}),
    "a mark of the byte order": ("kinetics", "a.csv",
                                 "\ufeff" + HEADER + "abseiling,x,10,20,train\n",
                                 [clip("x", passage=(10, 20))], {}),
    "windows lines": ("kinetics", "a.csv",
                      (HEADER + "abseiling,x,10,20,train\n").replace("\n", "\r\n"),
                      [clip("x", passage=(10, 20))], {}),
    "windows lines of a list": ("ucf101", "trainlist01.txt", "abseiling/x.avi 1\r\n",
                                [clip("abseiling/x")], {}),
    "blank lines": ("srtg", "a.csv", "\nlabel,id\n\nabseiling,x\n\n", [clip("x", split="")], {}),
    "no last line end": ("srtg", "a.csv", "label,id\nabseiling,x", [clip("x", split="")], {}),
    "cells of several lines": ("srtg", "a.csv", 'label,id,notes\nabseiling,x,"a\nb"\n',
                               [clip("x", split="")], {}),
    "rows that differ in what they hold": ("srtg", "a.csv", "label,id,notes\na,x,\na,y,\n",
                                           [clip("x", "a", split=""), clip("y", "a", split="")],
                                           {}),
    "ucf-101, numbers that agree": ("ucf101", "trainlist01.txt", "a/x.avi 1\nb/y.avi 2\na/z.avi 1",
                                    [clip("a/x", "a"), clip("b/y", "b"), clip("a/z", "a")], {}),
    "annotations, splits by other words": (
        "annotations", "a.json", '{"categories": {"a": 0}, "validation": [{"video": "y", "target":'
        ' 0}], "training": [{"video": "x", "target": 0}]}',
        [clip("x", "a"), clip("y", "a", split="val")], {}),
    "our own, blanks around": (
        "reelgrid", "a.csv", OWN + " x ,,,seconds,, P01 ,,a\n",
        [clip("x", "a", split="", group="P01")], {}),
    "another alphabet": ("srtg", "a.csv", "label,id\n跳水,ü\n", [clip("ü", "跳水", split="")], {}),
    "a path and an ending": ("srtg", "a.csv", "label,id\nabseiling,run/v1.2.MP4\n",
                             [clip("run/v1.2", split="")], {}),
    "hacs": ("hacs", "HACS_clips_v1.1.csv",
             "classname,youtube_id,subset,start,end,label\n"
             "Archery,a2X2hz1G6i8,training,15.5,17.5,1\nArchery,b,validation,77.5,79.5,-1\n",
             [clip("a2X2hz1G6i8", "Archery", ("15.5", "17.5")),
              clip("b", None, ("77.5", "79.5"), "val")], {}),
    "moments": ("moments", "trainingSet.csv",
                "blocking/getty-karate-video-id635808620_4.mp4,blocking,3,0\n"
                "dancing/yt-5of6ffo6-Bw_205.mp4,dancing,4,1\n",
                [clip("blocking/getty-karate-video-id635808620_4", "blocking",
                      group="getty-karate-video-id635808620"),
                 clip("dancing/yt-5of6ffo6-Bw_205", "dancing", group="yt-5of6ffo6-Bw")], {}),
    "ucf-101": ("ucf101", "trainlist01.txt",
                "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n",
                [clip("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01", "ApplyEyeMakeup",
                      group="v_ApplyEyeMakeup_g08")], {"classInd.txt": UCF_CLASSES}),
    "ucf-101, test": ("ucf101", "testlist01.txt", "ApplyLipstick/v_ApplyLipstick_g01_c02.avi\n",
                      [clip("ApplyLipstick/v_ApplyLipstick_g01_c02", "ApplyLipstick", split="test",
                            group="v_ApplyLipstick_g01")], {}),
    "hmdb-51": ("hmdb51", "brush_hair_test_split1.txt",
                "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nb.avi 2 \nc.avi 0 \n",
                [clip("April_09_brush_hair_u_nm_np1_ba_goo_0", "brush_hair", group="April_09"),
                 clip("b", "brush_hair", split="test"), clip("c", "brush_hair", split="")], {}),
    "diving-48": ("diving48", "Diving48_V2_train.json", json.dumps(
                  [{"vid_name": "-mmq0PT-u8k_00155", "label": 1, "start_frame": 0,
                    "end_frame": 48}]),
                  [clip("-mmq0PT-u8k_00155", "Back_15som_15Twis_FREE", (0, 48), unit="frames",
                        group="-mmq0PT-u8k")], {"Diving48_vocab.json": DIVES}),
    "diving-48, without words": (
        "diving48", "Diving48_V2_test.json",
        '[{"vid_name": "a", "label": 7, "start_frame": 2, "end_frame": 3}]',
        [clip("a", "7", (2, 3), "test", unit="frames")], {}),
    "autotosis": ("autotosis", "data.csv",
                  'rawdata/x.mp4 "[0.7833, 0.1296, 0.9682, 0.3694]" "(0.0, 20.993)" "(24, 31.8)"\n'
                  'rawdata/y.mp4 "[0.0, 0.0, 1.0, 1.0]"\n',
                  [clip("rawdata/x", label, ends, "", region=(0.7833, 0.1296, 0.9682, 0.3694))
                   for label, ends in (("positive", (0, "20.993")), ("negative", ("20.993", 24)),
                                       ("positive", (24, "31.8")), ("negative", ("31.8", None)))]
                  + [clip("rawdata/y", "negative", split="", region=(0.0, 0.0, 1.0, 1.0))], {}),
    "autotosis, before the first": (
        "autotosis", "data.csv", 'x.mp4 "[0, 0, 1, 1]" "(3.017,  7.399)"\n',
        [clip("x", label, ends, "", region=(0.0, 0.0, 1.0, 1.0))
         for label, ends in (("negative", (0, "3.017")), ("positive", ("3.017", "7.399")),
                             ("negative", ("7.399", None)))], {}),
    "epic-kitchens 55": (
        "epic", "EPIC_train_action_labels.csv", EPIC_55 + ",action_class\n1,P01,P01_05,take bread "
        "bag,00:08:30.46,00:08:31.35,30627,30681,take,0,bag,20,['bag'],[20], take the bag\n",
        [replace(kitchen("take", "bag", "510.46", "511.35"),
                 targets={"verb": "take", "noun": "bag", "action": "take the bag"})], {}),
    "epic-kitchens 100": (
        "epic", "EPIC_100_validation.csv", EPIC_100 + "\nP11_24_20,P11,P11_24,00:00:54.250,"
        "00:00:51.32,00:00:54.61,3079,3276,pick up bag,pick-up,0,bag:new,19,['bag'],[19]\n",
        [kitchen("take", "bag", "51.32", "54.61", split="val", group="P11", video="P11_24")],
        {"EPIC_100_verb_classes.csv": VERBS, "EPIC_100_noun_classes_v2.csv": NOUNS}),
    "epic-kitchens, test": (
        "epic", "EPIC_100_test_timestamps.csv",
        "uid,narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
        "stop_timestamp,start_frame,stop_frame\n"
        "1924,P01_101_0,P01,P01_101,00:00:02.851,00:00:02.86,00:00:03.87,143,193\n",
        [clip("P01_101", None, ("2.86", "3.87"), "test", group="P01")], {}),
    "epic-kitchens, frames only": (
        "epic", "a.csv", "participant_id,video_id,start_frame,stop_frame,verb,noun\n"
        "P01,P01_05,31,60,take,bag\n",
        [kitchen("take", "bag", "30", "60", split="", unit="frames")], {}),
    "verbs and nouns of files": (
        "actions", "val.csv", "uid,verb,noun,action,verb_class,noun_class\n"
        "put/3.mp4,put,cup,put cup,1,13\n4.mp4,take,cup,,0,13\n",
        [clip("put/3", split="val", targets={"verb": "put", "noun": "cup", "action": "put cup"}),
         clip("4", split="val", targets={"verb": "take", "noun": "cup", "action": "take cup"})],
        {}),
    "k400-tiny": ("k400tiny", "k400tiny_groundtruth.csv",
                  "youtube_id,folder_name,label\nabc,abc_1,air drumming\n",
                  [clip("abc_1", "air drumming", split="")], {}),
    "annotations": ("annotations", "annotations.json", json.dumps(TINY),
                    [clip("9RkXNJenaNU", "archery", (0, 40), unit="frames"),
                     clip(passage=(5, 6), split="test", unit="frames")], {}),
    "our own, frames are no seconds": (
        "reelgrid", "a.csv", OWN + "x,0,10,seconds,,,,a\nx,0,10,frames,,,,b\n",
        [clip("x", "a", (0, 10), ""), clip("x", "b", (0, 10), "", unit="frames")], {}),
    "our own": ("reelgrid", "a.csv", OWN + "run/x.mp4,1/3,2.5,seconds,val,P01,0.1 0 1 0.5,a\n"
                "y,3,,frames,,,,\n",
                [clip("run/x.mp4", "a", (Fraction(1, 3), "2.5"), "val", group="P01",
                      region=(0.1, 0.0, 1.0, 0.5)),
                 clip("y", None, (3, None), "", unit="frames")], {}),
}  # fmt: skip


@pytest.fixture
def label_file(tmp_path: Path):
    def write(case: Case) -> Path:
        _, name, text, _, beside = case
        for other, content in beside.items():
            (tmp_path / other).write_text(content, "utf-8")
        (tmp_path / name).write_bytes(text.encode())
        return tmp_path / name

    return write


@pytest.mark.parametrize("case", GOOD)
def test_what_a_dialect_means(case: str, label_file):
    path = label_file(GOOD[case])
    found = read_labels(path)
    assert [replace(one, where="") for one in found] == GOOD[case][3]
    assert all(one.where.startswith(str(path)) for one in found)
    ends = [end for one in found for end in (one.start, one.stop)]
    assert all(isinstance(end, Fraction | None) for end in ends)
    assert read_labels(path, GOOD[case][0]) == found


@pytest.mark.parametrize("case", GOOD)
def test_a_dialect_is_taken_for_no_other(case: str, label_file):
    """Named or recognised: nothing but the right one says that the file is its own."""
    file = LabelFile.read(label_file(GOOD[case]))
    first = next(name for name, dialect in FORMATS.items() if dialect.is_it(file))
    assert first == GOOD[case][0]


def test_every_dialect_is_shown():
    assert FORMATS.keys() - {case[0] for case in GOOD.values()} == {"folders"}


def test_rows_keep_their_order_and_line(tmp_path: Path):
    (tmp_path / "a.csv").write_text("label,id\nb,1\na,2\n\nb,3\n")
    rows = read_labels(tmp_path / "a.csv")
    assert [(row.targets["label"], row.video, row.where) for row in rows] == [
        ("b", "1", f"{tmp_path}/a.csv:2"), ("a", "2", f"{tmp_path}/a.csv:3"),
        ("b", "3", f"{tmp_path}/a.csv:5"),
    ]  # fmt: skip


def test_entries_of_json_say_which_they_are(label_file):
    for case, where in (("annotations", ":test[0]"), ("diving-48", "[0]")):
        assert read_labels(label_file(GOOD[case]))[-1].where.endswith(where)


def test_a_class_of_many_words_is_called_by_the_most_frequent(tmp_path: Path, complaints):
    """The dataset has classes of words: its list of classes names them, else the rows do."""
    rows = [(1, "pick-up", 0), (2, "take", 0), (3, "take", 0), (4, "open", 3)]
    lines = [f"{uid},P01,v,x,0:0{uid},0:09,1,2,{verb},{number},bag,20,x,x"
             for uid, verb, number in rows]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([EPIC_55, *lines]))
    verbs = [clip.targets["verb"] for clip in read_labels(tmp_path / "a.csv")]
    assert verbs == ["take", "take", "take", "open"]
    assert ["verb_class is several words" in line for line in complaints] == [True]
    complaints.clear()


EDITIONS = {
    # header, file name, what the class is called if lists of both editions lie beside
    "of 55": (EPIC_55, "EPIC_train_action_labels.csv", "old"),
    "of 100": (EPIC_100, "a.csv", "new"),
    "of 100, by its name": (EPIC_55, "EPIC_100_train.csv", "new"),
}


@pytest.mark.parametrize("case", EDITIONS)
def test_each_edition_has_its_own_list_of_classes(case: str, tmp_path: Path):
    header, name, wanted = EDITIONS[case]
    (tmp_path / "EPIC_100_verb_classes.csv").write_text("id,key\n0,new\n")
    (tmp_path / "EPIC_verb_classes.csv").write_text("verb_id,class_key\n0,old\n")
    cells = dict.fromkeys(header.split(","), "x") | {
        "start_timestamp": "0:01", "stop_timestamp": "0:02", "verb": "said", "verb_class": "0"
    }  # fmt: skip
    (tmp_path / name).write_text(f"{header}\n{','.join(cells.values())}\n")
    (found,) = read_labels(tmp_path / name)
    assert found.targets["verb"] == wanted
    own = "EPIC_100_verb_classes.csv" if wanted == "new" else "EPIC_verb_classes.csv"
    (tmp_path / own).unlink()
    (found,) = read_labels(tmp_path / name)
    assert found.targets["verb"] == "said"


def test_passages_of_several_tasks_may_coincide(tmp_path: Path):
    """Two actions at a time."""
    lines = [f"{uid},P01,v,x,0:01,0:09,1,2,{verb},{uid},bag,20,x,x"
             for uid, verb in ((1, "take"), (2, "look"))]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([EPIC_55, *lines]))
    assert len(read_labels(tmp_path / "a.csv")) == 2


NAMED = {
    "kinetics_train": "train", "HACS_clips_v1.1_val": "val", "validationSet": "val",
    "trainlist01": "train", "testlist03": "test", "EPIC_100_validation": "val",
    "Diving48_V2_test": "test", "hmdb_split1_train": "train", "VAL": "val",
    "tiny-training": "train",
    "latest": "", "labels": "", "train_val": "", "trainval": "", "contest": "", "valley": "",
    "strain": "", "tests": "",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_a_files_name_says_of_its_split(name: str, tmp_path: Path):
    (tmp_path / f"{name}.csv").write_text("label,id\na,x\n")
    ((found,), wanted) = read_labels(tmp_path / f"{name}.csv"), NAMED[name]
    assert found.split == wanted


@pytest.mark.parametrize("ending", sorted(VIDEO_ENDINGS))
def test_every_videos_ending_is_taken_off(ending: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"label,id\na,v.x{ending}\nb,w.x{ending.upper()}\nc,z.{'x'}\n")
    assert [one.video for one in read_labels(tmp_path / "a.csv")] == ["v.x", "w.x", "z.x"]


def test_clips_of_one_class_share_its_name(tmp_path: Path):
    """Half a million clips are to be no burden."""
    (tmp_path / "a.csv").write_text(HEADER + "a,x,0,10,\na,y,0,10,\n")
    first, second = read_labels(tmp_path / "a.csv")
    assert first.targets is second.targets
    assert first.start is second.start
    assert len({first, second}) == 2
