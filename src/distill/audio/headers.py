"""What a sound file's header promises, against the bytes that are there.

libsndfile quietly shortens a WAV or AIFF whose data was cut off, and an OGG likewise; a codec that learns from half a
recording should know. Only headers are read here, never sound.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

STREAMED_FROM = 0x7FFF_0000
"""Data sizes from here up are what programs write when they stream and do not know the size."""
OGG_PAGE_LIMIT = 27 + 255 + 255 * 255
AIFF_DATA_HEADER = 8
MAX_CHUNKS = 10_000


@dataclass(frozen=True)
class DataChunk:
    """Where the samples of a WAV, AIFF or AU are."""

    size_position: int
    """Offset in the file of the four bytes that hold the size."""
    promised: int | None
    """Bytes of sound that the header promises; None where it was streamed and does not say."""
    held: int
    """Bytes from the start of the sound to the end of the file."""
    unsized: bool
    """The header says 0 although sound follows: streamed, and libsndfile needs to be told so."""


def data_chunk(stream: BinaryIO, file_size: int) -> DataChunk | None:
    """The data chunk of a WAV, RF64, RIFX, AIFF, AIFF-C or AU; None for other formats or without such a chunk."""
    stream.seek(0)
    form = stream.read(12)
    if form[:4] == b".snd" and len(form) == 12:
        start, size = struct.unpack(">II", form[4:])
        return DataChunk(8, size if size < STREAMED_FROM else None, max(file_size - start, 0), unsized=False)
    if (
        len(form) < 12
        or form[:4] not in (b"RIFF", b"RF64", b"RIFX", b"FORM")
        or form[8:] not in (b"WAVE", b"AIFF", b"AIFC")
    ):
        return None
    order = ">" if form[:4] in (b"RIFX", b"FORM") else "<"
    long_size: int | None = None
    position = 12
    for _ in range(MAX_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            return None
        name, size = header[:4], struct.unpack(order + "I", header[4:])[0]
        body = position + 8
        if name == b"ds64" and len(sizes := stream.read(16)) == 16:
            long_size = struct.unpack("<Q", sizes[8:])[0]
        if name in (b"data", b"SSND"):
            header_bytes = AIFF_DATA_HEADER if name == b"SSND" else 0
            return _describe_data(stream, position + 4, body + header_bytes, size - header_bytes, long_size, file_size)
        position = body + size + size % 2
    return None


def _describe_data(
    stream: BinaryIO, size_position: int, start: int, size: int, long_size: int | None, file_size: int
) -> DataChunk:
    held = max(file_size - start, 0)
    unsized = size == 0 and held > 0 and not _only_chunks(stream, start, file_size)
    promised: int | None = size
    if long_size is not None and size >= STREAMED_FROM:
        promised = long_size if 0 < long_size < 2**63 else None
    elif size <= 0 or size >= STREAMED_FROM:
        promised = None
    return DataChunk(size_position, promised, held, unsized)


def _only_chunks(stream: BinaryIO, position: int, file_size: int) -> bool:
    """Whether well-formed chunks, and nothing else, fill the file from `position` on."""
    for _ in range(MAX_CHUNKS):
        if position >= file_size:
            return True
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8 or not header[:4].isascii() or not header[:4].decode("ascii").isprintable():
            return False
        size = struct.unpack("<I", header[4:])[0]
        position += 8 + size + size % 2
        if position > file_size + 1:
            return False
    return False


def ogg_is_cut(stream: BinaryIO, file_size: int) -> bool:
    """Whether the last page of an OGG is longer than what is left of the file."""
    stream.seek(0)
    if stream.read(4) != b"OggS":
        return False
    tail_start = max(file_size - OGG_PAGE_LIMIT, 0)
    stream.seek(tail_start)
    tail = stream.read(OGG_PAGE_LIMIT)
    last = tail.rfind(b"OggS")
    if last < 0:
        return False
    page = tail[last:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


class UnsizedAsStreamed:
    """A WAV whose data size is 0, shown to libsndfile with the size that means "until the end of the file"."""

    def __init__(self, stream: BinaryIO, size_position: int) -> None:
        self._stream = stream
        self._patched = range(size_position, size_position + 4)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's; a position before the start is the start."""
        try:
            return self._stream.seek(offset, whence)
        except OSError:
            return self._stream.seek(0)

    def tell(self) -> int:
        """As a file's."""
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        """As a file's, with the size replaced."""
        start = self._stream.tell()
        data = bytearray(self._stream.read(size))
        for position in self._patched:
            if 0 <= position - start < len(data):
                data[position - start] = 0xFF
        return bytes(data)

    def write(self, _data: bytes) -> int:
        """Never called: soundfile asks that it exists."""
        raise OSError("read only")
