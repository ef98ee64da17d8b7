"""Pages of an OGG: where its links begin, and which pages are missing or damaged (RFC 3533)."""

import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from distill.audio.pieces import Span, occurrences

HEADER = 27
FIRST, LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class Link:
    """One of the chained streams, or of groups of streams side by side."""

    span: Span
    damaged: bool = False
    """Whether a page of it is damaged or missing."""
    is_cut: bool = True
    """Whether its last page is not marked as the last."""
    pages: dict[bytes, int] = field(default_factory=dict)
    """For every stream in it, the number of the page that is next."""


def links(stream: BinaryIO, start: int, stop: int) -> list[Link]:
    """The links between `start` and `stop`, at least one."""
    found = [Link(Span(start, stop))]
    page_end, first_pages = start, True
    for position in occurrences(stream, b"OggS\0", start, stop):
        if position < page_end:
            continue  # by chance in a page
        stream.seek(position)
        head = stream.read(HEADER + 255)
        segments = head[26] if len(head) > 26 else 0
        size = HEADER + segments + sum(head[HEADER : HEADER + segments])
        stream.seek(position)
        page = stream.read(min(size, stop - position))
        link = found[-1]
        if len(page) < size or _checksum(page) != page[22:26]:
            link.damaged = link.damaged or position + size <= stop
            continue
        page_end = position + size
        flags, serial, number = page[5], page[14:18], int.from_bytes(page[18:22], "little")
        if flags & FIRST and not first_pages:
            found[-1].span = Span(link.span.start, position)
            link = Link(Span(position, stop))
            found.append(link)
        first_pages = bool(flags & FIRST)
        link.damaged = link.damaged or link.pages.get(serial, number) != number
        link.pages[serial] = number + 1
        link.is_cut = not flags & LAST
    return found


def _checksum(page: bytes) -> bytes:
    """The page's CRC, most significant bit first: zlib's, which is least significant bit first, of all bits turned round."""
    turned = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    crc = zlib.crc32(turned, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2).to_bytes(4, "little")
