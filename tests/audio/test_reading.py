"""Reading and writing sound files, and the many ways in which they can be bad."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.audio.reading import SoundInfo, UnusableSound, decode_blocks, read_audio
from distill.audio.writing import write_audio
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE


def tone(seconds: float = 0.5, hz: float = 440.0, rate: int = SAMPLE_RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def decoded(path: Path) -> tuple[np.ndarray, SoundInfo]:
    blocks, decoding = [], decode_blocks(path)
    while True:
        try:
            blocks.append(next(decoding))
        except StopIteration as end:
            return np.concatenate(blocks), end.value


def reason(path: Path) -> str:
    with pytest.raises(UnusableSound) as caught:
        decoded(path)
    assert path.name not in str(caught.value)
    return str(caught.value)


def wav_bytes(data: bytes, *, channels: int = 1, rate: int = SAMPLE_RATE, data_size: int | None = None) -> bytes:
    size = len(data) if data_size is None else data_size
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2 % 2**32, channels * 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + size, 2**32 - 1))
        + b"WAVEfmt "
        + form
        + b"data"
        + struct.pack("<I", size)
        + data
    )


PCM = (tone() * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_streamed_decoding_equals_resampling_in_one_go(tmp_path: Path, rate: int) -> None:
    """Against seams between blocks: the slow oracle is soxr on the whole mono mix."""
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (rate * 7, 2)).astype(np.float32)
    path = tmp_path / "noise.wav"
    soundfile.write(path, stereo, rate, subtype="FLOAT")
    samples, info = decoded(path)
    whole = soxr.resample(stereo.mean(axis=1), rate, SAMPLE_RATE, quality="VHQ")
    np.testing.assert_allclose(samples, whole, atol=1e-6)
    assert info == SoundInfo(rate, 2, len(whole), pytest.approx(np.abs(whole).max(), rel=1e-5), stereo=True)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.integers(200, 3000), channels=st.integers(1, 8), rate=st.sampled_from([8_000, 11_025, 32_000, 44_100])
)
def test_length_is_the_duration_at_48_khz(tmp_path: Path, samples: int, channels: int, rate: int) -> None:
    """Against lost tails: whatever the rate and channels, the duration is kept to a sample."""
    path = tmp_path / "any.wav"
    soundfile.write(path, np.full((samples * rate // 8_000, channels), 0.25, np.float32), rate)
    expected = samples * rate // 8_000 * SAMPLE_RATE / rate
    assert abs(decoded(path)[1].samples - expected) <= 1


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("aiff", {}),
        ("flac", {}),
        ("ogg", {}),
        ("mp3", {}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
        ("au", {}),
        ("caf", {}),
    ],
)
def test_every_promised_format_is_read_whole(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    """Against a format that reads only partly through the forward-only reader."""
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(2.0), SAMPLE_RATE, **options)
    samples, info = decoded(path)
    assert abs(info.samples - 2 * SAMPLE_RATE) <= 2400
    assert np.abs(np.fft.rfft(samples[:SAMPLE_RATE])).argmax() == 440


def test_a_cut_wav_says_how_much_is_missing(tmp_path: Path) -> None:
    """Against refusing what is there, and against half a recording passing for a whole one: libsndfile says nothing."""
    path = tmp_path / "cut.wav"
    path.write_bytes(wav_bytes(PCM[: len(PCM) // 5], data_size=len(PCM) * 6))
    _, info = decoded(path)
    assert info.samples == len(PCM) // 10
    assert info.notes == ("its header promises 3.0 s, 0.1 s can be read: what is there is used",)


@pytest.mark.parametrize("data_size", [0, 0xFFFF_FFFF, 0x7FFF_F000])
def test_a_streamed_wav_without_a_size_is_whole(tmp_path: Path, data_size: int) -> None:
    """Against refusing, or reading as empty, what ffmpeg and sox write into a pipe."""
    path = tmp_path / "streamed.wav"
    path.write_bytes(wav_bytes(PCM, data_size=data_size))
    assert decoded(path)[1].samples == len(PCM) // 2


def test_rf64_is_read(tmp_path: Path) -> None:
    """Against taking the 0xFFFFFFFF of an RF64 for a promise."""
    path = tmp_path / "long.wav"
    soundfile.write(path, tone(), SAMPLE_RATE, format="RF64")
    assert decoded(path)[1].samples == len(tone())


def test_a_streamed_flac_without_a_length_is_whole(tmp_path: Path) -> None:
    """Against seeking after each read, which fails when the header does not know the length."""
    path = tmp_path / "streamed.flac"
    soundfile.write(path, tone(), SAMPLE_RATE)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert decoded(path)[1].samples == len(tone())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (wav_bytes(b""), "empty"),
        (b"this is a text, not a sound\n" * 100, "not a sound"),
        (np.random.default_rng(1).bytes(10_000), "not a sound"),
        (wav_bytes(bytes(SAMPLE_RATE)), "silent"),
        (wav_bytes(PCM[:1900]), "shorter than 20 ms"),
        (wav_bytes(PCM * 4, channels=100), "100 channels"),
        (wav_bytes(PCM, rate=900), "sample rate of 900 Hz"),
        (wav_bytes(PCM, rate=4_000_000_000), "damaged"),
        (wav_bytes(PCM)[:40], "damaged: its WAV header cannot be read"),
    ],
)
def test_each_bad_file_has_its_reason(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    assert expected in reason(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_samples_are_refused(tmp_path: Path, value: float) -> None:
    """Against one NaN turning all weights into NaN."""
    samples = tone()
    samples[1000] = value
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    assert reason(path) == "contains NaN or infinite samples"


def test_a_header_that_promises_years_of_sound_costs_nothing(tmp_path: Path) -> None:
    """Against allocating what a hostile header asks for: 2**36 - 1 samples of FLAC."""
    path = tmp_path / "hostile.flac"
    soundfile.write(path, tone(), SAMPLE_RATE)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    _, info = decoded(path)
    assert info.samples == len(tone())
    assert info.notes == ("its header promises 1e+06 s, 0.5 s can be read: what is there is used",)


@pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX only")
@pytest.mark.parametrize("name", [b"-rf.wav", "trömmel ♪.wav".encode(), b"two\nlines.wav", b"\xff\xfe.wav", b" .wav"])
def test_odd_names_are_read(tmp_path: Path, name: bytes) -> None:
    """Against names that libsndfile or UTF-8 stumble over."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(wav_bytes(PCM))
    assert decoded(path)[1].samples == len(PCM) // 2


def test_read_audio_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    """Against tracebacks for a user's mistake."""
    with pytest.raises(DistillError, match=r"no file .*gone\.wav"):
        read_audio(tmp_path / "gone.wav")
    with pytest.raises(DistillError, match="not a file"):
        read_audio(tmp_path)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DistillError, match=r"text\.wav cannot be used \(not a sound\)"):
        read_audio(tmp_path / "text.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_written_sound_is_24_bit_and_never_wraps(tmp_path: Path, suffix: str) -> None:
    """Against a peak above full scale becoming its opposite."""
    path = tmp_path / f"loud.{suffix}"
    samples = tone() * 3
    write_audio(path, samples)
    assert soundfile.info(path).subtype == "PCM_24"
    np.testing.assert_allclose(read_audio(path)[0], np.clip(samples, -1, 1), atol=2**-22)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_writing_refuses_nan_and_other_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN"):
        write_audio(tmp_path / "a.wav", np.array([np.nan], np.float32))
    with pytest.raises(DistillError, match=r"a\.wma cannot be written"):
        write_audio(tmp_path / "a.wma", tone())
    assert not list(tmp_path.iterdir())
