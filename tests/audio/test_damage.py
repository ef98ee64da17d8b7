"""Files that are cut, joined with junk or damaged in the middle: all that is there is used, and a note or a reason says so."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distill.audio.reading import UnusableSound, decode_blocks, read_audio
from distill.settings.geometry import SAMPLE_RATE
from encoded import KINDS, by_ffmpeg, clicks

REASONS = (
    "not a sound",
    "damaged: ",
    "a kind of sound that cannot be read",
    "empty",
    "shorter than",
    "silent",
    "contains NaN",
)
SECONDS = 0.6
SLOWEST_SECONDS = 5.0
Damage = Callable[[bytes, random.Random], bytes]


def _anywhere(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, start + rng.choice([1, 60, 3000, len(content) // 4])


def zeroed(content: bytes, rng: random.Random) -> bytes:
    start, stop = _anywhere(content, rng)
    return content[:start] + bytes(min(stop, len(content)) - start) + content[stop:]


def noised(content: bytes, rng: random.Random) -> bytes:
    start, stop = _anywhere(content, rng)
    return content[:start] + rng.randbytes(min(stop, len(content)) - start) + content[stop:]


def dropped(content: bytes, rng: random.Random) -> bytes:
    start, stop = _anywhere(content, rng)
    return content[:start] + content[stop:]


def inserted(content: bytes, rng: random.Random) -> bytes:
    start, stop = _anywhere(content, rng)
    return content[:start] + rng.randbytes(stop - start) + content[start:]


def flipped(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 5, 30])):
        damaged[rng.randrange(min(len(damaged), rng.choice([100, len(damaged)])))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


DAMAGE: dict[str, Damage] = {
    "cut": lambda content, rng: content[: rng.randrange(1, len(content))],
    "head cut": lambda content, rng: content[rng.randrange(1, len(content)) :],
    "junk behind": lambda content, rng: content + rng.randbytes(rng.choice([3, 500, 20_000])),
    "text behind": lambda content, rng: content + b"<html>this is no sound</html>\n" * rng.choice([1, 50]),
    "zeros behind": lambda content, rng: content + bytes(rng.choice([3, 500, 50_000])),
    "junk before": lambda content, rng: rng.randbytes(rng.choice([3, 500, 5000])) + content,
    "zeroed": zeroed,
    "noised": noised,
    "dropped": dropped,
    "inserted": inserted,
    "flipped": flipped,
}


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    sound = clicks(SECONDS)
    return {name: make(sound) for name, make in KINDS.items()}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_wrong_it_is_a_sound_or_one_sentence(
    tmp_path: Path, encoded: dict[str, bytes], damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Against tracebacks, endless loops, sound out of nothing and what decoders say to the screen, for every kind of file."""
    path = tmp_path / "x"
    for kind, whole in encoded.items():
        rng = random.Random(f"{damage} {kind}")
        for _ in range(3):
            path.write_bytes(DAMAGE[damage](whole, rng))
            began = time.monotonic()
            try:
                samples, info = _read(path)
            except UnusableSound as reason:
                assert str(reason).startswith((*REASONS, "it has", "its sample rate")), (kind, reason)
            else:
                assert np.isfinite(samples).all()
                more = 6.0 if "WAV" in kind and damage.endswith("behind") else 3.0
                assert len(samples) < more * SECONDS * SAMPLE_RATE, (kind, info.notes)
            assert time.monotonic() - began < SLOWEST_SECONDS, kind
    assert capfd.readouterr() == ("", "")


def _read(path: Path) -> tuple[np.ndarray, object]:
    blocks, decoding = [], decode_blocks(path)
    while True:
        try:
            blocks.append(next(decoding))
        except StopIteration as end:
            return np.concatenate(blocks), end.value


SAYS_ITS_LENGTH = (
    "AAC in M4A", "ALAC in M4A", "FLAC in OGG", "MP3", "W64", "RF64", "BW64", "WAV", "AIFF", "AU", "CAF", "FLAC", "Vorbis",
    "Opus", "True Audio", "WavPack", "WMA",
)  # fmt: skip


@pytest.mark.parametrize("kind", SAYS_ITS_LENGTH)
def test_what_is_left_of_a_cut_file_is_used_and_said(tmp_path: Path, kind: str) -> None:
    """Against refusing a take whose last seconds are missing, and against half a take passing for a whole one."""
    path, sound = tmp_path / "x.m4a", clicks(5.0)
    if kind.endswith("M4A"):  # the index comes first in what cameras and phones write, or nothing is left
        by_ffmpeg("ipod", kind.split()[0].lower(), sound, to=path, movflags="faststart")
    else:
        path.write_bytes(KINDS[kind](sound))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    samples, info = read_audio(path)
    assert 1.0 < len(samples) / SAMPLE_RATE < 4.0
    assert len(info.notes) == 1
    assert "what is there is used" in info.notes[0]


@pytest.mark.parametrize("kind", ["MP3 without Xing", "AAC in ADTS", "Vorbis", "FLAC in OGG", "FLAC", "MP2"])
def test_what_is_damaged_in_the_middle_is_not_the_end(tmp_path: Path, kind: str) -> None:
    """Against a bad packet ending the sound, or going by without a word."""
    whole = KINDS[kind](clicks(6.0))
    path, middle = tmp_path / "x", len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(300) + whole[middle + 300 :])
    samples, info = read_audio(path)
    assert len(samples) / SAMPLE_RATE > 4.0
    assert np.abs(samples[-SAMPLE_RATE:]).max() > 0.3  # the loud half goes on to the end
    if kind != "MP2":  # whose frames have no check: the zeros are a click
        assert info.notes


@pytest.mark.parametrize("kind", ["Vorbis", "Opus"])
def test_a_damaged_page_at_the_start_is_said(tmp_path: Path, kind: str) -> None:
    """Against a first second that is missing without a word: what follows says where it is, not that something was before."""
    whole = KINDS[kind](clicks(6.0))
    path, place = tmp_path / "x", whole.index(b"OggS", whole.index(b"OggS", 100) + 1) - 200
    path.write_bytes(whole[:place] + bytes(50) + whole[place + 50 :])
    samples, info = read_audio(path)
    assert len(samples) / SAMPLE_RATE < 5.5
    assert info.notes == ("what is damaged in it is left out",)


def test_a_file_that_begins_with_junk_is_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    path.write_bytes(random.Random(0).randbytes(5000) + KINDS["MP3"](clicks()))
    _, info = read_audio(path)
    assert info.samples == pytest.approx(SAMPLE_RATE, abs=2500)
    assert info.notes == ("what is damaged in it is left out",)
