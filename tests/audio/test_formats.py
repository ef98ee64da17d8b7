"""Every kind of file that phones, cameras, browsers and recorders write, by its content; and what must not pass for a sound."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image

from distill.audio.formats import FORMATS
from distill.audio.reading import UnusableSound, decode_blocks, kind_of, read_audio
from distill.corpus.folder import SoundFolder
from distill.events import SoundWritten, Warned
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.reconstructing import reconstruct
from encoded import HZ, KINDS, by_ffmpeg, by_libsndfile, clicks
from tiny import CORPORA

PADDING_SECONDS = 0.04
UNSAID_PADDING_SECONDS = 0.05
LATE = ("AAC in pieces", "AAC in MPEG-TS", "MP2", "MP3 in WAV", "WMA")
"""Kinds that do not say where their encoder began: up to 0.03 s late, or early for a WMA of FFmpeg's own."""


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return clicks()


@pytest.fixture(scope="module")
def encoded(sound: np.ndarray) -> dict[str, bytes]:
    """The same second of sound in every kind of file."""
    return {name: make(sound) for name, make in KINDS.items()}


def reason(path: Path) -> str:
    with pytest.raises(UnusableSound) as caught:
        list(decode_blocks(path))
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_whole_whatever_its_name(
    tmp_path: Path, sound: np.ndarray, encoded: dict[str, bytes], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Against "not an audio file" for what a phone, a camera or a browser wrote, and for a wrong suffix or none."""
    path = tmp_path / ("noextension" if len(kind) % 2 else "named.wav")
    path.write_bytes(encoded[kind])
    samples, info = read_audio(path)
    assert abs(info.samples / SAMPLE_RATE - 1.0) <= (UNSAID_PADDING_SECONDS if kind in LATE else PADDING_SECONDS)
    assert info.notes == ()
    wanted = np.interp(np.arange(SAMPLE_RATE) / SAMPLE_RATE, np.arange(len(sound)) / HZ, sound.mean(axis=1))
    lag = 0
    if kind in LATE:
        lag = int(np.correlate(samples, wanted[:6000], "valid")[:3000].argmax())
    length = min(len(samples) - lag, 46_000)
    if kind != "WMA":
        assert np.corrcoef(samples[lag : lag + length], wanted[:length])[0, 1] > 0.98
    assert np.abs(samples).max() > 0.5
    assert capfd.readouterr().err == ""


def test_reconstruct_gives_each_kind_its_length(tmp_path: Path, tiny_model: Path) -> None:
    """Against a kind that the scan reads and another command refuses. Without refining, which takes its time."""
    files, sound = [], clicks(0.25)
    for number, make in enumerate(KINDS.values()):
        files.append(tmp_path / f"{number:02d}.sound")
        files[-1].write_bytes(make(sound))
    events = list(reconstruct(str(tiny_model), files, tmp_path / "out", "cpu", "griffin-lim"))
    written = [event for event in events if isinstance(event, SoundWritten)]
    assert [Path(each.source or "") for each in written] == files
    assert all(abs(each.seconds - 0.25) <= UNSAID_PADDING_SECONDS for each in written)
    assert not [event for event in events if isinstance(event, Warned)]
    files[0].write_bytes(KINDS["WAV"](sound)[:-10_000])
    events = list(reconstruct(str(tiny_model), files[:1], tmp_path / "out", "cpu", "griffin-lim"))
    (warned,) = [event.message for event in events if isinstance(event, Warned)]
    assert warned == f"{files[0]}: its header promises 0.25 s, 0.19 s can be read: what is there is used."


JOINED = (
    "Vorbis",
    "Opus",
    "FLAC in OGG",
    "FLAC",
    "WAV",
    "AIFF",
    "RF64",
    "AAC in M4A",
    "Opus in WebM",
    "MP3",
    "AAC in ADTS",
)


def test_two_recordings_in_one_file_are_both_used(tmp_path: Path, encoded: dict[str, bytes]) -> None:
    """Against the half of a chained OGG, a joined MP3 or their like that a decoder leaves out without a word."""
    for kind in JOINED:
        path = tmp_path / "joined"
        path.write_bytes(encoded[kind] + encoded[kind])
        _, info = read_audio(path)
        assert abs(info.samples / SAMPLE_RATE - 2.0) <= 2 * PADDING_SECONDS, kind
        assert kind == "AAC in ADTS" or info.notes == ("it holds 2 recordings one after the other: all are used",)


def test_recordings_of_other_rates_and_channels_may_follow(tmp_path: Path) -> None:
    """Against a second link at the first one's rate: as fast as it should not be, or noise."""
    path = tmp_path / "chained.ogg"
    mono = clicks(1.0, 22_050)[:, :1]
    path.write_bytes(by_libsndfile("OGG", "VORBIS", clicks()) + by_libsndfile("OGG", "VORBIS", mono, 22_050))
    samples, info = read_audio(path)
    assert info.samples == pytest.approx(2 * SAMPLE_RATE, abs=4)
    first, second = samples[24_000:44_000], samples[72_000:92_000]
    assert np.corrcoef(first, second)[0, 1] > 0.98


@pytest.mark.parametrize("xing", ["1", "0"])
def test_an_mp3_is_as_long_as_its_frames(tmp_path: Path, xing: str) -> None:
    """Against a decoder's estimate (3.2 of 8.3 s): variable rate, a large tag, tags and junk behind, joined files."""
    sound = np.concatenate([clicks() * 0.01, clicks()])  # the soft half takes few bytes: an estimate is far off
    plain = by_ffmpeg("mp3", "libmp3lame", sound, write_xing=xing, id3v2_version="0")
    picture = np.random.default_rng(0).bytes(300_000)
    tag = b"ID3\x03\0\0" + bytes([0, 18, 39, 96]) + picture[: 18 << 14 | 39 << 7 | 96]
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 5000, 0, 0xA000_0000) + bytes(8) + picture[:5000]
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 5000, 0, 0x8000_0000) + bytes(8)
    files = {
        "plain": (plain, 2.0),
        "large tag": (tag + plain, 2.0),
        "tags behind": (plain + ape + footer + b"TAG" + b"title".ljust(125), 2.0),
        "junk behind": (plain + picture[:20_000], 2.0),
        "joined": (plain + plain, 4.0),
        "joined with tags": (tag + plain + b"TAG".ljust(128) + tag + plain, 4.0),
        "three": (plain + tag + plain + ape + footer + plain, 6.0),
    }
    for name, (content, seconds) in files.items():
        path = tmp_path / "x.mp3"
        path.write_bytes(content)
        samples, info = read_audio(path)
        exact = xing == "1" and name != "junk behind"
        assert abs(info.samples / SAMPLE_RATE - seconds) < (0.001 if exact else 0.02 * seconds), name
        assert np.abs(samples[SAMPLE_RATE : 2 * SAMPLE_RATE]).max() > 0.5, name


def test_an_mp3_that_does_not_say_its_delay_begins_on_time(tmp_path: Path, sound: np.ndarray) -> None:
    """Against 25 ms of silence before each attack; a file that was cut out of a longer one loses nothing."""
    path = tmp_path / "x.mp3"
    whole = by_ffmpeg("mp3", "libmp3lame", sound, write_xing="0", id3v2_version="0")
    path.write_bytes(whole)
    samples, _ = read_audio(path)
    assert (
        abs(int(np.abs(samples[:6000]).argmax()) - int(np.abs(sound[:6000]).max(axis=1).argmax() * SAMPLE_RATE / HZ))
        < 20
    )
    second = whole.index(b"\xff\xfb", 10)
    path.write_bytes(whole[second:])
    later, _ = read_audio(path)
    assert len(later) == pytest.approx(len(samples) - 1152 * SAMPLE_RATE / HZ + 1105 * SAMPLE_RATE / HZ, abs=4)


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inside.mp3", content)
    return buffer.getvalue()


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "png")
    return buffer.getvalue()


NOT_SOUNDS: dict[str, Any] = {
    "notes.au": b"kick, snare, hat\n" * 70,
    "atari.snd": np.random.default_rng(3).bytes(6000),
    "samples.raw": (clicks() * 32767).astype("<i2").tobytes(),
    "long.wav": np.random.default_rng(4).bytes(300_000),
    "cover.mp3": picture,
    "pack.wav": lambda: zipped(KINDS["MP3"](clicks())),
    "MAC addresses.ape": b"MAC addresses of the studio\n",
    "I'm free.m4a": b"I'm free to do what I want\n" * 40,
    "list.wav": b"ffconcat version 1.0\nfile '%s'\n",
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://%s\n#EXT-X-ENDLIST\n",
    "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "subtitle.wav": b"1\n00:00:01,000 --> 00:00:02,000\nla la\n\n",
    "pixels.wav": b"x" * 10 + (b"\xff\xfb\x90\x64" + bytes(413)) * 20,
    "code.wav": b"x" * 10 + b"".join(b"\xff\xff\x48\x83" + bytes([number] * 188) for number in range(20)),
}


@pytest.mark.parametrize("name", NOT_SOUNDS)
def test_what_is_no_sound_is_refused_by_its_content(tmp_path: Path, name: str) -> None:
    """Against headerless guesses (text read as u-law), and against a list that makes the program open other files."""
    other = tmp_path / "other.wav"
    other.write_bytes(KINDS["WAV"](clicks(0.2)))
    content = NOT_SOUNDS[name]() if callable(NOT_SOUNDS[name]) else NOT_SOUNDS[name]
    path = tmp_path / name
    path.write_bytes(content.replace(b"%s", str(other).encode()))
    assert reason(path) == "not a sound"


def test_a_sound_opens_no_other_file(
    tmp_path: Path, encoded: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a MOV from a stranger whose sound is said to lie in another file of the user's."""
    secret = tmp_path / "secret.pcm"
    secret.write_bytes((clicks(0.5) * 32767).astype("<i2").tobytes())
    content = bytearray(encoded["PCM in MOV"])
    entry = content.index(b"url ", content.index(b"dref"))
    content[entry + 4 : entry + 8] = bytes(4)  # not in this file
    path = tmp_path / "camera.mov"
    path.write_bytes(content)
    opened: list[str] = []
    plain_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *rest: opened.append(self.name) or plain_open(self, *rest))
    read_audio(path)
    assert set(opened) == {"camera.mov"}


CONVERT = "a kind of sound that cannot be read (%s): convert it to WAV or FLAC"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"CAT \0\0\0\x64REX2HEAD" + bytes(90), CONVERT % "REX"),
        (b"RIFF\x64\0\0\0sfbkLIST" + bytes(90), CONVERT % "SoundFont"),
        (bytes(5000), "not downloaded yet, or lost: it holds nothing but zeros"),
        (b"OggS" + bytes(300), "damaged: its OGG header cannot be read"),
        (b"\x1a\x45\xdf\xa3" + bytes(300), "damaged: its WebM or Matroska header cannot be read"),
        (b"fLaC\0\0\0\x22" + bytes(300), "damaged: its FLAC header cannot be read"),
    ],
)
def test_the_reasons_tell_three_things_apart(tmp_path: Path, content: bytes, expected: str) -> None:
    """Against one reason for what is no sound, what wants converting and what is broken."""
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert reason(path) == expected


def test_a_coding_that_nothing_reads_wants_converting(tmp_path: Path) -> None:
    """Against "damaged" for a WAV in a coding that there is no decoder for."""
    content = bytearray(KINDS["WAV"](clicks()))
    content[20:22] = struct.pack("<H", 0x7A21)
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert reason(path) == "a kind of sound that cannot be read (WAV): convert it to WAV or FLAC"


def test_a_video_without_a_sound_track_is_no_sound(tmp_path: Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(stream.encode(None))
    assert reason(path) == "not a sound: there is no sound track in it"


@pytest.mark.parametrize("content", [
    b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 65535, HZ, 2 * HZ, 2, 16) + b"data",
    b".snd" + struct.pack(">IIIII", 24, 2**31, 3, HZ, 2**31 - 1) + bytes(1000),
    b"TTA1" + struct.pack("<HHHII", 1, 65535, 16, HZ, 2**31) + bytes(1000),
    b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(200),
    b"fLaC\x06\xff\xff\xff" + bytes(5000),
    b"\0\0\0\x10ftypisom" + b"\0\0\0\x08moov" * 1000,
])  # fmt: skip
def test_a_header_that_asks_for_the_world_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Against memory or time that a few bytes claim: thousands of channels, hours, tags of 256 MB."""
    path = tmp_path / "hostile"
    path.write_bytes(content)
    assert reason(path).startswith(("damaged", "not a sound", "it has", "empty"))


def test_the_kind_is_known_without_decoding(tmp_path: Path, encoded: dict[str, bytes]) -> None:
    """Against a player that trusts the suffix."""
    path = tmp_path / "x.wav"
    for kind, name in (
        ("AAC in M4A", "MP4"),
        ("MP3", "MP3"),
        ("Vorbis", "OGG"),
        ("WAV", "WAV"),
        ("AAC in ADTS", "AAC"),
    ):
        path.write_bytes(encoded[kind])
        assert kind_of(path).name == name


def test_the_readme_names_what_is_read() -> None:
    """Against a list of formats for each place that names them."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert FORMATS in " ".join(text.split())


CASES = CORPORA.parent / "cases"


LENGTHS: list[tuple[str, float]] = [
    ("phone memo.m4a", 2.5), ("lossless.m4a", 2.5), ("camera.mov", 2.5), ("browser.webm", 2.5), ("adts named.wav", 2.5),
    ("radio.mp2", 2.5), ("recorder.w64", 2.5), ("flac-in-ogg.oga", 2.5), ("noextension", 2.5), ("cbr-no-xing-id3.mp3", 2.5),
    ("vbr-no-xing.mp3", 2.5), ("two-joined.mp3", 5.0), ("two-chained.ogg", 5.0), ("stale-size.wav", 2.5),
    ("battery-died.wav", 2.325), ("one-mic-inverted.wav", 2.5), ("quiet-float.wav", 2.5),
]  # fmt: skip


@pytest.mark.corpus
@pytest.mark.skipif(not CASES.is_dir(), reason="there are no such files beside the checkout")
@pytest.mark.parametrize(("name", "seconds"), LENGTHS)
def test_files_as_people_have_them(name: str, seconds: float) -> None:
    """Against what went wrong with files that people really have."""
    samples, info = read_audio(CASES / name)
    assert abs(info.samples / SAMPLE_RATE - seconds) <= PADDING_SECONDS * (1 + (name == "two-joined.mp3"))
    noted = name in ("stale-size.wav", "battery-died.wav", "one-mic-inverted.wav", "two-chained.ogg")
    assert bool(info.notes) == noted
    if name == "one-mic-inverted.wav":
        left = soundfile.read(CASES / name, dtype="float32")[0][:, 0]
        assert np.corrcoef(samples, soxr.resample(left, info.native_rate, SAMPLE_RATE))[0, 1] > 0.999


@pytest.mark.corpus
@pytest.mark.skipif(not CASES.is_dir(), reason="there are no such files beside the checkout")
def test_what_people_have_beside_sounds() -> None:
    """Against text and random bytes as sounds, and a placeholder that nobody hears of."""
    found = SoundFolder(CASES)
    assert found.skipped["notes.au"] == found.skipped["atari.snd"] == "not a sound"
    assert found.skipped[".kick1.wav.icloud"].startswith("not downloaded yet")
    assert set(found.sounds) == {name for name, _ in LENGTHS}
