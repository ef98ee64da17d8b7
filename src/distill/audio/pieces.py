"""A file made of pieces of another one and of bytes in memory, for decoders that want one file from start to end."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

BLOCK = 2**20


class Span(NamedTuple):
    """A part of a file, in bytes."""

    start: int
    stop: int


Piece = bytes | Span


class Pieces:
    """Reads and seeks as a file does; it has no name, by which a decoder could guess."""

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        self._stream = path.open("rb")
        self._pieces = [
            (piece, len(piece) if isinstance(piece, bytes) else piece.stop - piece.start) for piece in pieces
        ]
        self.size = sum(size for _, size in self._pieces)
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        wanted = max(self.size - self._position, 0) if size is None or size < 0 else size
        parts: list[bytes] = []
        first = 0
        for piece, length in self._pieces:
            inside = self._position - first
            if wanted > 0 and 0 <= inside < length:
                part = self._read(piece, inside, min(wanted, length - inside))
                parts.append(part)
                wanted -= len(part)
                self._position += len(part)
            first += length
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read(self, piece: Piece, inside: int, size: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[inside : inside + size]
        self._stream.seek(piece.start + inside)
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's; a position before the start is the start."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """As a file's."""
        return self._position

    def write(self, _data: bytes) -> int:
        """Never called: soundfile asks that it exists."""
        raise OSError("read only")


def occurrences(stream: BinaryIO, needle: bytes, start: int, stop: int) -> Iterator[int]:
    """Where `needle` occurs in a file between `start` and `stop`; memory does not grow with the file."""
    position, rest = start, b""
    while position < stop:
        stream.seek(position)
        block = stream.read(min(BLOCK, stop - position))
        if not block:
            return
        window, first = rest + block, position - len(rest)
        found = window.find(needle)
        while found >= 0:
            yield first + found
            found = window.find(needle, found + 1)
        position += len(block)
        rest = window[-(len(needle) - 1) :]
