"""What there is to convert: files, folders, pictures or the rows of a label file, each named.

A source's name is its folder below `jpg/`. It is the same in every run: a name belongs to the
source that an earlier run recorded for it, and only then to the first that asks for it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

from data.folders import walk
from data.labelled import LabelledClip
from data.matching import folder_class, is_in_class, is_whole
from data.names import TOP, as_text, is_video, passage_name
from data.pictures import is_numbered


@dataclass(frozen=True)
class Source:
    """One database to be: where it comes from and what it is called."""

    path: str
    recorded: str  # how the database names it: the path relative to what was given
    name: str  # its folder below jpg/
    pictures: tuple[str, ...] = ()  # file names, if `path` is a folder of numbered pictures
    start: Fraction | None = None  # the passage of the source, where it is not the whole
    stop: Fraction | None = None
    offset: Fraction = Fraction(0)  # label time of its zero: of a file that was cut beforehand
    where: str = ""  # the row of the label file

    @classmethod
    def again(cls, name: str, path: Path, recorded: str, facts: Mapping[str, str]) -> Source:
        """The source of a database, from what the database says of it."""
        pictures = tuple(sorted(filter(is_numbered, os.listdir(path)))) if path.is_dir() else ()
        passage = [Fraction(time) for time in facts.get("source_range", "").split()]
        start, stop = passage or (None, None)
        offset = Fraction(facts.get("label_offset", 0))
        return cls(str(path), recorded, name, pictures, start, stop, offset)

    def bytes(self) -> int:
        """How much there is to read, roughly; 0 where nobody can say."""
        paths = [os.path.join(self.path, name) for name in self.pictures] or [self.path]
        try:
            return sum(os.path.getsize(path) for path in paths)
        except OSError:
            return 0


@dataclass
class Found:
    """What a search gave."""

    sources: list[Source] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)  # path, reason
    notes: list[str] = field(default_factory=list)
    ignored: int = 0  # files that are neither videos nor pictures of a series


@dataclass(frozen=True)
class Candidate:
    """A source before it has its name."""

    path: str
    recorded: str
    pictures: tuple[str, ...] = ()


def find_sources(roots: Sequence[Path], taken: Mapping[str, str]) -> Found:
    """Everything below the folders, and the files; `taken` maps names to recorded sources."""
    found = Found()
    candidates: list[Candidate] = []
    for root in roots:
        if root.is_dir():
            candidates += _walk(str(root), found)
        else:
            if root.name.startswith("."):
                found.failures.append((str(root), "has a name that begins with a dot, which hides "
                                       "it; rename it"))  # fmt: skip
                continue
            candidates.append(Candidate(str(root), as_text(root.name)))
    known: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda one: (one.recorded, one.path)):
        other = known.setdefault(candidate.recorded, candidate)
        if other.path != candidate.path:
            found.failures.append((candidate.path, f"has the same name as {other.path}; convert "
                                   "it from a folder of its own"))  # fmt: skip
    found.sources = list(give_names(list(known.values()), taken))
    return found


# -- searching -------------------------------------------------------------------------------------


def _walk(root: str, found: Found) -> Iterator[Candidate]:
    """Videos and folders of pictures below `root`; links are followed, but not in circles."""

    def refuse(error: OSError) -> None:
        path = os.fsdecode(error.filename or root)
        found.failures.append((path, f"cannot be listed ({error.strerror})"))

    def circle(link: str) -> None:
        found.notes.append(f"{link}: links back to a folder it lies in; not followed")

    for folder, _, files in walk(root, circle, refuse):
        yield from _in_folder(root, folder, files, found)


def _in_folder(root: str, folder: str, files: list[str], found: Found) -> Iterator[Candidate]:
    videos = [name for name in files if is_video(name)]
    numbered = [name for name in files if is_numbered(name)] if not videos else []
    pictures = tuple(sorted(numbered)) if len(numbered) > 1 else ()
    found.ignored += len(files) - len(videos) - len(pictures)
    relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
    for name in videos:
        yield Candidate(os.path.join(folder, name), as_text(str(relative / name)))
    if pictures:
        own = relative.as_posix() if relative.parts else os.path.basename(os.path.abspath(root))
        yield Candidate(folder, as_text(f"{own}/"), pictures)


# -- naming ----------------------------------------------------------------------------------------


def give_names(candidates: Sequence[Candidate], taken: Mapping[str, str]) -> Iterator[Source]:
    """A name for everyone: the recorded one, else without the ending, else with it."""
    owners = dict(taken)
    own = {recorded: name for name, recorded in taken.items()}
    names: dict[str, str] = {}
    for candidate in candidates:  # those that have a name keep it, whoever else asks for it
        name = own.get(candidate.recorded)
        if name in _wishes(candidate.recorded):
            names[candidate.recorded] = name
    for candidate in candidates:
        if candidate.recorded not in names:
            free = (wish for wish in _wishes(candidate.recorded) if wish not in owners)
            names[candidate.recorded] = name = next(free)
            owners[name] = candidate.recorded
    for one in candidates:
        yield Source(one.path, one.recorded, names[one.recorded], one.pictures)


def _wishes(recorded: str) -> tuple[str, ...]:
    """The names a source may get, the best first."""
    path = PurePosixPath(recorded.rstrip("/"))
    where = path.parent if path.parent.parts else PurePosixPath(TOP)
    if recorded.endswith("/"):
        return str(where / path.name), str(where / f"{path.name}.pictures")
    stem = path.stem if is_video(path.name) else path.name
    return tuple(str(where / name) for name in (stem, path.name, f"{path.name}.video"))


# -- labels ----------------------------------------------------------------------------------------


def find_labelled(clips: Sequence[LabelledClip], videos: Path) -> Found:
    """The rows of label files, their videos found below a folder by name.

    A passage in seconds is cut out. A video stays whole, once, if one of its passages is counted
    in frames or has an open end: those are looked up in the whole.
    """
    found = Found()
    by_stem: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in _walk(str(videos), found):
        path = PurePosixPath(candidate.recorded.rstrip("/"))
        for key in {path.name, path.stem}:
            by_stem[key].append(candidate)
    classes: dict[str, set[str]] = {clip.video: set() for clip in clips if _needs_the_whole(clip)}
    for clip in clips:
        if clip.video in classes:
            classes[clip.video].add(folder_class(clip))
    places = _Places(by_stem, clips)
    named: dict[str, Source] = {}
    for clip in clips:
        source = _labelled_source(clip, places, classes.get(clip.video), found)
        if source is None:
            continue
        other = named.setdefault(source.name, source)
        if other.path != source.path:
            found.failures.append((source.path, f"{clip.where}: would be {source.name}, which is "
                                   f"{other.path} already; give them classes or names of their "
                                   "own"))  # fmt: skip
    found.sources = list(named.values())
    return found


def _needs_the_whole(clip: LabelledClip) -> bool:
    is_open = (clip.start is None) is not (clip.stop is None)
    return is_open or (clip.unit == "frames" and clip.start is not None)


class _Places:
    """What was found, by its name."""

    def __init__(
        self, by_stem: Mapping[str, Sequence[Candidate]], clips: Sequence[LabelledClip]
    ) -> None:
        self.by_stem = by_stem
        self.by_class = any(_of_class(clip, one) for clip in clips
                            for one in by_stem.get(PurePosixPath(clip.video).name, ()))  # fmt: skip

    def called(self, name: str, clip: LabelledClip) -> Sequence[Candidate]:
        """Those in the folders that the label names, or that lie in none."""
        candidates = self.by_stem.get(name, ())
        folder = PurePosixPath(clip.video).parent.parts
        if not folder:
            return candidates
        exact = [one for one in candidates if _folders(one)[-len(folder) :] == folder]
        return exact or [one for one in candidates if not _folders(one)]

    def are_foreign(self, clip: LabelledClip, candidates: Sequence[Candidate]) -> bool:
        """Whether folders are classes, and none of these is of the class of a clip without times.

        run/1 and jump/1 are two videos; where the label says the folder, it knows which it means.
        """
        return (self.by_class and is_whole(clip) and "/" not in clip.video
                and folder_class(clip) != TOP
                and not any(not _folders(one) or _folders(one) == (TOP,) or _of_class(clip, one)
                            for one in candidates))  # fmt: skip


def _folders(candidate: Candidate) -> tuple[str, ...]:
    return PurePosixPath(candidate.recorded.rstrip("/")).parent.parts


def _of_class(clip: LabelledClip, candidate: Candidate) -> bool:
    return is_in_class(clip, _folders(candidate))


def _labelled_source(
    clip: LabelledClip,
    places: _Places,
    classes: set[str] | None,
    found: Found,
) -> Source | None:
    """Where a clip is to come from; `classes`: of all clips of a video that stays whole."""
    last = PurePosixPath(clip.video).name
    if classes is None:
        start, stop, folder = clip.start, clip.stop, folder_class(clip)
    else:
        start, stop, folder = None, None, min(classes) if len(classes) == 1 else TOP
    passage = passage_name(last, start, stop)
    whole, cut = (places.called(name, clip) for name in (last, passage))
    choice = _choose(clip, passage, whole or cut, places, found)
    if choice is None:
        return None
    source = Source(choice.path, choice.recorded, f"{folder}/{passage}", choice.pictures)
    source = replace(source, where=f"{clip.where}, {passage}")
    if whole:
        return replace(source, start=start, stop=stop)
    return replace(source, offset=start or Fraction(0))  # it holds nothing but this passage


def _choose(
    clip: LabelledClip, passage: str, found: Sequence[Candidate], places: _Places, result: Found
) -> Candidate | None:
    """The one file of a clip; if there are several, the one in the folder of its class."""
    same_class = [one for one in found if _of_class(clip, one)]
    choice = same_class if len(found) > 1 and same_class else list(found)
    if len(choice) == 1 and not places.are_foreign(clip, choice):
        return choice[0]
    if not choice:
        reason = "no video of this name was found"
    elif len(choice) == 1:
        reason = (f"only {choice[0].recorded} has this name, and does not lie in the folder of "
                  "its class")  # fmt: skip
    else:
        listed = ", ".join(one.recorded for one in choice[:4])
        reason = f"several videos have this name: {listed}"
    result.failures.append((passage, f"{clip.where}: {reason}"))
    return None
