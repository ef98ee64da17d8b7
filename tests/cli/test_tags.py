"""`what` and `again`: what a file says is enough to make it again, and what stands in the way is said in a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import distill as python
from distill import studio
from distill.audio.tagging import read_tags
from distill.audio.tags import SoundTags, SourceFile
from distill.audio.writing import write_audio
from distill.errors import DistillError
from distill.modelfile.file import read_contents, write_model
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A recording."""
    path = tmp_path / "my sounds" / "a sound.wav"
    path.parent.mkdir()
    soundfile.write(path, np.concatenate([hit(3, 0.4), hit(4, 0.4)]), RATE, subtype="PCM_24")
    return path


def made(distill: Run, out: Path, *flags: str | Path) -> list[Path]:
    code, stdout, stderr = distill("generate", "kit", *flags, "--seed", "4", "--out", out, "--json")
    assert code == 0, stderr
    return [Path(each["path"]) for each in json.loads(stdout)["files"]]


@pytest.mark.parametrize(
    "flags",
    [
        ["--count", "3", "--seconds", "0.4", "--temperature", "0.8", "--natural"],
        ["--replace", "0.3-0.5", "SOURCE", "--candidates", "3", "--format", "flac"],
        ["--vary", "SOURCE", "--amount", "0.4", "--count", "2", "--format", "ogg"],
        ["--bridge", "SOURCE", "SOURCE", "--seconds", "0.2", "--count", "2", "--format", "aiff"],
        ["--loop", "--bpm", "200", "--bars", "1", "--beats", "3", "--count", "2"],
    ],
)
def test_the_same_again(distill: Run, library: Path, tmp_path: Path, source: Path, flags: list[str]) -> None:
    """Guards against a request that loses a setting, its recording or its seed: file by file the same bytes come again."""
    asked = (str(source) if flag == "SOURCE" else flag for flag in flags)
    for path in made(distill, tmp_path / "one", *asked)[-1:]:
        code, stdout, stderr = distill("again", path, "--out", tmp_path / "two", "--json")
        assert code == 0, stderr
        answer = json.loads(stdout)
        assert answer["same"] is True
        assert not answer["notes"]
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()
    samples, rate = python.again(path)
    read = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert rate == RATE
    assert samples.shape == (1, *read.shape)
    assert np.abs(samples[0] - read).max() < (0.2 if path.suffix == ".ogg" else 2**-22)


def test_a_loop_is_made_again_without_what_its_tempo_was_read_from(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against tags that name a recording in place of its tempo."""
    beats = tmp_path / "beat 180bpm.wav"
    soundfile.write(beats, np.concatenate([hit(3, 1 / 3), hit(4, 1 / 3), hit(5, 1 / 3)]), RATE, subtype="PCM_24")
    (path,) = made(distill, tmp_path / "one", "--loop", "--tempo-from", beats, "--count", "1")
    beats.unlink()
    tags = read_tags(path)
    assert (tags.bpm, tags.beats, tags.beats_per_bar) == (180.0, 3, 3)
    assert "tempo_from" not in tags.request
    assert distill("again", path, "--out", tmp_path / "two")[0] == 0
    assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()


def test_what_is_said_of_a_file(distill: Run, library: Path, tmp_path: Path, source: Path) -> None:
    """Guards against a file that says less than was asked for, or something else for people than for programs."""
    first, second = made(distill, tmp_path, "--vary", source, "--amount", "0.2", "--count", "2")
    code, stdout, _ = distill("what", second, "--json")
    assert code == 0
    said = json.loads(stdout)
    assert (
        said | {"seed": 5, "index": 2, "count": 2, "verb": "vary", "model": "kit", "version": python.__version__}
        == said
    )
    assert said["request"]["amount"] == 0.2
    assert said["sources"][0]["name"] == "a sound.wav"
    assert len(said["model_sha256"]) == len(said["sources"][0]["sha256"]) == 64
    assert python.what(first).model_copy(update={"seed": 5, "index": 2, "root_note": said["root_note"]}) == python.what(
        second
    )
    code, stdout, _ = distill("what", second)
    for word in ("vary of a sound.wav", "kit, hash ", "5, sound 2 of 2", "amount 0.2"):
        assert word in stdout
    code, _, stderr = distill("what", source)
    assert (code, stderr.count("\n")) == (1, 1)
    assert "does not say how it was made" in stderr
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert distill("what", tmp_path / "a.wav")[0] == distill("what", tmp_path / "none.wav")[0] == 1
    distill("reconstruct", "kit", source, "--out", tmp_path / "through")
    assert read_tags(tmp_path / "through" / "a sound.wav").verb == "reconstruct"
    code, _, stderr = distill("again", tmp_path / "through" / "a sound.wav")
    assert "`distill reconstruct kit 'a sound.wav'` makes it again" in stderr


def test_a_screen_is_not_moved_by_a_strangers_file(distill: Run, tmp_path: Path) -> None:
    """Guards against control characters of a file on the screen, in any field, and in a mistake's sentence."""
    bad = "\x1b[2J\r\n\u202e\x07"
    tags = SoundTags(
        version=bad, verb=bad, model=bad, request={bad: bad, "x": [bad]}, sources=(SourceFile(name=bad),), seed=1
    )
    write_audio(tmp_path / "a.wav", hit(1), tags=tags)
    for command in ("what", "again"):
        _, out, err = distill(command, tmp_path / "a.wav")
        assert not {each for each in out + err if not each.isprintable()} - {"\n"}
    odd = SoundTags(version="9", verb="generate", model=bad, model_sha256="1" * 64, seed=1, request={"seed": 1})
    write_audio(tmp_path / "b.wav", hit(1), tags=odd)
    code, _, err = distill("again", tmp_path / "b.wav")
    assert code == 1
    assert not {each for each in err if not each.isprintable()} - {"\n"}


def test_the_model_is_found_by_what_it_is(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a model that is lost when it is renamed, and against another sound passed off as the same."""
    (path,) = made(distill, tmp_path / "one", "--count", "1", "--seconds", "0.3")
    assert distill("library", "rename", "kit", "other name")[0] == 0
    assert distill("again", path, "--out", tmp_path / "two")[0] == 0
    contents = read_contents(library / "other name.distill", mapped=False)
    weights = contents["prior_state_dict"]
    changed = {
        name: tensor + 0.5 * tensor.roll(1) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
    write_model(library / "kit.distill", {**contents, "prior_state_dict": changed})
    assert distill("again", path, "--out", tmp_path / "two")[0] == 0  # the renamed one has the hash
    (library / "other name.distill").unlink()
    code, _, err = distill("again", path, "--out", tmp_path / "three")
    assert (code, err.count("\n")) == (1, 1)
    assert "was changed since" in err
    assert not (tmp_path / "three").exists()
    with pytest.raises(DistillError, match="was changed since"):
        python.load("kit", "cpu").again(path)
    code, out, err = distill("again", path, "--out", tmp_path / "three", "--model", "kit", "--json")
    assert code == 0
    assert json.loads(out)["same"] is False
    assert "not the model that made" in err
    (library / "kit.distill").unlink()
    assert "is not in the library" in distill("again", path)[2]


def test_a_verdict_changes_no_model(library: Path) -> None:
    """Guards against a hash of the file, which every note in it changes."""
    contents = read_contents(library / "kit.distill", mapped=False)
    before = python.load("kit", "cpu")._loaded.digest
    contents["metadata"] = {**contents["metadata"], "seconds": 1.0}
    write_model(library / "kit.distill", {**contents, "note of a later version": 1})
    assert python.load("kit", "cpu")._loaded.digest == before


def test_recordings_that_are_gone(distill: Run, library: Path, tmp_path: Path, source: Path) -> None:
    """Guards against a traceback, and against another recording under the old name taken for the old one."""
    (path,) = made(distill, tmp_path / "one", "--vary", source, "--count", "1")
    moved = shutil.move(source, tmp_path / "moved.wav")
    code, _, err = distill("again", path)
    assert (code, err.count("\n")) == (1, 1)
    assert "a sound.wav" in err
    assert "--source" in err
    code, out, _ = distill("again", path, "--out", tmp_path / "two", "--source", moved, "--json")
    assert json.loads(out)["same"] is True
    shutil.copy(moved, path.parent / "a sound.wav")  # beside the file
    assert distill("again", path, "--out", tmp_path / "two")[0] == 0
    soundfile.write(path.parent / "a sound.wav", hit(7, 0.8), RATE, subtype="PCM_24")
    assert "is another recording" in distill("again", path)[2]
    code, out, err = distill(
        "again", path, "--out", tmp_path / "two", "--source", path.parent / "a sound.wav", "--json"
    )
    assert code == 0
    assert json.loads(out)["same"] is False
    assert "another sound" in err
    assert list(studio.what(tmp_path / "two" / f"{path.stem}-3.wav").sources) != list(studio.what(path).sources)
    assert (
        "made from no recording" in distill("again", made(distill, tmp_path, "--count", "1")[0], "--source", moved)[2]
    )
