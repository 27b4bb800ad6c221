"""Walk through a tree of folders as people lay them out: links followed, never in a circle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

Step = tuple[str, list[str], list[str]]


def walk(
    root: str | os.PathLike[str],
    on_circle: Callable[[str], object] = lambda link: None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[Step]:
    """Folder, folders in it, files in it, from the root down, sorted; hidden folders left out."""
    for folder, below, files in os.walk(os.fspath(root), followlinks=True, onerror=on_error):
        paths = {name: os.path.join(folder, name) for name in below if not name.startswith(".")}
        circles = {
            name for name, path in paths.items() if os.path.islink(path) and leads_back(path)
        }
        for name in sorted(circles):
            on_circle(paths[name])
        below[:] = sorted(paths.keys() - circles)
        yield folder, below, sorted(files)


def leads_back(link: str) -> bool:
    """Whether a link leads to a folder that it lies in."""
    target = os.path.realpath(link)
    here = os.path.dirname(os.path.abspath(link))
    while True:
        if os.path.realpath(here) == target:
            return True
        above = os.path.dirname(here)
        if above == here:
            return False
        here = above
