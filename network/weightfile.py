"""The only reader of weight files: from a file to its state dict, without running what is in it.

Whatever was pickled beside the weights is read by torch's `weights_only` reader, which builds
tensors and plain values and calls nothing else. A few classes that do nothing but hold values are
allowed as well, because old training scripts kept their settings in them.
"""

from __future__ import annotations

import argparse
import errno
import pathlib
import pickle
import re
import shlex
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

SAFETENSORS = ".safetensors"
# Where training scripts keep the weights, and where those that are averaged over time.
PARTS = {
    "ema": ("ema", "ema_state_dict", "model_ema", "state_dict_ema"),
    "model": (
        "model",
        "state_dict",
        "model_state",
        "model_state_dict",
        "net",
        "network",
        "weights",
    ),
}


class StandIn:
    """For a class of another library that stands in the file and is of no use here."""


_NUMPY_SCALAR: Any = np.float64().__reduce__()[0]
_LIGHTNING = "pytorch_lightning"
# Classes that hold values and do nothing when they are made, each under the names it was saved by.
HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    np.dtype,
    *sorted({type(np.dtype(kind)) for kind in "?bhilqBHILQefd"}, key=str),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    *((pathlib.PurePosixPath, f"{room}.PosixPath") for room in ("pathlib", "pathlib._local")),
    *((pathlib.PureWindowsPath, f"{room}.WindowsPath") for room in ("pathlib", "pathlib._local")),
    (StandIn, f"{_LIGHTNING}.callbacks.model_checkpoint.ModelCheckpoint"),
    (StandIn, f"{_LIGHTNING}.callbacks.early_stopping.EarlyStopping"),
    (OrderedDict, f"{_LIGHTNING}.utilities.parsing.AttributeDict"),
]

FETCH = "fetch the file itself, by a link that gives it without a page around"
# What is whole and no weight file, by its first bytes, and what to do about it.
KINDS = (
    ("a page of the web", FETCH, rb"\s*<(!doctype|html|head|\?xml)"),
    ("a pointer of Git LFS and not the file", "fetch that with git lfs pull", rb"version https://git"),
    ("compressed", "unpack it and name the weight file in it",
     rb"\x1f\x8b|BZh\d1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!"),
    ("a tar archive", "unpack it and name the weight file in it", rb".{257}ustar"),
    ("an array of numpy's", "save the weights with torch.save", rb"\x93NUMPY"),
    ("of HDF5 (Keras's)", "take the network's weights for PyTorch", rb"\x89HDF\r\n"),
)  # fmt: skip

# What torch's reader says of a class that it does not know, and of one that it does not build.
FOREIGN = re.compile(r"GLOBAL (\S+)|Can only (?:build|create|SETITEM|append|extend)")
# What a user may run who trusts a file that we do not.
# Of it stays, at whatever depth, what our reader takes: tensors (arrays and modules become such),
# plain values, and dictionaries and lists of them. What `fits` not is left out.
PICKLED = (
    "import sys, torch, numpy; "
    "plain = (int, float, str, bool); "
    "made = lambda x: x.state_dict() if hasattr(x, 'state_dict') and not isinstance(x, type) "
    "else x; "
    "fits = lambda x: isinstance(x, (torch.Tensor, dict, list, tuple)) or type(x) in plain or "
    "isinstance(x, numpy.ndarray) and x.dtype.kind in 'fiub'; "
    "keep = lambda x: {k: keep(made(v)) for k, v in x.items() if type(k) in plain "
    "and fits(made(v))} if isinstance(x, dict) else [keep(made(v)) for v in x if fits(made(v))] "
    "if isinstance(x, (list, tuple)) else torch.as_tensor(x).detach() "
    "if not type(x) in plain else x; "
    "old = made(torch.load(sys.argv[1], map_location='cpu', weights_only=False)); "
    "torch.save(keep(old) if fits(old) else {}, sys.argv[2])"
)
SCRIPTED = (
    "import sys, torch; old = torch.jit.load(sys.argv[1], map_location='cpu'); "
    "torch.save(dict(old.state_dict()), sys.argv[2])"
)


@dataclass(frozen=True)
class Found:
    """Weights under the names they were saved by, and where they were."""

    state: dict[str, Tensor]
    place: str


def read(path: Path, part: str | None = None) -> Found:
    """The weights in a file, on the CPU. Of a checkpoint that holds averaged weights as well,
    these come first; `part` ("ema" or "model") says which."""
    if part is not None and part not in PARTS:
        raise ValueError(f"weights are 'ema' or 'model', got {part!r}")
    _check_length(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the weight file in it")
    if not path.exists():
        raise ValueError(f"there is no weight file {path}; a source is a file, torchvision, "
                         "torchvision:NAME, timm or timm:NAME")  # fmt: skip
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; fetch or copy it again")
    kind = _kind(path)
    content = _safetensors(path) if kind == SAFETENSORS else _pickled(path)
    found = _weights(path, content, part)
    _check_tensors(path, found.state)
    return found


def _check_length(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(f"a path of {len(str(path))} characters is too long to be a weight "
                             f"file's: {str(path)[:40]}...; name another") from error  # fmt: skip


def _kind(path: Path) -> str:
    """By the first bytes, whatever the file is called. What is whole and no weight file at all
    is refused here, as fetching it again would bring the same."""
    with path.open("rb") as file:
        head = file.read(512)
    for what, advice, sign in KINDS:
        if re.match(sign, head, re.IGNORECASE | re.DOTALL):
            raise ValueError(f"{path} is {what}; {advice}")
    header = int.from_bytes(head[:8], "little")
    is_safe = head[8:9] == b"{" and header <= path.stat().st_size - 8
    return SAFETENSORS if is_safe or path.suffix == SAFETENSORS else "pickled"


def _check_tensors(path: Path, state: dict[str, Tensor]) -> None:
    """Only plain tensors of numbers can be copied into a network."""
    for name, one in state.items():
        odd = ("without numbers (of the meta device)" if one.is_meta else
               "quantised" if one.is_quantized else
               "sparse" if one.layout != torch.strided else "")  # fmt: skip
        if odd:
            raise ValueError(f"{path} holds weights that are {odd}, such as {name}; save the "
                             "network's plain weights")  # fmt: skip


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _pickled(path: Path) -> object:
    """What was saved. Today's files are mapped, so that only what is used is ever read."""
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        _check_zip(path)
    try:
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        if foreign := FOREIGN.search(reason):
            raise _refused(path, foreign[1] or "a class of its own", PICKLED) from error
        raise _damaged(path, reason) from error
    except Exception as error:  # what is no pickle makes the reader stumble over anything
        raise _damaged(path, error) from error


def _check_zip(path: Path) -> None:
    """Every byte of it: torch itself never looks at the checksums in its files."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, error) from error
    if broken:
        raise _damaged(path, f"wrong checksum of {broken}")
    if not any(name.endswith("data.pkl") for name in names):
        inside = "numpy's arrays" if all(name.endswith(".npy") for name in names) else "other files"
        raise ValueError(f"{path} is a zip of {inside}, not of torch's; unpack it and name the "
                         "weight file, or save the weights with torch.save")  # fmt: skip
    if any(name.endswith("constants.pkl") for name in names):
        raise _refused(path, "a TorchScript program", SCRIPTED)


def _damaged(path: Path, why: object) -> ValueError:
    what = str(why).partition("\n")[0] or type(why).__name__
    return ValueError(f"{path} is no weight file, or a damaged one ({what[:100]}); fetch or copy "
                      "it again")  # fmt: skip


def _refused(path: Path, foreign: str, program: str) -> ValueError:
    clean = path.with_name(f"{Path(path.name.removesuffix('.tar')).stem}-clean.pth")
    command = shlex.join(["python", "-c", program, str(path), str(clean)])
    return ValueError(f"{path} needs {foreign}, and reading that may run whatever its maker wrote; "
                      f"if you trust the file, convert it and load {clean}: {command}")  # fmt: skip


def _weights(path: Path, content: object, part: str | None) -> Found:
    wanted = PARTS["ema"] + PARTS["model"] if part is None else PARTS[part]
    found = _find(content, wanted, depth=2)
    if found is None and part != "ema":
        found = _bare(content) or _elsewhere(path, content)
    if found is None:
        inside = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content)
        raise ValueError(f"{path} holds no {part or 'model'} weights, only: {inside}")
    return found


def _find(content: object, wanted: tuple[str, ...], depth: int) -> Found | None:
    """Under one of the names, or under two of them, one within the other."""
    if not isinstance(content, Mapping) or depth == 0:
        return None
    for name in wanted:
        inner = content.get(name)
        below = _find(inner, PARTS["model"] + ("state", "module"), depth - 1) or _bare(inner)
        if below:
            return Found(below.state, f"{name}.{below.place}".strip("."))
    return None


def _elsewhere(path: Path, content: object) -> Found | None:
    """Under a name of its own, where no other one comes into question."""
    if not isinstance(content, Mapping):
        return None
    inner = {name: found for name, value in content.items() if (found := _bare(value))}
    if len(inner) > 1:
        raise ValueError(f"{path} holds several sets of weights: {', '.join(map(str, inner))}; "
                         "save the one that is wanted by itself")  # fmt: skip
    return next((Found(found.state, str(name)) for name, found in inner.items()), None)


def _bare(content: object) -> Found | None:
    """The content itself, if names with tensors are most of it."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return None
    state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return Found(state, "") if state and 2 * len(state) > len(content) else None
