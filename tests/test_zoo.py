"""The table of names: each builds what it says, and what is said wrongly gets one sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from network.__main__ import Choices, Loading, Options, main, of_all
from network.count import macs, parameters
from network.zoo import NETWORKS, build, entry_of
from tests.command import ROOT, run

# Published, or counted of the published code: parameters at 400 classes, GMACs, frames, size.
PUBLISHED = {
    "r3d_18": (33_371_472, 40.6966, 16, 112),
    "mc3_18": (11_695_440, 43.3426, 16, 112),
    "r2plus1d_18": (31_505_325, 40.5191, 16, 112),
    "s3d": (8_320_048, 17.9788, 16, 224),
    "mvit_v1_b": (36_610_672, 70.599, 16, 224),
    "mvit_v2_s": (34_537_744, 64.2238, 16, 224),
    "swin3d_t": (28_158_070, 43.8822, 16, 224),
    "resnet18": (11_381_712, 1.81407, 1, 224),
    "resnet50": (24_327_632, 4.08918, 1, 224),
    "timesformer": (121_566_352, 195.83, 8, 224),
    "r3d_34": (63_681_104, 42.646, 16, 224),
    "srtg_r3d_18": (44_543_312, 25.321, 16, 224),
    "srtg_r3d_34": (83_861_072, 42.677, 16, 224),
    "r3d_50": (36_724_688, 26.468, 16, 224),
    "srtg_r3d_50": (56_904_656, 26.499, 16, 224),
    "r3d_101": (69_060_048, 39.133, 16, 224),
    "srtg_r3d_101": (107_135_440, 39.199, 16, 224),
    "r2plus1d_34": (61_831_661, 40.280, 16, 224),
    "srtg_r2plus1d_18": (42_677_165, 22.955, 16, 224),
    "srtg_r2plus1d_34": (82_011_629, 40.311, 16, 224),
    "r2plus1d_50": (34_863_287, 24.830, 16, 224),
    "srtg_r2plus1d_50": (55_043_255, 24.861, 16, 224),
    "r2plus1d_101": (67_218_231, 37.496, 16, 224),
    "srtg_r2plus1d_101": (105_293_623, 37.562, 16, 224),
}
# The same networks at other inputs, and in other forms.
MORE = [
    ("r2plus1d_18", {}, 31_505_325, 162.0757, 16, 224),
    ("r2plus1d_18", {}, 31_505_325, 20.2596, 8, 112),
    ("timesformer", {"attention": "joint"}, 86_112_400, 179.56, 8, 224),
    ("timesformer", {"attention": "space"}, 86_106_256, 140.50, 8, 224),
    ("r3d_34", {}, 63_681_104, 60.425, 16, 264),
    ("srtg_r3d_18", {}, 44_543_312, 35.696, 16, 264),
    ("srtg_r3d_34", {}, 83_861_072, 60.455, 16, 264),
    ("r3d_50", {}, 36_724_688, 37.443, 16, 264),
    ("srtg_r3d_50", {}, 56_904_656, 37.474, 16, 264),
    ("r3d_101", {}, 69_060_048, 56.118, 16, 264),
    ("srtg_r3d_101", {}, 107_135_440, 56.184, 16, 264),
    ("r2plus1d_34", {}, 61_831_661, 57.152, 16, 264),
    ("srtg_r2plus1d_18", {}, 42_677_165, 32.424, 16, 264),
    ("srtg_r2plus1d_34", {}, 82_011_629, 57.183, 16, 264),
    ("r2plus1d_50", {}, 34_863_287, 35.229, 16, 264),
    ("srtg_r2plus1d_50", {}, 55_043_255, 35.260, 16, 264),
    ("r2plus1d_101", {}, 67_218_231, 53.904, 16, 264),
    ("srtg_r2plus1d_101", {}, 105_293_623, 53.970, 16, 264),
]
ROWS: list[tuple[Any, ...]] = [(name, {}, *row) for name, row in PUBLISHED.items()] + MORE


@pytest.mark.parametrize(("name", "options", "numbers", "gigas", "frames", "size"), ROWS)
def test_it_is_the_network_that_was_published(name, options, numbers, gigas, frames, size):
    with torch.device("meta"):
        network = build(name, 400, frames, NETWORKS[name].usual[1], **options)
    assert parameters(network) == numbers
    assert macs(network, frames, size) / 1e9 == pytest.approx(gigas, rel=1e-3)


def test_every_class_more_is_one_row_of_the_head():
    with torch.device("meta"):
        few, many = build("srtg_r3d_34", 400), build("srtg_r3d_34", 700)
    assert parameters(many) - parameters(few) == 153_900  # published for 700 classes


@pytest.mark.parametrize("prefix", ["srtg_"])
@pytest.mark.parametrize("kind", ["r3d", "r2plus1d"])
@pytest.mark.parametrize("depth", ["18_pool", "34", "50", "101", "152", "200"])
def test_the_name_with_srtg_is_the_network_and_its_lstms(kind, depth, prefix):
    """The predecessor built the plain one under either name."""
    with torch.device("meta"):
        plain, recursive = build(f"{kind}_{depth}", 400), build(f"{prefix}{kind}_{depth}", 400)
    lstms = [module for module in recursive.modules() if isinstance(module, torch.nn.LSTM)]
    assert lstms
    widths = [lstm.hidden_size for lstm in lstms]
    assert parameters(recursive) - parameters(plain) == sum(16 * w * w + 16 * w for w in widths)


WRONG_NAMES = {
    "srtg_r3d34": r"there is no network 'srtg_r3d34'; the nearest are srtg_r3d_34",
    "R3D_18": r"the nearest are r3d_18",
    "r3d_18 ": r"there is no network 'r3d_18 '; the nearest are r3d_18",
    "xyz": r"none is called like that; python -m network lists all",
    "": r"there is no network ''",
    "timm:resnet5O": r"resnet50",
    "timm:": r"timm",
    None: r"a network's name is text, got None",
}


@pytest.mark.parametrize(("name", "said"), WRONG_NAMES.items())
def test_an_unknown_name_is_refused_with_the_nearest_ones(name, said):
    with pytest.raises(ValueError, match=said):
        build(name, 400)


WRONG_OPTIONS = [
    ("r3d_18", {"gates": True}, r"r3d_18 has no option gates; it has dropout"),
    ("r3d_34", {"gates": True}, r"no option gates"),
    ("srtg_r3d_34", {"bottleneck": "standard"}, r"no option bottleneck; it has dropout, gates"),
    ("srtg_r3d_50", {"bottleneck": "wide"}, r"seed, standard"),
    ("resnet50", {"consensus": "median"}, r"average, maximum, trn"),
    ("resnet50", {"modality": "flow"}, r"rgb, rgbdiff"),
    ("timesformer", {"attention": "axial"}, r"divided"),
    ("timesformer", {"frames": 8, "size": 100}, r"multiples of 16"),
    ("resnet50", {"frames": 8, "modality": "rgbdiff"}, r"multiples of 6"),
    ("r3d_18", {"dropout": 1.5}, r"dropout of r3d_18 is a share of 0 to less than 1, got 1.5"),
    ("r3d_18", {"dropout": float("nan")}, r"got nan"),
    ("timesformer_s", {"drop_path": -1}, r"drop_path of timesformer_s is a share"),
    ("srtg_r3d_18", {"gates": "False"}, r"gates of srtg_r3d_18 is True or False, got 'False'"),
    ("srtg_r3d_18", {"gates": None}, r"True or False, got None"),
    ("r3d_18", {"frames": 8.0}, r"whole number of frames, got 8.0"),
    ("r3d_18", {"size": (224, 448)}, r"whole number of size, got \(224, 448\)"),
    ("r3d_18", {"frames": 0}, r"at least 1 frame"),
    ("r3d_18", {"frames": -3}, r"at least 1 frame"),
]


@pytest.mark.parametrize(("name", "options", "said"), WRONG_OPTIONS)
def test_an_option_that_a_network_has_not_is_refused_with_those_it_has(name, options, said):
    with torch.device("meta"), pytest.raises(ValueError, match=said):
        build(name, 5, **options)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [(0, "at least 1 class"), ({}, "at least one task"), ({"verb": 0}, "at least 1 class"),
     (2.5, "2.5"), ("400", "400"), (True, "True"), ({"verb": "97"}, "97")],
)  # fmt: skip
def test_tasks_that_are_none_are_refused(tasks, said):
    with torch.device("meta"), pytest.raises((ValueError, TypeError), match=said):
        build("resnet18", tasks)


# What is no clip, said of which network.
NO_CLIPS = [
    ("r3d_18", (3, 8, 64, 64), r"r3d_18 takes clips of rank 5 .* got rank 4"),
    ("resnet18", (1, 3, 64, 64), r"got rank 4"),
    ("resnet18", (1, 4, 2, 64, 64), r"3 colours"),
    ("resnet18", (1, 8, 3, 64, 64), r"3 colours as batch, 3, frames, height, width"),
    ("r3d_18", (0, 3, 8, 64, 64), r"r3d_18 got a batch of no clips"),
    ("timesformer_s", (1, 3, 2, 60, 64), r"cannot take height 60; .* multiples of 16"),
    ("s3d", (1, 3, 2, 64, 64), r"cannot take frames 2; it needs at least 5 frames"),
    ("srtg_r3d_34", (1, 3, 2, 16, 64), r"cannot take height 16; .* at least 32 pixels"),
]


@pytest.mark.parametrize(("name", "shape", "said"), NO_CLIPS)
def test_what_is_no_clip_is_refused_with_what_is_needed(name, shape, said):
    with torch.device("meta"):
        network = build(name, 5)
        with pytest.raises(ValueError, match=said):
            network(torch.empty(shape))


def test_bytes_are_refused_with_the_way_to_make_floats_of_them():
    with torch.device("meta"):
        network = build("resnet18", 5)
        with pytest.raises(ValueError, match=r"float clips, got torch.uint8; .*to_network"):
            network(torch.empty(1, 3, 2, 64, 64, dtype=torch.uint8))


def test_named_tasks_answer_by_name_and_a_number_with_one_tensor():
    with torch.device("meta"):
        clip = torch.empty(2, 3, 8, 64, 64)
        assert build("r3d_18", 5)(clip).shape == (2, 5)
        said = build("r3d_18", {"verb": 97, "noun": 300})(clip)
    assert {task: logits.shape for task, logits in said.items()} == {
        "verb": (2, 97),
        "noun": (2, 300),
    }


def test_the_list_has_every_network_with_its_numbers():
    listed = of_all(400)
    lines = {line.split()[0]: line.split() for line in listed.splitlines() if line}
    assert set(NETWORKS) <= set(lines)
    assert lines["srtg_r3d_34"][1:] == ["SRTG", "83,861,072", "42.677", "16x224x224", "clip"]
    assert lines["resnet50"][1:3] == ["2D", "24,327,632"]
    assert lines["resnet50"][-1] == "frame"
    assert "one multiplication with its addition is one MAC" in listed


def test_the_command_shows_one_network_layer_by_layer():
    shown = run("network", "srtg_r3d_34", "--frames", 16, "--size", 224, "--depth", 4, "--gates")
    assert shown.code == 0
    assert "83,861,072 parameters, 42.677 GMACs" in shown.out
    stem = next(line for line in shown.out.splitlines() if line.split()[:1] == ["stem"])
    assert stem.split() == ["stem", "Sequential", "1x64x16x112x112", "28,352", "5.665"]
    assert "SqueezeAndRecursion" in shown.out
    assert "gates=True" in shown.out


def test_the_command_refuses_in_a_sentence():
    done = run("network", "srtg_r3d_35")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("ERROR there is no network 'srtg_r3d_35'; the nearest are srtg_r3d_")
    assert done.err.count("\n") == 1


def test_differences_come_in_groups_and_are_built_for_as_many_stacks_as_frames():
    with torch.device("meta"):
        network = build("resnet18", 5, modality="rgbdiff")
        assert network(torch.empty(1, 3, 48, 64, 64)).shape == (1, 5)
    assert main(Options("resnet18", choices=Choices(modality="rgbdiff"))) == 0


def test_timms_networks_of_one_size_are_built_for_it():
    assert entry_of("timm:beit_base_patch16_384").usual == (8, 384)
    assert entry_of("timm:resnet18").usual == (8, 224)


BAD_COMMANDS = [
    (Options("r3d_18", loading=Loading(strict=True)), "--weights are loaded; name some"),
    (Options("r3d_18", loading=Loading(weights="")), "ERROR"),
    (Options(loading=Loading(freeze="backbone")), "takes --classes alone"),
    (Options("r3d_18", choices=Choices(gates=True)), "r3d_18 has no option gates"),
    (Options("s3d", frames=2), "at least 5 frames"),
    (Options("resnet18", depth=0), "depth"),
    (Options("resnet18", classes=0), "at least 1 class"),
    (Options(classes=-1), "at least 1 class"),
]


@pytest.mark.parametrize(("options", "said"), BAD_COMMANDS)
def test_bad_options_are_refused_in_a_sentence(options, said, capsys):
    assert main(options) == 1
    out, err = capsys.readouterr()
    assert said in err
    assert not out


README = (ROOT / "README.md").read_text()


def test_the_readmes_example_runs(tmp_path, monkeypatch, capsys):
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", README, re.S) if "zoo" in one)
    published = {f"module.{name}": torch.rand(shape) for name, shape in {
        key.removeprefix("backbone."): value.shape
        for key, value in build("r3d_18", 12).state_dict().items() if "num_batches" not in key
    }.items() if "heads" not in name} | {"module.fc.weight": torch.rand(400, 512)}  # fmt: skip
    torch.save({"state_dict": published}, tmp_path / "kinetics.pth")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    shape, *report = capsys.readouterr().out.splitlines()
    assert shape.startswith("torch.Size([2, 97]) at least 1 frame, height and width")
    assert report[0].startswith("r3d_18 from kinetics.pth, state_dict: 100.0% of it, heads aside")
    assert "heads.to_label.weight (400x512 there, 12x512 here)" in "\n".join(report)
