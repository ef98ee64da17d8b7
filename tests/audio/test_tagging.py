"""Tags in every format: whole, harmless to the sound, the same each time, read by others, and not believed from strangers."""

import io
import json
import random
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from distill.audio import tagging
from distill.audio.tagging import put_tags, read_tags
from distill.audio.tags import MOST_TEXT, DamagedTags, SoundTags, SourceFile, parsed
from distill.audio.writing import write_audio
from distill.errors import DistillError
from distill.settings.generation import AudioFormat
from tiny import RATE, hit

FORMATS = get_args(AudioFormat)
ODD = "kït <&>]]> \udcff\n\x1b[31m"
TAGS = SoundTags(
    version="0.2.0", verb="loop", model=ODD, model_sha256="5" * 64, seed=7, index=2, count=3,
    request={"seed": 6, "temperature": 0.9, "loop": True, "vary": ODD, "bridge": ["a", "b"]},
    sources=(SourceFile(name=ODD, sha256="a" * 64),), loop=True, bpm=97.5, beats=6, beats_per_bar=3, root_note=61,
)  # fmt: skip
SOUND = np.stack([hit(1), hit(2)], axis=1)[:14_399]  # an odd number of bytes


@pytest.mark.parametrize("name", FORMATS)
def test_tags_come_back_and_the_sound_stays(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against tags that a format garbles, that touch a sample, or that are other bytes each time (Ogg's number)."""
    plain, tagged, again = (tmp_path / f"{word}.{name}" for word in ("plain", "tagged", "again"))
    write_audio(tagged, SOUND, tags=TAGS)
    write_audio(again, SOUND, tags=TAGS)
    write_audio(plain, SOUND)
    assert read_tags(tagged) == TAGS
    assert tagged.read_bytes() == again.read_bytes()
    np.testing.assert_array_equal(soundfile.read(tagged, dtype="int32")[0], soundfile.read(plain, dtype="int32")[0])
    with pytest.raises(DistillError, match=r"plain\.\w+ does not say how it was made"):
        read_tags(plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(each.name for each in (plain, tagged, again))
    monkeypatch.setattr(SoundTags, "text", lambda _self: 1 / 0)  # tags that fail leave the file as it was
    with pytest.raises(ZeroDivisionError):
        write_audio(plain, SOUND / 2, tags=TAGS)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.undo()
    write_audio(tmp_path / f"none.{name}", SOUND[:0], tags=TAGS)  # no sample, no mistake
    np.testing.assert_array_equal(soundfile.read(tagged, dtype="int32")[0], soundfile.read(plain, dtype="int32")[0])


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
@pytest.mark.parametrize("name", FORMATS)
def test_others_read_them(tmp_path: Path, name: str) -> None:
    """Guards against tags that only this program finds, and against files that FFmpeg calls broken."""
    path = tmp_path / f"a.{name}"
    tags = TAGS.model_copy(update={"model": "kit"})
    write_audio(path, SOUND, tags=tags)
    line = ["ffprobe", "-v", "warning", "-show_format", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    answer = json.loads(done.stdout)
    found = answer["format"].get("tags", {}) | answer["streams"][0].get("tags", {})
    found = {key.lower(): value for key, value in found.items()}
    assert found["title"] == "kit, loop, seed 7"
    assert found["comment"].startswith("Made with distill 0.2.0: loop of ")
    whole = found["comment"] if name == "wav" else found["distill"]
    assert parsed(whole[whole.index("{") :]) == tags
    if name != "wav":
        assert float(found.get("bpm") or found["tbpm"]) == pytest.approx(97.5, abs=0.51)
        assert (found.get("initialkey") or found["tkey"]) == "C#"


def test_samplers_read_the_chunks_of_a_loop(tmp_path: Path) -> None:
    """Guards against a loop that a sampler plays one sample too short, or at another tempo: libsndfile reads the chunks."""
    write_audio(tmp_path / "a.wav", SOUND, tags=TAGS)
    said = soundfile.SoundFile(tmp_path / "a.wav").extra_info
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for line in (
        "Midi Note : 61", "Loop Count : 1", "Cue ID : 0 Type : 0 Start : 0 End : 14398 Fraction : 0 Count : 0",
        "Flags : 0x0006 (Loop,RootNoteValid,StretchOn,RAMBased,??Off)", "Root note : 0x3D", "Beats : 6", "Meter : 3/4",
        "Tempo : 97.500000",
    ):  # fmt: skip
        assert line in lines, said
    assert "<ASWG><isLoop>true</isLoop><tempo>97.5</tempo><timeSig>3/4</timeSig><inKey>C#</inKey></ASWG>" in (
        (tmp_path / "a.wav").read_bytes().decode("utf-8", "replace")
    )
    once = TAGS.model_copy(update={"loop": False, "bpm": None, "beats": None, "root_note": None})
    write_audio(tmp_path / "b.wav", SOUND, tags=once)
    said = soundfile.SoundFile(tmp_path / "b.wav").extra_info
    assert "smpl" not in said
    assert "acid" not in said


def test_files_of_floating_point_have_no_date() -> None:
    """Guards against the time of writing in libsndfile's PEAK chunk."""
    for container in ("WAV", "AIFF"):
        stream = io.BytesIO()
        with soundfile.SoundFile(stream, "w", RATE, 2, "FLOAT", format=container) as file:
            file.write(SOUND)
        place = stream.getvalue().index(b"PEAK") + 12
        stream.seek(place)
        stream.write(b"\1\2\3\4")  # another time
        put_tags(stream, container, TAGS, len(SOUND), RATE)
        assert stream.getvalue()[place : place + 4] == bytes(4)
        np.testing.assert_array_equal(soundfile.read(io.BytesIO(stream.getvalue()), dtype="float32")[0], SOUND)


def test_a_stranger_is_not_believed() -> None:
    """Guards against values of another kind, size or depth than the program writes, and against a mistake with a traceback."""
    good = json.loads(TAGS.text())
    assert parsed(json.dumps({**good, "later": 1})) == TAGS  # what a newer program adds
    deep: list[object] = []
    for _ in range(10):
        deep = [deep]
    for wrong, why in (
        ({"seed": -1}, "seed"), ({"seed": 10**40}, "seed"), ({"bpm": 1e999}, "garbled"), ({"model": "x" * 5000}, "model"),
        ({"model_sha256": "../../x"}, "model_sha256"), ({"request": {"a": deep}}, "request"), ({"request": {"a": {}}}, "request"),
        ({"sources": [{"name": 3}]}, "sources"), ({"distill": 2}, "newer"), ({"root_note": 200}, "root_note"),
        ({"request": {"a": "x" * MOST_TEXT}}, "longer"),
    ):  # fmt: skip
        with pytest.raises(DamagedTags, match=why):
            parsed(json.dumps({**good, **wrong}))
    for text in (
        "",
        "{",
        "[]",
        "7",
        '{"distill":' + "[" * 50_000,
        '{"distill":NaN}',
        '{"distill":' + "1" * 5_000 + "}",
    ):
        with pytest.raises(DamagedTags):
            parsed(text)


def id3_bomb() -> bytes:
    """A tag of 20 kB that unpacks to 20 MB."""
    body = struct.pack(">I", 20_000_000) + zlib.compress(b"\0DISTILL\0" + b"x" * 20_000_000, 9)
    frame = b"TXXX" + struct.pack(">IH", len(body), 0x0080) + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame


def flac_blocks() -> bytes:
    """A thousand blocks of 16 MB that are not there."""
    return b"fLaC" + b"\x04\xff\xff\xff" * 4_000


def ogg_without_end() -> bytes:
    """A packet of comments that goes on for ever."""
    page = (
        b"OggS\0\2"
        + bytes(8)
        + b"\1\0\0\0"
        + bytes(8)
        + b"\1\x1e"
        + b"\x01vorbis"
        + bytes(4)
        + b"\2"
        + struct.pack("<I", RATE)
    )
    page = page.ljust(28 + 30, b"\1")
    more = (
        b"OggS\0\1"
        + bytes(8)
        + b"\1\0\0\0"
        + bytes(8)
        + b"\xff"
        + b"\xff" * 255
        + b"\x03vorbis"
        + b"x" * (255 * 255 - 7)
    )
    return page + more * 100


def endless_info() -> bytes:
    """A WAV whose chunks promise 4 GB each."""
    chunk = b"LIST" + struct.pack("<I", 2**32 - 9) + b"INFO"
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0" + struct.pack("<IIHH", RATE, 2 * RATE, 2, 16) + chunk * 1_000
    )


@pytest.mark.parametrize("made", [id3_bomb, flac_blocks, ogg_without_end, endless_info])
def test_hostile_tags_cost_nothing(tmp_path: Path, made: Callable[[], bytes]) -> None:
    """Guards against tags of a few kilobytes that take all the memory there is."""
    path = tmp_path / "a.mp3"
    frames = soundfile_bytes("MP3", "MPEG_LAYER_III") if made is id3_bomb else b""
    path.write_bytes(made() + frames)
    tracemalloc.start()
    try:
        with pytest.raises(DistillError) as refused:
            read_tags(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * tagging.MOST_BYTES
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


def soundfile_bytes(container: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, SOUND, RATE, format=container, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_a_sentence(tmp_path: Path, name: str) -> None:
    """Guards against a traceback of a library's reader, wherever a file is damaged; nothing but what was written is read."""
    path = tmp_path / f"a.{name}"
    write_audio(path, SOUND[:480], tags=TAGS)
    whole, rng = path.read_bytes(), random.Random(name)
    for number in range(60):
        damaged = bytearray(whole[: rng.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(rng.choice([1, 8, 200])):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_tags(path)
        except DistillError as error:
            assert "\n" not in str(error)
