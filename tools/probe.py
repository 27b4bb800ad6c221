"""Say what is in a video, what its header claims, and where the two differ.

    python -m tools.probe match.mp4 phone.mov
    python -m tools.probe --decode-all --json damaged.mkv

Exit code 1 if any of the files cannot be used.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import tyro

from data.faults import MediaError
from data.media import probe
from data.mediainfo import VideoInfo
from tools.terminal import rate_text, start_logging, time_text, until_the_reader_leaves

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Say what is in a video, what its header claims, and where the two differ."""

    files: tyro.conf.Positional[tuple[str, ...]]
    """Video files."""
    decode_all: bool = False
    """Decode every picture instead of counting packets: slower, and finds damage."""
    json: bool = False
    """Print one JSON object a file, one a line."""


def main(options: Options) -> int:
    if not options.files:
        log.error("no file given; name at least one: python -m tools.probe video.mp4")
        return 2
    failed = 0
    for path in options.files:
        try:
            info = probe(path, options.decode_all)
        except MediaError as error:
            failed += 1
            log.error("%s", error)
            if options.json:
                print(json.dumps({"path": path, "error": error.reason, "advice": error.advice}))
            continue
        print(json.dumps(plain(info)) if options.json else describe(info))
    return 1 if failed else 0


def describe(info: VideoInfo) -> str:
    """A block of lines a person can read."""
    width, height = info.size
    coded = "" if info.size == info.coded_size else " (coded {}x{})".format(*info.coded_size)
    colour = info.colour
    lines = [
        info.path if info.path.isprintable() else repr(info.path),
        f"  pictures  {width}x{height}{coded}, {info.codec} {info.profile or ''}, "
        f"{info.pixel_format}, {rate_text(info.rate)} fps, in {info.container}",
        f"  colour    matrix {colour.matrix}, range {colour.range}, transfer {colour.transfer}, "
        f"primaries {colour.primaries}",
    ]
    if info.found:
        lines.append(
            f"  found     {info.found.frames} frames, {time_text(info.found.seconds)}, "
            f"keyframes at most {info.found.longest_gop} frames apart"
        )
    for number, sound in enumerate(info.sounds):
        start = "" if sound.start is None else f", starts at {float(sound.start):+.3f} s"
        form = f"{sound.rate} Hz, {sound.layout}{start}" if sound.rate else "begins late"
        lines.append(f"  sound {number}   {sound.codec}, {form}")
    if not info.sounds:
        lines.append("  sound     none")
    lines += [f"  note      {note}" for note in info.notes]
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """The same facts in JSON's types; exact fractions as text ("30000/1001")."""
    if isinstance(value, Fraction):
        return str(value)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


if __name__ == "__main__":
    start_logging()
    sys.exit(until_the_reader_leaves(main, tyro.cli(Options, prog="python -m tools.probe")))
