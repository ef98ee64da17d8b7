"""Headers that do not say how much sound there is: recorders that died, sizes that wrapped, streams; what follows the sound."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.audio.decoders import Libsndfile
from distill.audio.reading import read_audio
from distill.audio.soundfiles import SoundFile
from distill.settings.geometry import SAMPLE_RATE
from encoded import HZ, by_libsndfile, clicks

SOUND = clicks()
BYTES = len(SOUND) * 4


def wav(data: bytes, said: int | None = None, tag: int = 1, bits: int = 16) -> bytes:
    size, block = len(data) if said is None else said, 2 * bits // 8
    form = struct.pack("<IHHIIHH", 16, tag, 2, HZ, HZ * block, block, bits)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + size, 2**32 - 1))
        + b"WAVEfmt "
        + form
        + b"data"
        + struct.pack("<I", size)
        + data
    )


PCM = (SOUND * 32767).astype("<i2").tobytes()
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"a recorder 1.0"
UNKNOWN = b"weRd" + struct.pack("<I", 6) + b"\1\2\3\4\5\6"


def stale(container: str) -> bytes:
    """A file whose header was last brought up to date after a quarter."""
    whole = bytearray(by_libsndfile(container, "PCM_16", SOUND))
    if container in ("WAV", "AIFF"):
        order, name, head = ("<", b"data", 0) if container == "WAV" else (">", b"SSND", 8)
        place = whole.index(name) + 4
        whole[place : place + 4] = struct.pack(order + "I", BYTES // 4 + head)
        whole[4:8] = struct.pack(order + "I", place + 4 + BYTES // 4 + head - 8)
        if container == "AIFF":
            place = whole.index(b"COMM") + 10
            whole[place : place + 4] = struct.pack(">I", len(SOUND) // 4)
    elif container == "AU":
        whole[8:12] = struct.pack(">I", BYTES // 4)
    elif container == "CAF":
        place = whole.index(b"data", 20) + 4
        whole[place : place + 8] = struct.pack(">Q", BYTES // 4 + 4)
    elif container == "W64":
        place = whole.index(b"data\xf3\xac") + 16
        whole[place : place + 8] = struct.pack("<Q", BYTES // 4 + 24)
    else:
        place = whole.index(b"ds64") + 16
        whole[place : place + 8] = struct.pack("<Q", BYTES // 4)
    return bytes(whole)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64"])
def test_a_recorder_that_died_costs_nothing(tmp_path: Path, container: str) -> None:
    """Against three quarters of a take left out without a word because the header says a quarter."""
    path = tmp_path / "take"
    path.write_bytes(stale(container))
    samples, info = read_audio(path)
    assert info.samples == pytest.approx(SAMPLE_RATE, abs=2)
    assert info.notes == ("its header promises 0.25 s, the file holds 1.0 s: all of it is used",)
    whole = tmp_path / "whole.wav"
    whole.write_bytes(wav(PCM))
    np.testing.assert_allclose(samples[:40_000], read_audio(whole)[0][:40_000], atol=2e-4)


@pytest.mark.parametrize("tail", [LIST, LIST + UNKNOWN, UNKNOWN + LIST, b"ID3\3\0\0\0\0\0\0", b"TAG".ljust(128), b"\0" * 5000,
                                  b"written by a web page\n" * 20, b"x" * 3, LIST[:-5]])  # fmt: skip
def test_what_follows_the_sound_is_no_sound(tmp_path: Path, tail: bytes) -> None:
    """Against chunks, tags, text and padding heard as a burst of noise."""
    path = tmp_path / "x.wav"
    path.write_bytes(wav(PCM) + tail)
    _, info = read_audio(path)
    assert (info.samples, info.notes) == (SAMPLE_RATE, ())


@pytest.mark.parametrize("tail", [b"", LIST, LIST + UNKNOWN])
@pytest.mark.parametrize("said", [0, 0xFFFF_FFFF, BYTES // 4])
def test_chunks_behind_a_sound_of_unknown_size_are_no_sound(tmp_path: Path, said: int, tail: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(PCM, said) + tail)
    _, info = read_audio(path)
    assert info.samples == SAMPLE_RATE
    assert bool(info.notes) == (said == BYTES // 4)


@pytest.mark.parametrize("bits", [32, 64])
def test_junk_behind_floats_does_not_spoil_them(tmp_path: Path, bits: int) -> None:
    """Against "contains NaN" for a whole take because of bytes behind it."""
    path = tmp_path / "x.wav"
    data = SOUND.astype(f"<f{bits // 8}").tobytes()
    path.write_bytes(wav(data, tag=3, bits=bits) + np.random.default_rng(0).bytes(20_000))
    _, info = read_audio(path)
    assert (info.samples, info.notes) == (SAMPLE_RATE, ())


def test_a_size_that_wrapped_at_4_gb_is_not_the_length(tmp_path: Path) -> None:
    """Against 4 GB of a long take left out; the file is mostly a hole, which costs no space."""
    path, long = tmp_path / "long.wav", 2**32 + 2**20
    with path.open("wb") as stream:
        stream.write(wav(b"", long % 2**32))
        stream.seek(44 + long - len(PCM))
        stream.write(PCM)
    sound = SoundFile(path)
    with Libsndfile(path, sound.recordings[0]) as decoder:
        assert decoder.promised == pytest.approx(long / 4 / HZ)


def test_a_long_header_that_is_right_is_left_alone(tmp_path: Path) -> None:
    """Against slower reading of files that are as they should be."""
    path = tmp_path / "x.wav"
    path.write_bytes(wav(PCM) + LIST)
    (recording,) = SoundFile(path).recordings
    assert recording.whole_file
    soundfile.write(path, SOUND, HZ, format="RF64")
    assert SoundFile(path).recordings[0].whole_file
