"""Where formats keep tags: ID3 frames, and the comments of FLAC and Ogg Vorbis. No torch.

What is read may be a stranger's: no more than `MOST_BYTES` of it are looked at, and nothing in it is unpacked.
"""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

MOST_BYTES = 2**18
"""Bytes of tags that are read."""
MOST_BLOCKS = 1_000
VORBIS_COMMENT = 4
"""The number of that kind of FLAC block."""


def id3_of(stream: BinaryIO, *names: str) -> Any | None:
    """The ID3 tag at the beginning of a stream, with its frames of these names; None: there is none."""
    from mutagen.id3 import ID3, Frames, ID3JunkFrameError, ID3NoHeaderError

    def uncompressed(kind: type[Any]) -> type[Any]:
        """The frame, refused where it would have to be unpacked: a few bytes may become as many as there is memory."""

        class Frame(kind):  # type: ignore[misc]
            @classmethod
            def _fromData(cls, header: Any, flags: int, data: bytes) -> Any:
                if flags & (kind.FLAG24_COMPRESS if header.version >= (2, 4, 0) else kind.FLAG23_COMPRESS):
                    raise ID3JunkFrameError
                return kind._fromData(header, flags, data)

        Frame.__name__ = kind.__name__
        return Frame

    known = {name: uncompressed(Frames[name]) for name in names}
    try:
        return ID3(io.BytesIO(stream.read(MOST_BYTES)), known_frames=known, translate=False, load_v1=False)
    except ID3NoHeaderError:
        return None


def comments_of_flac(stream: BinaryIO) -> Iterator[Any]:
    """The comments of a FLAC file, by name."""
    from mutagen.flac import VCFLACDict

    position = 4
    for _ in range(MOST_BLOCKS):
        stream.seek(position)
        head = stream.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == VORBIS_COMMENT and size <= MOST_BYTES:
            yield VCFLACDict(stream.read(size))
        if head[0] & 0x80:  # the last one
            return
        position += 4 + size


def comments_of_ogg(stream: BinaryIO) -> Iterator[Any]:
    """The comments of an Ogg Vorbis file, by name."""
    from mutagen.oggvorbis import OggVCommentDict, OggVorbisHeaderError, OggVorbisInfo

    head = io.BytesIO(stream.read(MOST_BYTES))
    try:
        info: Any = OggVorbisInfo(head)
    except (OggVorbisHeaderError, EOFError):  # Opus, FLAC in Ogg
        return
    yield OggVCommentDict(head, info)
