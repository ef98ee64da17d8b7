"""Tags into a sound file that has just been written, and out of any: WAV, AIFF, FLAC, OGG and MP3. No torch.

The sound of a file is left as it is. What is read may be a stranger's: no more than one field of it is used.
"""

import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from distill.audio.decoders import UnusableSound
from distill.audio.formats import FLAC, MP3, OGG, Kind
from distill.audio.headers import chunk_bodies
from distill.audio.notes import key_name
from distill.audio.riff import append_chunks, texts_in
from distill.audio.soundfiles import kind_of
from distill.audio.tag_blocks import MOST_BYTES, comments_of_flac, comments_of_ogg, id3_of
from distill.audio.tags import FIELD, DamagedTags, SoundTags, parsed
from distill.errors import DistillError

MARK = '{"distill":'
"""How what we wrote begins, where it stands in a comment behind other words."""
OGG_SERIAL = 1
BIG_ENDIAN = (b"FORM", b"RIFX")


def put_tags(stream: BinaryIO, container: str, tags: SoundTags | None, frames: int, sample_rate: int) -> None:
    """Tag a sound that libsndfile has just written, and take out of it what is no two times the same.

    Args:
        stream: open for reading and writing; it holds the file from its beginning, and nothing else.
        container: libsndfile's name of the format: WAV, AIFF, FLAC, OGG or MP3.
        frames: samples a channel.
    """
    if stream.seek(0, os.SEEK_END) == 0:
        return  # libsndfile writes nothing at all where a FLAC or an MP3 has no sample
    _PUT[container](stream, tags, frames, sample_rate)
    stream.seek(0, os.SEEK_END)


def read_tags(path: Path) -> SoundTags:
    """What a sound file says of how it was made.

    Raises:
        DistillError: there is no such file, it is no sound, or it has no tags of distill that can be read.
    """
    if not path.is_file():
        raise DistillError(f"There is no file {path}: check the name.")
    try:
        text = _text(path, kind_of(path))
        if text is None:
            raise DistillError(
                f"{path} does not say how it was made: distill did not write it, or its tags were taken out."
            )
        return parsed(text)
    except UnusableSound as reason:
        raise DistillError(f"{path} cannot be used ({reason}): choose another file.") from reason
    except DamagedTags as reason:
        raise DistillError(f"The tags of {path} cannot be read: {reason}. Use another copy of it.") from reason


def _text(path: Path, kind: Kind) -> str | None:
    """Our own field of a file, if there is one."""
    try:
        with path.open("rb") as stream:
            for found in _READ.get(kind.name, _none)(stream):
                if MARK in found:
                    return found[found.index(MARK) :].rstrip()
    except OSError as error:
        raise DistillError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except Exception as error:  # readers of foreign bytes fail in more ways than can be listed
        raise DamagedTags("they are cut or garbled") from error
    return None


def _wav(stream: BinaryIO, tags: SoundTags | None, frames: int, sample_rate: int) -> None:
    _undated(stream)
    if tags is not None:
        append_chunks(stream, tags, frames, sample_rate)


def _aiff(stream: BinaryIO, tags: SoundTags | None, _frames: int, _sample_rate: int) -> None:
    from mutagen.aiff import AIFF

    _undated(stream)
    if tags is not None:
        stream.seek(0)
        file: Any = AIFF(stream)
        file.add_tags()
        _fill_id3(file.tags, tags)
        stream.seek(0)
        file.save(stream, v2_version=3, padding=_no_padding)


def _mp3(stream: BinaryIO, tags: SoundTags | None, _frames: int, _sample_rate: int) -> None:
    from mutagen.id3 import ID3

    if tags is not None:
        made: Any = ID3()
        _fill_id3(made, tags)
        stream.seek(0)
        made.save(stream, v1=0, v2_version=3, padding=_no_padding)


def _flac(stream: BinaryIO, tags: SoundTags | None, _frames: int, _sample_rate: int) -> None:
    from mutagen.flac import FLAC as FLACFile

    if tags is not None:
        stream.seek(0)
        file: Any = FLACFile(stream)
        _fill_vorbis(file, tags)
        stream.seek(0)
        file.save(stream, padding=_no_padding)


def _ogg(stream: BinaryIO, tags: SoundTags | None, _frames: int, _sample_rate: int) -> None:
    from mutagen.oggvorbis import OggVorbis

    if tags is not None:
        stream.seek(0)
        file: Any = OggVorbis(stream)
        _fill_vorbis(file, tags)
        stream.seek(0)
        file.save(stream, padding=_no_padding)
    _renumbered(stream)


def _fill_vorbis(file: Any, tags: SoundTags) -> None:
    if file.tags is None:
        file.add_tags()
    said = {"TITLE": tags.title, "SOFTWARE": f"distill {tags.version}", "COMMENT": tags.sentence, FIELD: tags.text()}
    if tags.bpm is not None:
        said["BPM"] = f"{tags.bpm:g}"
    if tags.root_note is not None:
        said["INITIALKEY"] = key_name(tags.root_note)
    for name, text in said.items():
        file[name] = [_unicode(text)]


def _fill_id3(id3: Any, tags: SoundTags) -> None:
    from mutagen.id3 import COMM, TBPM, TENC, TIT2, TKEY, TXXX

    id3.add(TIT2(encoding=3, text=[_unicode(tags.title)]))
    id3.add(TENC(encoding=3, text=[f"distill {tags.version}"]))
    id3.add(COMM(encoding=3, lang="eng", desc="", text=[_unicode(tags.sentence)]))
    id3.add(TXXX(encoding=3, desc=FIELD, text=[tags.text()]))
    if tags.bpm is not None:
        id3.add(TBPM(encoding=3, text=[f"{round(tags.bpm)}"]))  # a whole number, as the standard wants it
    if tags.root_note is not None:
        id3.add(TKEY(encoding=3, text=[key_name(tags.root_note)]))
    id3.update_to_v23()


def _unicode(text: str) -> str:
    """Without halves of characters, which names of files may hold."""
    return text.encode(errors="replace").decode()


def _no_padding(_info: Any) -> int:
    return 0


def _undated(stream: BinaryIO) -> None:
    """Take the time out of the PEAK chunk that libsndfile writes into files of floating point."""
    stream.seek(0)
    form = stream.read(4)
    order, position = ">" if form in BIG_ENDIAN else "<", 12
    for _ in range(16):
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8 or head[:4] in (b"data", b"SSND"):
            return
        if head[:4] == b"PEAK":
            stream.seek(position + 12)
            stream.write(bytes(4))
            return
        size = struct.unpack(f"{order}I", head[4:])[0]
        position += 8 + size + size % 2


def _renumbered(stream: BinaryIO) -> None:
    """Give an Ogg stream, whose number libsndfile draws, always the same one."""
    from mutagen.ogg import OggPage

    end = stream.seek(0, os.SEEK_END)
    position = 0
    while position < end:
        stream.seek(position)
        page: Any = OggPage(stream)
        page.serial = OGG_SERIAL
        written = page.write()
        stream.seek(position)
        stream.write(written)
        position += len(written)


def _texts_of_wav(stream: BinaryIO) -> Iterator[str]:
    yield from texts_in(chunk_bodies(stream, (b"iXML", b"LIST"), MOST_BYTES))


def _texts_of_aiff(stream: BinaryIO) -> Iterator[str]:
    body = chunk_bodies(stream, (b"ID3 ", b"id3 "), MOST_BYTES)
    for each in body.values():
        yield from _texts_of_id3(io.BytesIO(each))


def _texts_of_id3(stream: BinaryIO) -> Iterator[str]:
    found = id3_of(stream, "TXXX", "COMM")
    for frame in (
        [] if found is None else [*found.getall(f"TXXX:{FIELD}"), *found.getall("TXXX"), *found.getall("COMM")]
    ):
        yield from map(str, frame.text)


def _texts_of_flac(stream: BinaryIO) -> Iterator[str]:
    for comments in comments_of_flac(stream):
        yield from _texts_of_vorbis(comments)


def _texts_of_ogg(stream: BinaryIO) -> Iterator[str]:
    for comments in comments_of_ogg(stream):
        yield from _texts_of_vorbis(comments)


def _texts_of_vorbis(comments: Any) -> Iterator[str]:
    for name in (FIELD, "COMMENT", "DESCRIPTION"):
        yield from comments.get(name, [])


def _none(_stream: BinaryIO) -> Iterator[str]:
    yield from ()


_PUT: dict[str, Callable[[BinaryIO, SoundTags | None, int, int], None]] = {
    "WAV": _wav, "AIFF": _aiff, "MP3": _mp3, "FLAC": _flac, "OGG": _ogg,
}  # fmt: skip
_READ: dict[str, Callable[[BinaryIO], Iterator[str]]] = {
    "WAV": _texts_of_wav, "AIFF": _texts_of_aiff, MP3.name: _texts_of_id3, FLAC.name: _texts_of_flac,
    OGG.name: _texts_of_ogg,
}  # fmt: skip
