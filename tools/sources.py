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
from data.labels import LabelledClip
from data.pictures import is_numbered

VIDEO_ENDINGS = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".qt",
        ".mkv",
        ".webm",
        ".avi",
        ".divx",
        ".wmv",
        ".asf",
        ".flv",
        ".f4v",
        ".mpg",
        ".mpeg",
        ".mpe",
        ".mpeg-4",
        ".m1v",
        ".m2v",
        ".vob",
        ".ts",
        ".m2ts",
        ".mts",
        ".ogv",
        ".ogm",
        ".3gp",
        ".3g2",
        ".mxf",
        ".dv",
        ".rm",
        ".rmvb",
        ".nut",
        ".ivf",
        ".y4m",
        ".h264",
        ".264",
        ".h265",
        ".265",
        ".hevc",
        ".mjpeg",
        ".mjpg",
    ]
)
TOP = "_"  # the class of videos that lie at the top, so that class/video stays two levels


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


def as_text(name: str) -> str:
    r"""A file's name as text that every database takes; bytes that are no UTF-8 become \xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_video(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_ENDINGS


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
    """The rows of a label file, their videos found below a folder by name."""
    found = Found()
    by_stem: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in _walk(str(videos), found):
        path = PurePosixPath(candidate.recorded.rstrip("/"))
        for key in {path.name, path.stem}:
            by_stem[key].append(candidate)
    named: dict[str, Source] = {}
    for clip in clips:
        passage = passage_name(clip)
        whole, cut = by_stem.get(clip.video, []), by_stem.get(passage, [])
        choice = _choose(clip, whole or cut, found)
        if choice is None:
            continue
        source = Source(choice.path, choice.recorded, f"{clip.label}/{passage}", choice.pictures)
        source = replace(source, where=f"line {clip.line}, {passage}")
        if whole:
            source = replace(source, start=clip.start, stop=clip.stop)
        else:  # a file that holds nothing but this passage
            source = replace(source, offset=clip.start or Fraction(0))
        if named.setdefault(source.name, source) is not source:
            found.notes.append(f"line {clip.line}: {source.name} was named before; taken once")
    found.sources = list(named.values())
    return found


def passage_name(clip: LabelledClip) -> str:
    """The predecessor's: id_000010_000020; with milliseconds where seconds are not whole."""
    if clip.start is None or clip.stop is None:
        return clip.video
    return "_".join([clip.video, *(_second_text(time) for time in (clip.start, clip.stop))])


def _second_text(time: Fraction) -> str:
    return f"{int(time):06d}" if time.denominator == 1 else f"{float(time):010.3f}"


def _choose(clip: LabelledClip, found: Sequence[Candidate], result: Found) -> Candidate | None:
    """The one file of a clip; if there are several, the one in the folder of its label."""
    same_label = [one for one in found if clip.label in PurePosixPath(one.recorded).parts]
    choice = same_label if len(found) > 1 and same_label else list(found)
    if len(choice) == 1:
        return choice[0]
    name = passage_name(clip)
    if not choice:
        result.failures.append((name, f"line {clip.line}: no video of this name was found"))
    else:
        listed = ", ".join(one.recorded for one in choice[:4])
        result.failures.append((name, f"line {clip.line}: several videos have this name: {listed}"))
    return None
