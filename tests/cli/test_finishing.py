"""What is written: rates, bits, loudness and ends reach the files of every command that writes sounds."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import distill as library_of
from distill.audio.finishing import at_rate, faded
from distill.audio.normalising import CEILING_DB, lufs, true_peak_db
from distill.audio.reading import read_audio
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]


def test_the_flags_of_the_files(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a flag that is taken and never reaches the file, or `seconds` of another rate."""
    flags = ["--count", "2", "--seed", "1", "--seconds", "0.5", "--ending", "exact", "--synthesiser", "griffin-lim"]
    code, stdout, stderr = distill(
        "generate", "kit", *flags, "--format", "flac", "--bits", "16", "--rate", "44100", "--normalise", "peak",
        "--fade-in", "0.1", "--out", str(tmp_path / "a"), "--json",
    )  # fmt: skip
    assert code == 0, stderr
    for file in json.loads(stdout)["files"]:
        with soundfile.SoundFile(file["path"]) as sound:
            assert (sound.format, sound.subtype, sound.samplerate) == ("FLAC", "PCM_16", 44_100)
            samples = sound.read(dtype="float32")
        assert file["seconds"] == 0.5
        assert len(samples) == 22_050
        assert true_peak_db(samples[None]) == pytest.approx(CEILING_DB, abs=0.05)
        assert np.abs(samples[:40]).max() < 1e-3
    code, _, stderr = distill("generate", "kit", *flags, "--normalise", "lufs", "--lufs", "-3", "--trim", "-12", "--out",
                              str(tmp_path / "b"))  # fmt: skip
    assert code == 0, stderr
    assert "2 of 2 sounds are softer than -3 LUFS, by up to" in " ".join(stderr.split())
    for path in (tmp_path / "b").iterdir():
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        assert len(samples) < 24_000
        assert true_peak_db(samples[None]) == pytest.approx(CEILING_DB, abs=0.01)


def test_a_loop_at_another_rate_has_its_beats(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a length that was rounded at 48 kHz first, and a loop that is normalised as one hit."""
    code, stdout, stderr = distill(
        "generate", "kit", "--loop", "--bpm", "197", "--beats", "3", "--rate", "44100", "--bits", "32", "--count", "1",
        "--normalise", "lufs", "--lufs", "-30", "--synthesiser", "griffin-lim", "--out", str(tmp_path), "--json",
    )  # fmt: skip
    assert code == 0, stderr
    (file,) = json.loads(stdout)["files"]
    samples, rate = soundfile.read(file["path"], dtype="float32")
    assert (len(samples), rate) == (round(3 * 60 / 197 * 44_100), 44_100)
    assert lufs(samples[None], rate, loop=True) == pytest.approx(-30.0, abs=0.05)


def test_python_has_them(library: Path) -> None:
    """Guards against settings that only files have."""
    model = library_of.load("kit", "cpu")
    settings = {"count": 1, "seed": 3, "seconds": 0.5, "ending": "exact", "synthesiser": "griffin-lim"}
    plain = model.generate(**settings)
    made = model.generate(**settings, rate=24_000, fade_out=0.5)
    assert (made.samples.shape, made.rate) == ((1, 1, 12_000), 24_000)
    wanted = at_rate(faded(plain.samples[0], 0.0, 0.5), 24_000, 12_000)
    np.testing.assert_allclose(made.samples[0], wanted, atol=1e-5)
    codes = model.encode(hit(3, 0.4), RATE)
    longer = model.decode(codes, seed=1, rate=96_000, synthesiser="griffin-lim")
    usual = model.decode(codes, seed=1, synthesiser="griffin-lim")
    assert (longer.rate, longer.samples.shape[1]) == (96_000, 2 * usual.samples.shape[1])


def test_reconstructions_have_them(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against flags of `reconstruct` that its files do not have, and defaults that change its files."""
    soundfile.write(tmp_path / "one.wav", hit(3, 0.5), RATE, subtype="PCM_24")
    run = ("reconstruct", "kit", str(tmp_path / "one.wav"), "--synthesiser", "griffin-lim", "--json")
    code, stdout, stderr = distill(*run, "--out", str(tmp_path / "a"), "--format", "flac", "--rate", "22050", "--bits", "16",
                                   "--normalise", "peak", "--trim", "-30")  # fmt: skip
    assert code == 0, stderr
    (file,) = json.loads(stdout)["files"]
    with soundfile.SoundFile(file["path"]) as sound:
        assert (sound.format, sound.subtype, sound.samplerate) == ("FLAC", "PCM_16", 22_050)
        assert file["seconds"] == len(sound) / 22_050 < 0.5
    code, stdout, stderr = distill(*run, "--out", str(tmp_path / "b"))
    plain = json.loads(stdout)["files"][0]
    assert plain["fidelity"] == file["fidelity"]
    assert Path(plain["path"]).name == "one.wav"
    assert len(read_audio(Path(plain["path"]))[0]) == 24_000
    code, _, stderr = distill(*run, "--format", "ogg", "--bits", "16")
    assert (code, stderr.strip()) == (1, "Error: --bits 16: ogg files have no bits a sample; choose --format wav.")
