"""What a source of weights means: a file, or what torchvision or timm publish."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import timm
import torch
from torchvision import models

from network.weightfile import Found, read

TORCHVISION, TIMM = "torchvision", "timm"


def find(source: str | Path, network: str, part: str | None = None) -> Found:
    """The weights a source stands for, under their own names.

    A source is a file; `torchvision` (the usual weights of the network's name),
    `torchvision:WEIGHTS`, `torchvision:MODEL` or `torchvision:MODEL:WEIGHTS`; `timm` or
    `timm:MODEL`. What is published is fetched once and kept where these libraries keep it.
    """
    library, *names = str(source).split(":") if isinstance(source, str) else [""]
    if library == TORCHVISION:
        return read(_torchvision(network, names))
    if library == TIMM:
        return _timm(":".join(names) or network.removeprefix(f"{TIMM}:"))
    return read(Path(source), part)


def _torchvision(network: str, names: list[str]) -> Path:
    if len(names) > 2:
        raise ValueError(
            "torchvision's weights are torchvision, torchvision:WEIGHTS, torchvision:MODEL or "
            f"torchvision:MODEL:WEIGHTS, got {len(names)} names: {', '.join(names)}"
        )
    known = models.list_models()
    has_model = len(names) == 2 or bool(names and (names[0] in known or names[0].islower()))
    model = names.pop(0) if has_model else network
    if model not in known:
        raise ValueError(f"torchvision has no model {model!r}{_near(model, known)}; name one of "
                         "its own, as in torchvision:r3d_18")  # fmt: skip
    published = models.get_model_weights(model)
    wanted = names[0] if names else "DEFAULT"
    if wanted not in published.__members__:
        listed = ", ".join(entry.name for entry in published) or "none"
        raise ValueError(f"torchvision has no weights {wanted!r} of {model}; it has {listed}")
    return fetched(published[wanted].url)


def fetched(url: str) -> Path:
    """The file in torch's cache, downloaded if it is not there; checked by the hash in its name,
    also where it lay there already."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if path.exists():
        _check_hash(path, url)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), path.stem.rpartition("-")[2])
    except (OSError, RuntimeError, HTTPException) as error:
        raise ConnectionError(f"could not download {url} ({error}); fetch it where there is a "
                              f"connection and put it at {path}") from error  # fmt: skip
    return path


def _check_hash(path: Path, url: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = path.stem.rpartition("-")[2]
    if not found.startswith(wanted):
        raise ValueError(f"{path} is not what {url} holds: its sha256 begins with "
                         f"{found[: len(wanted)]}, not {wanted}; remove it to fetch it again, or "
                         "name it as the source if it is the file that is wanted")  # fmt: skip


def _timm(model: str) -> Found:
    """timm itself fits its files to its models, so one of these is made and taken apart."""
    name = model.partition(".")[0]
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {model!r}{_near(name, timm.list_models())}")
    listed = timm.list_pretrained(f"{name}.*")
    if not listed or ("." in model and model not in listed):
        raise ValueError(f"timm has no weights of {model!r}; of {name} it has "
                         f"{', '.join(listed) or 'none'}")  # fmt: skip
    try:
        made = timm.create_model(model, pretrained=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise ConnectionError(
            f"could not get timm's weights of {model} ({type(error).__name__}); fetch its file "
            "where there is a connection and name it as the source"
        ) from error
    return Found(dict(made.state_dict()), model)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=4)
    return f"; the nearest are {', '.join(near)}" if near else ""
