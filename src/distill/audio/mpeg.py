"""Frames of MPEG audio (layers 1 to 3) and of AAC in ADTS: files without a header, told by frames that follow each other.

After ISO 11172-3, 13818-3 and 13818-7; the Xing/Info frame as LAME writes it.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

FRAMES_IN_A_ROW = 3
"""So many that fit each other are no accident: in 64 KiB of random bytes, one in two thousand million times."""
FRAMES_BEHIND_JUNK = 6
DECODER_DELAY = 529
"""Samples that every decoder of layer 3 adds before the sound."""
LAME_DELAY = 576
"""Samples that LAME, and hardly any encoder less, adds before the sound."""

AAC_DELAY = 1024
"""Samples that the first frame of AAC adds before the sound, whatever made it."""

_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By version (1; 2 and 2.5) and layer."""
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_XING = re.compile(rb"Xing|Info")


class Frame(NamedTuple):
    """What a frame's header says."""

    size: int
    """Bytes."""
    samples: int
    rate: int
    alike: bytes
    """What is the same in all frames of a stream."""
    info_at: int
    """Where in the frame a Xing/Info header would be; 0: nowhere."""
    layer: int


class Found(NamedTuple):
    """Where frames begin."""

    start: int
    aac: bool


@dataclass(frozen=True)
class Gapless:
    """What an MP3's Xing/Info frame says."""

    samples: int | None
    """Of the sound, without what the encoder added; None where it does not say."""
    delay_known: bool
    """Whether a decoder can take off what the encoder added."""


def frame(header: bytes) -> Frame | None:
    """The MPEG audio or ADTS frame that begins with these bytes (7 of them); None where there is none.

    "Free format" (a rate that no table has) is not read.
    """
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    layer = 4 - (header[1] >> 1 & 3)
    if layer == 4:
        return _adts(header)
    version = {3: 1.0, 2: 2.0, 0: 2.5}.get(header[1] >> 3 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version is None or bitrate in (0, 15) or rate == 3 or (version == 2.5 and layer != 3):
        return None
    hz = int((44_100, 48_000, 32_000)[rate] / (1 if version == 1 else 2 if version == 2 else 4))
    kbps = _KBPS[1 if version == 1 else 2, layer][bitrate - 1]
    padding = header[2] >> 1 & 1
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 1 else 576
    size = (12_000 * kbps // hz + padding) * 4 if layer == 1 else samples // 8 * kbps * 1000 // hz + padding
    mono = header[3] >> 6 == 3
    side = (17 if mono else 32) if version == 1 else (9 if mono else 17)
    return Frame(size, samples, hz, bytes([header[1] & 0xFE, header[2] & 0x0C]), 4 + side if layer == 3 else 0, layer)


def _adts(header: bytes) -> Frame | None:
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    rate = header[2] >> 2 & 15
    if header[1] & 0xF0 != 0xF0 or rate > 12 or size < 9:
        return None
    hz = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)[rate]
    return Frame(size, 1024, hz, bytes([header[1], header[2] & 0xFD, header[3] & 0xC0]), 0, 4)


def first_frame(data: bytes) -> Found | None:
    """Where in `data` MPEG frames begin that follow each other.

    Behind junk it takes more of them than at the start, and layer 1, which machine code can look like, is not looked for.
    """
    for match in _SYNC.finditer(data):
        start = match.start()
        first = frame(data[start : start + 7])
        if first is not None and not (start and first.layer == 1) and _in_a_row(data, start):
            return Found(start, aac=first.layer == 4)
    return None


def is_cut(tail: bytes) -> bool:
    """Whether the last of the frames in the end of a file is longer than what is left of it."""
    found = first_frame(tail)
    position = found.start if found is not None else len(tail)
    while (here := frame(tail[position : position + 7])) is not None:
        position += here.size
    return position > len(tail)


def _in_a_row(data: bytes, start: int) -> bool:
    """Whether enough frames that fit each other begin at `start`, or two or more that are all there is.

    Behind junk, frames that are all the same do not count: rows of pixels can look like them.
    """
    alike, position, count = None, start, 0
    contents = set()
    needed = FRAMES_BEHIND_JUNK if start else FRAMES_IN_A_ROW
    while count < needed and (here := frame(data[position : position + 7])) is not None and alike in (None, here.alike):
        alike, count = here.alike, count + 1
        contents.add(data[position + 4 : position + here.size])
        position += here.size
    ended = position == len(data) or data[position : position + 3] == b"TAG" or (position > len(data) and not start)
    return (count == needed or (count >= 2 and ended)) and (start == 0 or len(contents) > 1)


def gapless(head: bytes) -> Gapless | None:
    """What the Xing, Info or VBRI header in the first frame says; None where the frame is a frame of sound."""
    first = frame(head[:7])
    if first is None or first.layer != 3:
        return None
    if head[36:40] == b"VBRI":
        frames = int.from_bytes(head[50:54], "big")
        return Gapless(frames * first.samples or None, delay_known=False)
    info = head[first.info_at :]
    if not _XING.match(info):
        return None
    flags, position = int.from_bytes(info[4:8], "big"), 8
    frames = int.from_bytes(info[8:12], "big") if flags & 1 else 0
    for flag, size in ((1, 4), (2, 4), (4, 100), (8, 4)):
        position += size if flags & flag else 0
    delay = int.from_bytes(info[position + 21 : position + 24], "big")
    known = info[position : position + 4] in (b"LAME", b"Lavf", b"Lavc")
    added = (delay >> 12) + (delay & 0xFFF) if known else 0
    return Gapless(frames * first.samples - added if frames else None, known)


def encoder_delay(head: bytes) -> int:
    """Samples before the sound that nothing in the file tells a decoder to take off: in a layer 3 without Xing/Info frame.

    0 where the first frame leans on frames before it: then the file was cut out of a longer one.
    """
    first = frame(head[:7])
    if first is None or first.layer != 3:
        return 0
    said = gapless(head)
    if said is not None:
        return 0 if said.delay_known else DECODER_DELAY + LAME_DELAY
    side = 4 if head[1] & 1 else 6
    borrowed = int.from_bytes(head[side : side + 2], "big") >> 7 if head[1] & 0x08 else head[side]
    return 0 if borrowed else DECODER_DELAY + LAME_DELAY
