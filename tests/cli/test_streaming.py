"""`--stream`: sound on standard output, and nothing else there."""

import io
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

import distill as library_of
from distill.audio.griffin_lim import GriffinLim
from distill.audio.pipes import Pipe, wav_header
from distill.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def streamed(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., tuple[int, bytes, str]]:
    """Call the program -> exit code, the bytes on standard output, stderr."""

    def run(*arguments: str | Path) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "argv", ["distill", "generate", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        out, err = capfdbinary.readouterr()
        return int(done.value.code or 0), out, err.decode()

    return run


def test_the_bytes_are_the_sound(
    streamed: Callable[..., tuple[int, bytes, str]], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a word on standard output, a header of another format, and another sound than the files'."""
    monkeypatch.setattr(GriffinLim.__init__, "__defaults__", (2, "random"))
    model = library_of.load(tiny_model, "cpu")
    for seconds in ("0.5", "4.5"):  # one that is made first, one that is made meanwhile
        wanted = model.generate(
            count=1, seconds=float(seconds), seed=3, ending="exact", synthesiser="griffin-lim"
        ).samples[0]
        asked = (tiny_model, "--seconds", seconds, "--seed", "3", "--exact", "--synthesiser", "griffin-lim", "--stream")
        code, out, err = streamed(*asked, "raw")
        assert code == 0
        assert np.array_equal(np.frombuffer(out, "<f4"), wanted[0])
        assert "32-bit float little-endian" in err
        code, out, _ = streamed(*asked, "wav")
        read, rate = soundfile.read(io.BytesIO(out), dtype="float32")
        assert (code, rate) == (0, 48_000)
        assert np.abs(read - wanted[0]).max() <= 2.0**-23
        assert struct.unpack("<I", out[4:8])[0] == len(out) - 8  # the length is known
        assert struct.unpack("<I", out[40:44])[0] == len(wanted[0]) * 3


def test_a_header_without_a_length_is_read_to_the_end() -> None:
    """Guards against players that find no sound in a stream that does not end; stereo, and an odd number of bytes."""
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 4801)).astype(np.float32)
    stream = io.BytesIO()
    pipe = Pipe(stream, "wav", 2, None)
    pipe.write(sound[:, :1000])
    pipe.write(sound[:, 1000:])
    pipe.close()
    assert struct.unpack("<I", stream.getvalue()[4:8])[0] == 0xFFFF_FFFF
    with av.open(SimpleNamespace(read=io.BytesIO(stream.getvalue()).read)) as container:  # nothing to seek in
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    read = np.concatenate(frames, axis=1).reshape(-1, 2).T / 2.0**31
    assert read.shape == sound.shape
    assert np.abs(read - sound).max() < 2.0**-22
    assert wav_header(1, 3)[40:44] == struct.pack("<I", 9)
    assert wav_header(2, 2**31)[40:44] == b"\xff" * 4


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--stream", "mp3"], "--stream mp3: choose raw or wav."),
        (["--stream", "raw", "--json"], "--stream and --json: both would go to standard output. Leave --json out."),
        (["--stream", "raw", "--count", "2"], "--stream and --count: a stream is one sound. Leave --count out."),
        (
            ["--stream", "wav", "--format", "flac"],
            "--stream and --format: --stream says the format. Leave --format out.",
        ),
    ],
)
def test_what_cannot_go_with_it_is_one_sentence(
    distill: Run, tiny_model: Path, flags: list[str], sentence: str
) -> None:
    """Guards against sound and words in one pipe, and against a flag that is silently passed over."""
    assert distill("generate", tiny_model, *flags) == (1, "", f"Error: {sentence}\n")


def test_a_player_that_is_closed_ends_it_quietly(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against a traceback, a complaint at the exit, and a program that goes on for nobody."""
    reader, writer = os.pipe()

    def play() -> None:
        with os.fdopen(reader, "rb") as heard:
            assert len(heard.read(30_000)) == 30_000

    player = threading.Thread(target=play)
    player.start()
    output = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "argv", ["distill", "generate", str(tiny_model), "--stream", "wav"])
    with pytest.raises(SystemExit) as done:
        main()
    player.join()
    assert not done.value.code
    output.close()  # as at the exit: what was not written any more is not tried again
    said = capfd.readouterr().err
    assert "rror" not in said
    assert len(said.splitlines()) == 2
