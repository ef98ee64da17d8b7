"""Tempo and beats of sounds whose tempo is known."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from distill.audio.tagging import put_tags
from distill.audio.tags import SoundTags
from distill.audio.tempo import find_grid, grid_of
from distill.audio.tempo_said import said_tempo
from distill.settings.geometry import SAMPLE_RATE

Sound = npt.NDArray[np.float32]


def strokes(
    bpm: float, seconds: float, first: float = 0.0, off_beat: float = 0.5, soft: float = 0.4, noise: float = 0.0
) -> Sound:
    """Beats, the first of four loudest, with a softer stroke `off_beat` of a beat after each, over noise."""
    rng = np.random.default_rng(0)
    sound = noise * rng.standard_normal(round(seconds * SAMPLE_RATE))
    beat = 60.0 / bpm
    decay = np.exp(-np.arange(4800) / 700.0)
    for number in range(int((seconds - first) / beat) + 1):
        for later, loud in ((0.0, 1.0 if number % 4 == 0 else 0.8), (off_beat, soft)):
            place = round((first + (number + later) * beat) * SAMPLE_RATE)
            length = min(len(decay), len(sound) - place)
            if length > 0 and loud:
                sound[place : place + length] += 0.5 * loud * rng.standard_normal(length) * decay[:length]
    return sound.astype(np.float32)


@pytest.mark.parametrize("soft", [0.0, 0.2])
@pytest.mark.parametrize("bpm", [60, 72, 85.5, 97, 110, 126, 140, 155, 168, 180])
def test_the_tempo_of_strokes_is_found(bpm: float, soft: float) -> None:
    """Guards against periods that are rounded to frames, and against two thirds or four thirds of a tempo."""
    grid = find_grid(strokes(bpm, 7.31, first=0.21, soft=soft))
    assert grid is not None
    near = min((bpm, 2 * bpm, bpm / 2), key=lambda each: abs(each - grid.bpm))
    assert grid.bpm == pytest.approx(near, rel=0.01)
    if 80 <= bpm <= 150:
        assert near == bpm


@pytest.mark.parametrize(("off_beat", "noise"), [(2 / 3, 0.0), (0.6, 0.02), (0.5, 0.05)])
def test_swing_and_noise_do_not_change_it(off_beat: float, noise: float) -> None:
    for bpm in (90, 104, 120, 133):
        grid = find_grid(strokes(bpm, 8.3, off_beat=off_beat, soft=0.3, noise=noise))
        assert grid is not None
        assert grid.bpm == pytest.approx(bpm, rel=0.01), (bpm, off_beat)


@pytest.mark.parametrize(("bpm", "beats"), [(97, 4), (126, 8), (93.7, 8), (148, 16)])
def test_the_length_of_a_loop_says_its_tempo_exactly(bpm: float, beats: int) -> None:
    """Guards against a tempo that makes loops a few samples longer than the recording."""
    seconds = beats * 60.0 / bpm
    grid = find_grid(strokes(bpm, seconds, noise=0.002))
    assert grid is not None
    assert grid.beats == beats
    assert grid.bpm == pytest.approx(bpm, rel=2e-5)
    assert round(beats * 60.0 / grid.bpm * SAMPLE_RATE) == round(seconds * SAMPLE_RATE)


def test_a_part_of_a_piece_is_no_loop_and_says_where_its_beats_are() -> None:
    grid = find_grid(strokes(112, 9.87, first=0.3))
    assert grid is not None
    assert grid.beats is None
    assert grid.first_beat == pytest.approx(0.3, abs=0.02)


def test_of_a_long_piece_the_middle_is_listened_to() -> None:
    """Guards against beats that are counted from where listening begins."""
    piece = np.concatenate([np.zeros(40 * SAMPLE_RATE, np.float32), strokes(100, 80.0, first=0.3)])
    grid = find_grid(piece)
    assert grid is not None
    assert grid.bpm == pytest.approx(100, rel=0.002)
    assert grid.first_beat == pytest.approx((40 + 0.3) % 0.6, abs=0.02)


def hits(places: list[float], seconds: float) -> Sound:
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for place in places:
        begin = round(place * SAMPLE_RATE)
        sound[begin : begin + 9600] = np.random.default_rng(1).standard_normal(9600) * np.exp(-np.arange(9600) / 1500.0)
    return sound


NO_TEMPO = {
    "silence": np.zeros(SAMPLE_RATE, np.float32),
    "one hit": hits([0.05], 1.5),
    "two hits": hits([0.05, 0.9], 2.0),
    "a drone": np.sin(2 * np.pi * 110 * np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32) * 0.3,
    "noise": np.random.default_rng(2).standard_normal(6 * SAMPLE_RATE).astype(np.float32) * 0.1,
    "hits by chance": hits([0.1, 0.52, 1.71, 2.03, 3.44, 4.31, 4.62, 6.2], 7.0),
}


@pytest.mark.parametrize("name", NO_TEMPO)
def test_what_has_no_tempo_gets_none(name: str) -> None:
    assert find_grid(NO_TEMPO[name]) is None


def test_a_known_tempo_with_a_whole_length_is_exact() -> None:
    sound = strokes(97.3, 4 * 60 / 97.3)
    assert grid_of(sound, 97, 0.05).beats == 4
    assert grid_of(sound, 97, 0.05).bpm == pytest.approx(97.3, rel=1e-5)
    assert grid_of(sound, 90, 0.05).beats is None


def written(path: Path, tags: SoundTags | None = None, form: str = "WAV") -> Path:
    with path.open("w+b") as stream:
        soundfile.write(stream, strokes(120, 2.0), SAMPLE_RATE, format=form)
        put_tags(stream, form, tags, 2 * SAMPLE_RATE, SAMPLE_RATE)
    return path


def with_chunk(path: Path, name: bytes, body: bytes) -> Path:
    data = written(path).read_bytes()
    data += name + struct.pack("<I", len(body)) + body
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return path


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
def test_our_own_tags_say_the_tempo_in_every_format(tmp_path: Path, form: str) -> None:
    tags = SoundTags(version="1", verb="loop", loop=True, bpm=133.25, beats=6, beats_per_bar=3)
    said = said_tempo(written(tmp_path / f"90bpm.{form.lower()}", tags, form))
    assert said is not None
    assert (said.bpm, said.beats_per_bar, said.place) == (133.25, 3, "tags")


def test_tags_of_other_programs_are_read(tmp_path: Path) -> None:
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3

    acid = struct.pack("<IHHfIHHf", 0, 60, 0x8000, 0.0, 6, 4, 3, 93.5)
    assert said_tempo(with_chunk(tmp_path / "a.wav", b"acid", acid))[:3] == (93.5, 0.01, "tags")  # type: ignore[index]
    one_shot = struct.pack("<IHHfIHHf", 1, 60, 0x8000, 0.0, 1, 4, 4, 120.0)
    assert said_tempo(with_chunk(tmp_path / "b.wav", b"acid", one_shot)) is None
    ixml = b"<BWFXML><ASWG><tempo>88.5</tempo></ASWG></BWFXML>"
    assert said_tempo(with_chunk(tmp_path / "c.wav", b"iXML", ixml)).bpm == 88.5  # type: ignore[union-attr]
    flac = FLAC(written(tmp_path / "d.flac", form="FLAC"))
    flac["TEMPO"] = ["101"]
    flac.save()
    assert said_tempo(tmp_path / "d.flac")[:2] == (101.0, 0.5)  # type: ignore[index]
    from mutagen.id3 import TBPM

    mp3 = MP3(written(tmp_path / "e.mp3", form="MP3"))
    mp3.add_tags()
    mp3.tags.add(TBPM(encoding=3, text=["174"]))
    mp3.save()
    assert said_tempo(tmp_path / "e.mp3").bpm == 174.0  # type: ignore[union-attr]


@pytest.mark.parametrize("body", [b"", b"\xff" * 24, struct.pack("<IHHfIHHf", 0, 0, 0, 0, 4, 4, 4, float("nan"))])
def test_tags_that_make_no_sense_say_nothing(tmp_path: Path, body: bytes) -> None:
    assert said_tempo(with_chunk(tmp_path / "a.wav", b"acid", body)) is None


@pytest.mark.parametrize(
    ("name", "bpm"),
    [
        ("loop_120bpm_02", 120), ("Break 97.5 BPM", 97.5), ("bpm_174 amen", 174), ("drums-88bpm", 88), ("9bpm", None),
        ("1200bpm", None), ("bpm", None), ("loop 120", None), ("999bpm", None), ("kick_02", None),
    ],
)  # fmt: skip
def test_a_name_may_say_it(tmp_path: Path, name: str, bpm: float | None) -> None:
    """Guards against numbers of files that are taken for tempi."""
    said = said_tempo(written(tmp_path / f"{name}.wav"))
    assert (None if said is None else said.bpm) == bpm
