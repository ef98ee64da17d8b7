"""Chunks of a WAV file that say what the sound is: RIFF INFO, iXML, and for loops `acid` and `smpl`. No torch.

INFO: Microsoft & IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991. iXML: iXML specification 3,
with the ASWG's elements for music (ASWG-G006). `smpl`: Microsoft, "New Multimedia Data Types and Data Techniques", 1994.
`acid`: Sonic Foundry never published it; laid out as libsndfile and the makers of loops read it.
"""

import os
import re
import struct
from typing import BinaryIO
from xml.sax.saxutils import escape, unescape

from distill.audio.notes import key_name
from distill.audio.tags import FIELD, SoundTags

ROOT_NOTE_SET, STRETCHED = 2, 4
"""Bits of an `acid` chunk: its root note counts; it follows the tempo of a piece (and is no one-shot)."""
MIDDLE_C = 60
FORWARDS, FOR_EVER = 0, 0
XML = re.compile(rf"<{FIELD}>([^<]*)</{FIELD}>")
"""Our own element: nothing else of the XML of a stranger is read, and no parser sees it."""
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def append_chunks(stream: BinaryIO, tags: SoundTags, frames: int, sample_rate: int) -> None:
    """Put chunks behind the sound of a WAV file that is open for reading and writing. Others (RF64) stay as they are.

    Args:
        frames: samples a channel.
    """
    stream.seek(0)
    if stream.read(4) != b"RIFF":
        return
    chunks = [_chunk(b"LIST", _info(tags)), _chunk(b"iXML", _ixml(tags))]
    if tags.loop or tags.root_note is not None:
        chunks.append(_chunk(b"smpl", _smpl(tags, frames, sample_rate)))
    if tags.loop and tags.bpm is not None and tags.beats is not None:
        chunks.append(_chunk(b"acid", _acid(tags)))
    end = stream.seek(0, os.SEEK_END)
    added = b"\0" * (end % 2) + b"".join(chunks)
    if end + len(added) - 8 >= 2**32:
        return  # a size that a RIFF file cannot say
    stream.write(added)
    stream.seek(4)
    stream.write(struct.pack("<I", end + len(added) - 8))


def texts_in(chunks: dict[bytes, bytes]) -> list[str]:
    """Where our own text may be: in iXML, or in INFO's comment."""
    found = [unescape(match[1]) for match in XML.finditer(chunks.get(b"iXML", b"").decode("utf-8", "replace"))]
    info = chunks.get(b"LIST", b"")
    position = 4
    while info.startswith(b"INFO") and position + 8 <= len(info):
        name, size = struct.unpack_from("<4sI", info, position)
        if name == b"ICMT":
            found.append(info[position + 8 :][:size].rstrip(b"\0").decode("utf-8", "replace"))
        position += 8 + size + size % 2
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _info(tags: SoundTags) -> bytes:
    """The comment has all of it, so that programs which know INFO alone carry it on into other formats."""
    comment = f"{tags.sentence} {tags.text()}"
    said = {b"INAM": tags.title, b"ISFT": f"distill {tags.version}", b"ICMT": comment}
    return b"INFO" + b"".join(_chunk(name, text.encode(errors="replace") + b"\0") for name, text in said.items())


def _ixml(tags: SoundTags) -> bytes:
    music = {"isLoop": "true" if tags.loop else "false"}
    if tags.bpm is not None:
        music["tempo"] = f"{tags.bpm:g}"
    if tags.beats_per_bar is not None:
        music["timeSig"] = f"{tags.beats_per_bar}/4"
    if tags.root_note is not None:
        music["inKey"] = key_name(tags.root_note)
    aswg = "".join(_element(name, text) for name, text in music.items())
    inside = [
        _element("IXML_VERSION", "3.01"),
        _element("PROJECT", tags.model),
        _element("NOTE", tags.sentence),
        f"<ASWG>{aswg}</ASWG>",
        _element(FIELD, tags.text()),
    ]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<BWFXML>{"".join(inside)}</BWFXML>\n'.encode(errors="replace")


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(NOT_IN_XML.sub('?', text))}</{name}>"


def _smpl(tags: SoundTags, frames: int, sample_rate: int) -> bytes:
    note = MIDDLE_C if tags.root_note is None else tags.root_note
    head = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), note, 0, 0, 0, int(tags.loop), 0)
    return head + (struct.pack("<6I", 0, FORWARDS, 0, max(frames - 1, 0), 0, FOR_EVER) if tags.loop else b"")


def _acid(tags: SoundTags) -> bytes:
    flags = STRETCHED | (0 if tags.root_note is None else ROOT_NOTE_SET)
    note = MIDDLE_C if tags.root_note is None else tags.root_note
    meter = tags.beats_per_bar or 4
    return struct.pack("<IHHfIHHf", flags, note, 0x8000, 0.0, tags.beats or 0, 4, meter, tags.bpm or 0.0)
