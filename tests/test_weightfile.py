"""Weight files that are not what they should be: one sentence each, and nothing in them is run."""

import gzip
import os
import shlex
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from network.weightfile import read
from tests.smallnet import Small


class Settings:
    """What nobody knows but the script that made it."""


class Malicious:
    def __reduce__(self):
        return os.system, ("touch was-run",)


def saved(content, **options):
    def write(path):
        torch.save(content, path, **options)

    return write


def truncated(zipped):
    def write(path):
        torch.save({"a": torch.rand(5000)}, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[:12000])

    return write


def flipped(path):
    """One bit in the middle of the numbers."""
    torch.save({"a": torch.rand(5000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def program(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 3), torch.rand(1, 2)), path)


def short_safetensors(path):
    save_file({"a": torch.rand(100)}, path)
    path.write_bytes(path.read_bytes()[:-7])


TENSOR = {"a": torch.rand(2)}
BAD = {
    "missing": ("x.pth", lambda path: None, "no weight file .*a source is a file, torchvision"),
    "a folder": ("x.pth", Path.mkdir, "is a folder"),
    "empty": ("x.pth", Path.touch, "is empty"),
    "a page": ("x.pth", lambda path: path.write_text("\n<!DOCTYPE html>404"), "a page of the web"),
    "another page": ("x.safetensors", lambda path: path.write_text("<html>404"), "a page of the"),
    "a pointer": ("x.pth", lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:12\n"), "pointer of Git LFS"),
    "compressed": ("x.pth", lambda path: path.write_bytes(gzip.compress(b"weights")), "is compre"),
    "a tar": ("x.pth.tar", lambda path: write_tar(path), "is a tar archive; unpack it"),
    "an npz": ("x.pth", lambda path: write_npz(path), "is a zip of numpy's arrays"),
    "an npy": ("x.pth", lambda path: write_npy(path), "is an array of numpy's"),
    "meta": ("x.pth", saved({"a": torch.ones(3, device="meta")}), "without numbers .*such as a"),
    "a long name": ("x" * 300, lambda path: None, "a path of .* characters is too long"),
    "noise": ("x.pth", lambda path: path.write_bytes(bytes(range(256)) * 40), "damaged one"),
    "half a zip": ("x.pth", truncated(True), "damaged one"),
    "half an old file": ("x.pth", truncated(False), "damaged one"),
    "a flipped bit": ("x.pth", flipped, "wrong checksum of x/data/0"),
    "a zip of something": ("x.pth", lambda path: write_zip(path), "is a zip of other files"),
    "half safetensors": ("x.safetensors", short_safetensors, "damaged one"),
    "no safetensors": ("x.safetensors", saved(TENSOR), "damaged one"),
    "a list": ("x.pth", saved([torch.rand(1)]), "holds no model weights, only: .*list"),
    "a tensor": ("x.pth", saved(torch.rand(1)), "holds no model weights, only: .*Tensor"),
    "numbers": ("x.pth", saved({"epoch": 1, "lr": 0.1}), "no model weights, only: epoch, lr"),
    "two sets": ("x.pth", saved({"student": TENSOR, "teacher": TENSOR}),
                 "several sets of weights: student, teacher"),
    "numpy": ("x.pth", saved({"a": torch.rand(1).numpy()}), "needs numpy.*_reconstruct"),
    "a whole module": ("x.pth", saved(Small()), "needs tests.smallnet.Small"),
    "settings of its own": ("x.pth", saved({"model": TENSOR, "args": Settings()}),
                            "needs tests.test_weightfile.Settings"),
    "a program": ("x.pt", program, "needs a TorchScript program"),
    "malice": ("x.pth", saved({"model": TENSOR, "args": Malicious()}), "needs posix.system"),
    "old malice": ("x.pth", saved(Malicious(), _use_new_zipfile_serialization=False),
                   "needs posix.system"),
}  # fmt: skip


def write_npz(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def write_npy(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "readme.txt")


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_one_sentence_and_is_not_run(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, write, message = BAD[what]
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name)[:40] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only` set to" not in str(caught.value)  # torch's advice, which runs the file
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("name", "write", "keys"),
    [
        ("run.1_best.pth.tar", saved(Small()), set(Small().state_dict())),
        ("x.pth", saved({"model": Small(), "args": Settings()}), set(Small().state_dict())),
        ("x y's.pth", saved({"state_dict": TENSOR, "args": Settings()}), {"a"}),
        ("x.pt", program, {"weight", "bias"}),
        ("x.pth", saved({"net": Small(), "best": Settings()}), set(Small().state_dict())),
        ("x.pth", saved({"model_state": TENSOR, "cfg": Settings()}), {"a"}),
        ("x.pth", saved({**TENSOR, "cfg": Settings(), "n": None}), {"a"}),
        ("x.pth", saved({"a": np.zeros(2), "cfg": Settings()}), {"a"}),
        (
            "x.pth",
            saved(
                {
                    "state_dict": {"b": torch.ones(1)},
                    "ema": {"module": TENSOR},
                    "cfg": Settings(),
                    Settings: 1,
                    "sizes": (1, Settings()),
                }
            ),
            {"a"},
        ),
        (
            "x.pth",
            saved({"model": {"state_dict": TENSOR}, "epoch": 1, "args": [Settings()]}),
            {"a"},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_advised_conversion_works(name, write, keys, tmp_path, monkeypatch):
    write(tmp_path / name)
    with pytest.raises(ValueError, match="if you trust the file, convert it and load") as caught:
        read(tmp_path / name)
    option, code, *paths = shlex.split(str(caught.value).rpartition(": python ")[2])
    clean = Path(paths[-1])
    assert clean.name == name.removesuffix(".tar").rpartition(".")[0] + "-clean.pth"
    assert option == "-c"
    monkeypatch.setattr(sys, "argv", [option, *paths])
    exec(code, {})  # as python -c would, without the seconds that torch takes to start
    assert read(clean).state.keys() == keys


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("quantised", lambda: torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8)),
        ("sparse", lambda: torch.eye(3).to_sparse()),
        ("sparse", lambda: torch.eye(3).to_sparse_csr()),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of torch's, about making and reading such tensors
def test_weights_of_another_layout_are_one_sentence(kind, made, tmp_path):
    torch.save({"model": {"a": made()}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=f"x.pth holds weights that are {kind}, such as a"):
        read(tmp_path / "x.pth")


def test_safetensors_are_known_by_what_they_are_and_not_by_their_name(tmp_path):
    save_file(TENSOR, tmp_path / "x.pth")
    assert torch.equal(read(tmp_path / "x.pth").state["a"], TENSOR["a"])


@pytest.mark.parametrize(
    ("part", "message"),
    [("ema", "x.pth holds no ema weights, only: model"), ("best", "'ema' or 'model', got 'best'")],
)
def test_a_part_that_is_not_there_is_one_sentence(part, message, tmp_path):
    torch.save({"model": TENSOR}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "x.pth", part)


def test_what_is_read_is_on_the_cpu_and_not_read_before_it_is_used(tmp_path):
    """A mapped file costs no memory: its pages are the storage of its tensors."""
    torch.save({"state_dict": {"a": torch.rand(1000, 1000)}, "optimizer": torch.rand(1000)},
               tmp_path / "x.pth")  # fmt: skip
    found = read(tmp_path / "x.pth")
    assert found.place == "state_dict"
    assert found.state["a"].device.type == "cpu"
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(tmp_path / "x.pth") in maps.read_text()
