"""What is wrong with a file, said so that its owner knows what to do next."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

if TYPE_CHECKING:
    from data.mediainfo import Tally


class MediaError(Exception):
    """A file that cannot be read: which one, why, and the next step."""

    def __init__(self, path: str | Path, reason: str, advice: str) -> None:
        super().__init__(f"{str(path)!r} {reason}; {advice}")
        self.path = str(path)
        self.reason = reason
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:  # workers send their errors home by pickle
        return MediaError, (self.path, self.reason, self.advice)


KINDS = (
    (stat.S_ISDIR, "is a folder", "name a file in it"),
    (stat.S_ISFIFO, "is a pipe", "save it to a file first, since reading seeks back and forth"),
    (stat.S_ISSOCK, "is a socket", "name a video file"),
    (stat.S_ISCHR, "is a device", "name a video file"),
    (stat.S_ISBLK, "is a device", "name a video file"),
)


def check_file(path: str | Path) -> None:
    """Refuse at once, and without opening it, what cannot be a media file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        broken = os.path.islink(path)
        reason = "is a link to a file that does not exist" if broken else "does not exist"
        raise MediaError(path, reason, "check the spelling and the folder") from None
    except OSError as error:
        raise MediaError(path, f"cannot be reached ({error.strerror})", "check the path") from None
    except ValueError as error:
        raise MediaError(path, f"is not a file name ({error})", "check the path") from None
    for is_kind, reason, advice in KINDS:
        if is_kind(status.st_mode):
            raise MediaError(path, reason, advice)
    if status.st_size == 0:
        raise MediaError(path, "is empty (0 bytes)", "copy or download it again")
    if not os.access(path, os.R_OK):
        raise MediaError(path, "may not be read (permission denied)", "ask for read permission")


def opening_fault(path: str | Path, error: av.error.FFmpegError) -> MediaError:
    """Why FFmpeg refused to open a file that exists and can be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as refusal:
        return MediaError(path, f"may not be read ({refusal.strerror})", "ask for read permission")
    if head[4:8] == b"ftyp" and isinstance(error, av.error.InvalidDataError):
        return MediaError(
            path,
            "has no index (no readable 'moov' box): its recording or copying was cut off",
            "copy it again, or rebuild the index with a recovery tool",
        )
    if _is_text(head):
        return MediaError(path, "is text, not video", "name a video file")
    return MediaError(
        path, f"is not a video file ({error.strerror})", "play it elsewhere, or copy it again"
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head[: len(head) // 4 * 4 or len(head)].decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t\f" for character in text)


def no_pictures(path: str, container: Any) -> MediaError:
    contexts = [stream.codec_context for stream in container.streams.audio]
    sounds = ", ".join(context.name if context else "unknown" for context in contexts)
    cover = " and a cover picture" if container.streams.video else ""
    holds = f"only sound ({sounds}){cover}" if sounds else "neither pictures nor sound"
    return MediaError(path, f"is not a video: it holds {holds}", "name a video file")


def unknown_sound(path: str | Path, track: int) -> MediaError:
    reason = f"has a sound track {track} that is coded in a way FFmpeg does not know"
    return MediaError(path, reason, "convert it first, or choose another track")


def nothing_to_see(path: str, stream: Any, tally: Tally) -> MediaError:
    """Why not one picture came out of a file that has a video track."""
    if tally.encrypted:
        return MediaError(path, "is encrypted", "Reelgrid has no keys: use an unprotected copy")
    if stream.codec_context is None:
        return MediaError(path, "is coded in a way FFmpeg does not know", "convert it first")
    if not tally.packets:
        return MediaError(path, "has a video track without a single frame", "record it again")
    if _is_scrambled(path):
        return MediaError(path, "is encrypted (a scrambled transport stream)", "use an open copy")
    codec = stream.codec_context.name
    if not tally.key_numbers:
        reason = f"has no keyframe among its {tally.packets} {codec} packets to start decoding from"
        return MediaError(path, reason, "its beginning is missing: get a whole copy")
    reason = f"has {tally.packets} {codec} packets of which not one decodes"
    return MediaError(path, reason, "it is damaged: copy or download it again")


def _is_scrambled(path: str) -> bool:
    """Whether most packets of a transport stream are marked as scrambled."""
    with open(path, "rb") as file:
        head = file.read(188 * 4096)
    packets = [head[at : at + 4] for at in range(0, len(head) - 3, 188)]
    if not packets or any(packet[0] != 0x47 for packet in packets):
        return False
    return 2 * sum(bool(packet[3] & 0xC0) for packet in packets) > len(packets)
