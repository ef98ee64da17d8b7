"""The command line: the whole way, one JSON object, one sentence for a mistake, and Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from distill.corpus.manifest import CorpusManifest
from distill.modelfile.file import read_card, read_contents, write_model
from distill.settings.codec import CodecSettings
from distill.settings.generation import GenerationSettings
from distill.settings.knobs import flag_name, is_auto, is_knob
from distill.settings.prior import PriorSettings
from distill.settings.synthesiser import SynthesiserSettings
from tiny import RATE, hit, write_sounds

CODEC_FLAGS = ["--epochs", "4", "--codebook-size", "16", "--channels", "24", "--codebook-dim", "8", "--device", "cpu"]
PRIOR_FLAGS = ["--epochs", "3", "--hidden-size", "32", "--layers", "1", "--heads", "2", "--device", "cpu"]

Run = Callable[..., tuple[int, str, str]]


def test_the_whole_way(sounds: Path, tmp_path: Path) -> None:
    """As a user would: separate processes, a library of its own, everything by name."""
    env = {**os.environ, "DISTILL_LIBRARY": str(tmp_path / "lib"), "OMP_NUM_THREADS": "1"}

    def distill(*arguments: str | Path) -> dict[str, Any]:
        command = [sys.executable, "-m", "distill", *map(str, arguments), "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1
        return dict(json.loads(done.stdout))

    trained = distill("train", sounds, "--name", "mine", *CODEC_FLAGS)
    assert {"model", "epochs", "best_epoch", "val_mel_l1_db", "codebook_health", "files_used", "files_skipped",
            "seconds"} <= set(trained)  # fmt: skip
    assert trained["files_used"] == 9
    assert trained["model"] == str(tmp_path / "lib" / "mine.distill")
    prior = distill("train-prior", *PRIOR_FLAGS, "mine")
    assert {"model", "epochs_trained", "best_epoch", "best_perplexity", "final_perplexity", "bits_per_code",
            "unigram_bits_per_code", "memorization", "tokens_per_second", "seconds"} <= set(prior)  # fmt: skip
    assert set(prior["memorization"]) == {"flag", "message"}
    made = distill("generate", "--count", "3", "mine", "--seconds", "0.5", "--seed", "7", "--out", tmp_path / "new")
    assert [file["seed"] for file in made["files"]] == [7, 8, 9]
    for file in made["files"]:
        info = soundfile.info(file["path"])
        assert (info.samplerate, info.subtype, info.channels) == (48_000, "PCM_24", 1)
        assert info.duration == pytest.approx(file["seconds"])
        assert 0 < info.duration <= 0.5
    again = distill("reconstruct", "mine", sounds / "hit 1.wav", sounds / "long.wav", "--out", tmp_path / "rec")
    assert [Path(file["path"]).name for file in again["files"]] == ["hit 1.wav", "long.wav"]
    assert soundfile.info(tmp_path / "rec" / "long.wav").frames == 3 * RATE
    card = distill("info", "mine")
    assert card["has_prior"] is True
    assert card["prior_metadata"]["best_perplexity"] == prior["best_perplexity"]


def test_a_seed_decides_its_sound_alone(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against sound i of seed s that is not sound 0 of seed s + i, sample by sample: what fills a sound up, the
    noise of texture and synthesis and the format of the file may depend on nothing else that is made."""
    grainy = tmp_path / "grainy.distill"
    write_model(grainy, {**read_contents(tiny_model, mapped=False), "has_grain": False, "texture_db": 128 * [2.0]})
    for length in (["--seconds", "1", "--exact"], ["--seconds", "1"]):
        places = [tmp_path / f"{len(length)}-{name}" for name in "abc"]
        for flags, place in zip(
            (["--seed", "7", "--count", "5"], ["--seed", "9", "--count", "1"], ["--seed", "8", "--count", "2"]),
            places,
            strict=True,
        ):
            form = ["--format", "flac"] if place == places[2] else []
            assert distill("generate", grainy, *flags, *form, *length, "--out", place)[0] == 0
        together, alone, as_flac = (
            soundfile.read(place / f"grainy-seed9.{suffix}", dtype="int32")[0]
            for place, suffix in zip(places, ("wav", "wav", "flac"), strict=True)
        )
        assert np.abs(alone).max() > 0
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(as_flac, alone)
        other, _ = soundfile.read(places[0] / "grainy-seed7.wav", dtype="int32")
        assert not np.array_equal(other, alone)


def test_long_pieces_are_filled_to_the_second(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    code, out, _ = distill("generate", tiny_model, "--count", "1", "--seconds", "3", "--out", tmp_path, "--json")
    assert code == 0
    assert json.loads(out)["files"][0]["seconds"] == 3.0


def test_the_synthesiser_can_be_chosen(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    """The same sound by either: other samples, of the same length."""
    for name in ("neural", "griffin-lim", "auto"):
        flags = ["--count", "1", "--seed", "4", "--exact", "--synthesiser", name, "--out", tmp_path / name]
        assert distill("generate", tiny_model, *flags)[0] == 0
    neural, plain, auto = (
        soundfile.read(tmp_path / name / "tiny-seed4.wav")[0] for name in ("neural", "griffin-lim", "auto")
    )
    assert len(neural) == len(plain) == RATE
    assert not np.allclose(neural, plain, atol=1e-3)
    np.testing.assert_array_equal(neural, auto)


def test_texture_is_measured_with_the_prior_and_can_be_left_out(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against grain that is never measured, never added, or cannot be switched off."""
    contents = read_contents(tiny_model, mapped=False)
    assert contents["has_grain"]
    measured = contents["grain_state_dict"]
    grainy = tmp_path / "grainy.distill"
    stronger = {**measured, "deviation_db": torch.full_like(measured["deviation_db"], 2.0)}
    write_model(grainy, {**contents, "grain_state_dict": stronger})
    sounds = []
    for name, flags in (("none", ["--texture", "0"]), ("auto", []), ("one", ["--texture", "1"])):
        place = tmp_path / name
        code, _, _ = distill("generate", grainy, "--count", "1", "--seed", "4", "--exact", *flags, "--out", place)
        assert code == 0
        sounds.append(soundfile.read(next(place.iterdir()))[0])
    np.testing.assert_array_equal(sounds[1], sounds[2])
    assert not np.allclose(sounds[0], sounds[1], atol=1e-3)


def test_generating_again_overwrites_nothing(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        distill("generate", tiny_model, "--count", "1", "--seed", "1", "--out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-seed1-2.wav", "tiny-seed1.wav"]


def test_evaluate_says_what_is_lost_where(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against scores of training files: only sounds that were not learned from count."""
    code, out, _ = distill("evaluate", tiny_model, "--json")
    assert code == 0
    own = json.loads(out)
    held_out = {file.name for file in read_card(tiny_model).corpus_manifest.val}
    assert {sound["name"] for sound in own["sounds"]} == held_out
    assert len(own["mel_l1_db_per_levels"]) == 3
    assert 0.0 < own["mel_l1_db"] < own["mel_l1_db_per_levels"][-1]  # with grain against without
    assert own["bits_per_second"] == pytest.approx(8 * 48_000 / 512 / 16 * 3 * 4)
    assert own["synthesis_mrstft"] < own["wave_mrstft"]
    assert 0.0 <= own["fidelity"] < own["synthesis_fidelity"] < 100.0
    assert all(abs(sound["loudness_db"]) < 1.0 for sound in own["sounds"])
    assert not any("image" in name for name in [*own, *own["sounds"][0]])  # a mono model has none
    _, out, _ = distill("evaluate", tiny_model)
    assert f"where 0 is silence and 100 the recording: {own['fidelity']:.0f} " in out
    other = write_sounds(tmp_path / "other", 6, lambda number: hit(40 + number))
    known = read_card(tiny_model).corpus_manifest
    shutil.copy(Path(known.folder) / known.train[0].name, other / "known.wav")
    code, out, _ = distill("evaluate", tiny_model, "--dataset", other, "--json")
    assert code == 0
    assert {sound["name"] for sound in json.loads(out)["sounds"]} == {f"hit {number}.wav" for number in range(6)}


def test_switches_can_be_switched_both_ways(distill: Run, sounds: Path, tmp_path: Path) -> None:
    flags = [*CODEC_FLAGS, "--no-pretrained", "--json"]
    assert distill("train", sounds, "--out", tmp_path / "m.distill", *flags)[0] == 0
    card = read_card(tmp_path / "m.distill")
    assert card.training_config.pretrained is False
    assert card.settings_origin["codec"]["pretrained"] == "set"


def test_sources_of_equal_name_get_a_suffix(distill: Run, tiny_model: Path, sounds: Path, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        shutil.copy(sounds / "hit 1.wav", tmp_path / folder / "kick.wav")
    sources = [tmp_path / "x" / "kick.wav", tmp_path / "y" / "kick.wav"]
    code, out, _ = distill("reconstruct", tiny_model, *sources, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert [Path(file["path"]).name for file in json.loads(out)["files"]] == ["kick.wav", "kick-2.wav"]


def test_an_original_is_never_overwritten(distill: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against `reconstruct --out .` in the folder of the recordings."""
    source = write_sounds(tmp_path / "mine", 1) / "hit 0.wav"
    before = source.read_bytes()
    code, out, _ = distill("reconstruct", tiny_model, source, "--out", tmp_path / "mine", "--json")
    assert code == 0
    assert source.read_bytes() == before
    assert Path(json.loads(out)["files"][0]["path"]).name == "hit 0-2.wav"


def test_new_recordings_join_a_model(
    distill: Run, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against flags that lead nowhere, and against `train` that makes a new model where one is to learn more."""
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "lib"))
    (tmp_path / "lib").mkdir()
    shutil.copy(tiny_model, tmp_path / "lib" / "kit.distill")
    more = write_sounds(tmp_path / "more", 2, lambda number: hit(40 + 3 * number, 0.3))
    code, out, err = distill("train", "kit", "--add", more, "--name", "other")
    assert (code, out) == (1, "")
    assert "--name is for a new model" in err
    code, out, err = distill("train", "kit", "--add", more, "--json", "--device", "cpu")
    assert code == 0, err
    assert json.loads(out)["model"] == str(tmp_path / "lib" / "kit.distill")
    assert "2 sounds are new" in err
    code, out, err = distill("info", tmp_path / "lib" / "kit.distill")
    assert "2 of them from" in out
    code, out, err = distill("train", "kit", "--again")
    assert code == 1
    assert "There are no new recordings in" in err


def test_an_unsuitable_file_costs_its_name_only(distill: Run, tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "in", 6)
    (folder / "notes.txt").write_text("no sound")
    soundfile.write(folder / "tiny.wav", hit(30)[:100], RATE)
    cut = folder / "hit 3.wav"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    code, out, _ = distill("train", folder, "--out", tmp_path / "m.distill", *CODEC_FLAGS, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["files_used"] == 6
    assert {skipped["name"] for skipped in answer["files_skipped"]} == {"notes.txt", "tiny.wav"}
    assert all(skipped["reason"] for skipped in answer["files_skipped"])
    assert [(note["name"], "0.15 s can be read" in note["note"]) for note in answer["notes"]] == [("hit 3.wav", True)]


MISTAKES: list[tuple[list[str], str]] = [
    (["train", "{tmp}/nowhere"], "nowhere"),
    (["train", "{few}"], "5"),
    (["train", "{sounds}", "--epochs", "0"], "--epochs 0"),
    (["train", "{sounds}", "--epochs", "many"], "--epochs"),
    (["train", "{sounds}", "--name", "../up"], "--name"),
    (["train", "{sounds}", "--out", "{tmp}/m.wav"], ".distill"),
    (["train", "{sounds}", "--device", "toaster"], "--device toaster"),
    (["train", "{sounds}", "--out", "{model}"], "--overwrite"),
    (["train", "{sounds}", "--out", "{tmp}/m.distill", "--resume"], "no unfinished codec training"),
    (["train-prior", "{model}", "--resume"], "no unfinished prior training"),
    (["train-prior", "{codec}", "--dataset", "{few}"], "--dataset"),
    (["train-synth", "{model}", "--resume"], "no unfinished synthesiser training"),
    (["train-synth", "{model}", "--dataset", "{few}"], "--dataset"),
    (["train-synth", "{model}", "--batch-size", "0"], "--batch-size 0"),
    (["train-synth", "unknown"], "unknown"),
    (["evaluate", "{model}", "--dataset", "{tmp}/nowhere"], "nowhere"),
    (["evaluate", "{model}", "--synthesiser", "vocos"], "--synthesiser vocos"),
    (["train-prior", "unknown"], "unknown"),
    (["train-prior", "{model}"], "--overwrite"),
    (["train-prior", "{model}", "--overwrite", "--heads", "3", "--hidden-size", "32"], "--heads 3"),
    (["generate", "unknown"], "unknown"),
    (["generate", "{foreign}"], "not a distill model"),
    (["generate", "{codec}"], "train-prior"),
    (["generate", "{model}", "--count", "0"], "--count 0"),
    (["generate", "{model}", "--seconds", "nan"], "--seconds nan"),
    (["generate", "{model}", "--temperature", "-1"], "--temperature"),
    (["generate", "{model}", "--top-p", "0"], "--top-p"),
    (["generate", "{model}", "--format", "wma"], "--format wma"),
    (["generate", "{model}", "--texture", "inf"], "--texture inf"),
    (["generate", "{model}", "--temperature", "nan"], "--temperature nan"),
    (["generate", "{model}", "--seconds", "1e-310"], "--seconds 1e-310"),
    (["generate", "{model}", "--exact", "--ending", "natural"], "--exact and --ending natural"),
    (["generate", "{model}", "--seed", "-5"], "--seed -5"),
    (["generate", "{model}", "--synthesiser", "vocos"], "--synthesiser vocos"),
    (["generate", "{model}", "--texture", "3"], "--texture 3.0"),
    (["reconstruct", "{model}", "{tmp}/gone.wav"], "gone.wav"),
    (["reconstruct", "{model}", "{foreign}"], "foreign.distill"),
    (["info", "unknown"], "unknown"),
    (["frobnicate"], "frobnicate"),
    (["train"], "folder"),
    (["generate", "{model}", "--frob"], "--frob"),
]


@pytest.mark.parametrize(("arguments", "named"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_sentence_that_names_it(
    distill: Run, tiny_model: Path, sounds: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    """Guards against tracebacks, exit codes other than 1, and output on stdout."""
    (tmp_path / "foreign.distill").write_bytes(b"not a model")
    places = {
        "tmp": tmp_path, "few": write_sounds(tmp_path / "few", 3), "sounds": sounds, "model": tiny_model,
        "foreign": tmp_path / "foreign.distill", "codec": _codec_only(tiny_model, tmp_path / "codec.distill"),
    }  # fmt: skip
    before = tiny_model.read_bytes()
    code, out, err = distill(*[argument.format(**places) for argument in arguments])
    assert code == 1
    assert out == ""
    assert named.lower() in err.lower()
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert tiny_model.read_bytes() == before


def _codec_only(model: Path, target: Path) -> Path:
    from distill.modelfile.file import read_contents, write_model

    write_model(target, {k: v for k, v in read_contents(model, mapped=False).items() if "prior" not in k})
    return target


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("train", CodecSettings),
        ("train-prior", PriorSettings),
        ("train-synth", SynthesiserSettings),
        ("generate", GenerationSettings),
    ],
)
def test_every_setting_has_its_flag_and_shows_its_default(distill: Run, command: str, settings: type) -> None:
    """Guards against settings that the command line cannot set."""
    code, out, _ = distill(command, "--help")
    assert code == 0
    for name, field in settings.model_fields.items():  # type: ignore[attr-defined]
        assert (flag_name(name) in out) is is_knob(field)
    assert out.count("default: (auto)") == sum(
        is_auto(field) or field.default == "auto"
        for field in settings.model_fields.values()  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("stage", ["codec", "prior"])
def test_ctrl_c_ends_cleanly_and_keeps_the_best(tiny_model: Path, sounds: Path, tmp_path: Path, stage: str) -> None:
    """A real SIGINT in the middle of a training that would take an hour."""
    path = tmp_path / "m.distill"
    if stage == "prior":
        _codec_only(tiny_model, path)
        command = ["train-prior", str(path), *PRIOR_FLAGS, "--epochs", "10000"]
    else:
        command = ["train", str(sounds), "--out", str(path), *CODEC_FLAGS, "--epochs", "10000", "--warmup-share", "0"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "distill", *command, "--json"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not _has(path, stage):
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    answer = json.loads(out)
    assert answer["stopped_early"] is True
    assert "Traceback" not in err
    card = read_card(path)
    assert isinstance(card.corpus_manifest, CorpusManifest)
    assert card.has_prior is (stage == "prior")


def _has(path: Path, stage: str) -> bool:
    return path.exists() and (stage == "codec" or read_card(path).has_prior)
