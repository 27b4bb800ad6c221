"""Open a media file and choose the track that is the video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Disposition

from data.faults import MediaError, no_pictures, opening_fault

ONLY_FILES = {"protocol_whitelist": "file"}
NOT_A_VIDEO = {"tty": "text", "concat": "a list of other files", "hls": "a playlist"}
COVER = Disposition.attached_pic | Disposition.timed_thumbnails


def open_container(path: str | Path) -> Any:
    """The file as FFmpeg sees it. It may lead to no other file and to no network."""
    try:
        # The prefix keeps names such as "12:30.mp4" from being taken for a protocol.
        container = av.open(f"file:{path}", options=ONLY_FILES, metadata_errors="replace")
    except FFmpegError as error:
        raise opening_fault(path, error) from error
    name = container.format.name.split(",")[0]
    if name in NOT_A_VIDEO:
        container.close()
        raise MediaError(path, f"is {NOT_A_VIDEO[name]}, not video", "name a video file")
    return container


def open_pictures(path: str) -> tuple[Any, Any]:
    """The container and the track that is the video."""
    container = open_container(path)
    tracks = _picture_tracks(container)
    if not tracks:
        fault = no_pictures(path, container)
        container.close()
        raise fault
    return container, max(tracks, key=_prominence)


def _picture_tracks(container: Any) -> list[Any]:
    return [stream for stream in container.streams.video if not stream.disposition & COVER]


def _prominence(stream: Any) -> tuple[bool, int, int]:
    """As FFmpeg's command line chooses: marked as default, largest, first."""
    context = stream.codec_context
    area = context.width * context.height if context else 0
    return bool(stream.disposition & Disposition.default), area, -stream.index
