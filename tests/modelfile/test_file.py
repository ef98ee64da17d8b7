"""The `.distill` file: to the bit, all or nothing, and nothing in it is believed unchecked."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.errors import DistillError
from distill.modelfile.card import (
    LevelSnapshot,
    LossPoint,
    ModelCard,
    ModelMetadata,
    PriorMetadata,
    SynthesiserMetadata,
)
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import load_model
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import SpectrogramConfig
from distill.settings.prior import PriorConfig
from distill.settings.synthesiser import SynthesiserConfig


def rewritten(source: Path, target: Path, **changes: Any) -> Path:
    contents = read_contents(source, mapped=False)
    contents.update(changes)
    torch.save(contents, target)
    return target


def test_a_round_trip_keeps_every_bit(tiny_model: Path, tmp_path: Path) -> None:
    contents = read_contents(tiny_model, mapped=False)
    write_model(tmp_path / "copy.distill", contents)
    again = read_contents(tmp_path / "copy.distill")
    assert set(again) == set(contents)
    weights = (
        "model_state_dict",
        "prior_state_dict",
        "codes",
        "endings_state_dict",
        "loudness_state_dict",
        "grain_state_dict",
        "kinds_state_dict",
    )
    assert set(weights) <= set(contents)
    for section in weights:
        assert all(torch.equal(again[section][name], tensor) for name, tensor in contents[section].items())
    assert all(again[key] == value for key, value in contents.items() if key not in weights)


def test_the_keys_of_format_version_2_are_there(tiny_model: Path) -> None:
    """Guards the names that other programs read."""
    contents = read_contents(tiny_model)
    assert contents["format"] == "distill_model"
    assert contents["version"] == 2
    assert contents["model_type"] == "vqvae"
    assert contents["has_prior"] is True
    assert {"model_state_dict", "vqvae_config", "spectrogram_config", "training_config", "codebook_health_snapshot",
            "loss_curve_history", "metadata", "prior_state_dict", "prior_config", "prior_metadata"} <= set(contents)  # fmt: skip
    assert {"hidden_size", "num_layers", "num_heads", "seq_len", "dropout"} <= set(contents["prior_config"])
    assert {"epochs_trained", "final_perplexity", "best_perplexity", "training_date"} <= set(contents["prior_metadata"])


def test_keys_of_a_later_program_survive_a_rewrite(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against losing what this version does not know."""
    path = rewritten(tiny_model, tmp_path / "later.distill", something_new={"a": 1})
    write_model(path, read_contents(path, mapped=False))
    assert read_contents(path)["something_new"] == {"a": 1}


def test_the_first_files_are_still_read(tiny_model: Path, tmp_path: Path) -> None:
    """Guards models made before the prior lost a matrix that nothing led to, and before its size was noted."""
    contents = read_contents(tiny_model, mapped=False)
    levels = contents["prior_config"]["rvq_levels"]
    weights = dict(contents["prior_state_dict"])
    weights[f"chosen_vector.{levels - 1}.weight"] = weights["chosen_vector.0.weight"].clone()
    later = ("hidden_size", "num_layers", "num_heads", "parameters")
    metadata = {name: value for name, value in contents["prior_metadata"].items() if name not in later}
    first = rewritten(tiny_model, tmp_path / "first.distill", prior_state_dict=weights, prior_metadata=metadata)
    prior = load_model(first).prior
    assert prior is not None
    assert all(torch.equal(t, contents["prior_state_dict"][name]) for name, t in prior.state_dict().items())


def test_the_card_is_read_without_weights(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against `info` that reads hundreds of megabytes: every storage must stay mapped, none copied."""
    monkeypatch.setattr(torch.UntypedStorage, "copy_", lambda *_: pytest.fail("weights were read"))
    card = read_card(tiny_model)
    assert card.has_prior
    assert card.prior_metadata is not None
    assert card.corpus_manifest.val


def test_the_prior_is_there_as_soon_as_the_file_has_one(tiny_model: Path, tmp_path: Path) -> None:
    assert load_model(tiny_model).prior is not None
    contents = {k: v for k, v in read_contents(tiny_model, mapped=False).items() if "prior" not in k}
    write_model(tmp_path / "codec.distill", contents)
    assert load_model(tmp_path / "codec.distill").prior is None


def test_a_kill_during_saving_leaves_the_old_file(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against half-written models: the process is killed with half of the bytes written."""
    path = tmp_path / "model.distill"
    shutil.copy(tiny_model, path)
    before = path.read_bytes()
    program = textwrap.dedent(f"""
        import os, signal, torch
        from pathlib import Path
        from distill.modelfile import file
        contents = file.read_contents(Path({str(path)!r}), mapped=False)
        real = torch.save
        def half(value, stream):
            real(value, stream)
            stream.truncate(stream.tell() // 2)
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        torch.save = half
        file.write_model(Path({str(path)!r}), contents)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    load_model(path)


def test_an_error_while_saving_leaves_no_temporary_file(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.distill"
    contents = read_contents(tiny_model, mapped=False)
    with pytest.raises(Exception, match="pickle"):
        write_model(path, {**contents, "bad": lambda: None})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"There is no model .*gone\.distill"):
        load_model(tmp_path / "gone.distill")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_damaged(tiny_model: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.distill"
    whole = tiny_model.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DistillError, match=r"cut\.distill is damaged"):
        load_model(path)


def test_changed_bytes_are_damage(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against weights that rotted on the disk and still load."""
    path = tmp_path / "rotten.distill"
    content = bytearray(tiny_model.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4] = bytes(255 - b for b in content[middle : middle + 4])
    path.write_bytes(content)
    with pytest.raises(DistillError, match="damaged"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVEfmt ", b"PK\x03\x04 no zip at all", os.urandom(2000)])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.distill"
    path.write_bytes(content)
    with pytest.raises(DistillError, match=r"foreign\.distill is (not a distill model|damaged)"):
        load_model(path)


def test_another_torch_file_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.distill")
    with pytest.raises(DistillError, match="not a distill model"):
        load_model(tmp_path / "other.distill")


def test_a_newer_format_is_named(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="newer distill"):
        load_model(rewritten(tiny_model, tmp_path / "new.distill", version=3))


class Payload:
    """What an attacker would put into a model file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("owned",))


def test_nothing_in_a_file_can_run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = rewritten(tiny_model, tmp_path / "evil.distill", payload=Payload())
    with pytest.raises(DistillError, match="damaged or not a distill model"):
        load_model(path)
    (tmp_path / "pickle.distill").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DistillError, match="not a distill model"):
        load_model(tmp_path / "pickle.distill")
    assert not (tmp_path / "owned").exists()


def test_a_packed_archive_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a small file that unpacks into all memory."""
    import zipfile

    path = tmp_path / "bomb.distill"
    with zipfile.ZipFile(tiny_model) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(DistillError, match="do not fit"):
        load_model(path)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("vqvae_config", "codebook_size", -1),
        ("vqvae_config", "surprise", 1),
        ("prior_config", "hidden_size", 10**9),
        ("metadata", "best_epoch", "soon"),
        ("corpus_manifest", "files", [{"name": "../../etc/passwd"}]),
    ],
)
def test_every_section_is_validated(tiny_model: Path, tmp_path: Path, section: str, key: str, value: object) -> None:
    changed = {**read_contents(tiny_model)[section], key: value}
    with pytest.raises(DistillError, match=f"{section}.* makes no sense"):
        read_card(rewritten(tiny_model, tmp_path / "odd.distill", **{section: changed}))


def test_weights_that_do_not_fit_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against wrong shapes, against a huge shape over a tiny storage, and against NaN."""
    state = read_contents(tiny_model, mapped=False)["prior_state_dict"]
    name = "blocks.0.qkv.weight"
    shape = state[name].shape
    bad = [torch.zeros(3), torch.zeros(1).expand(shape), torch.full(shape, float("nan")), state[name].double(), "text"]
    for wrong in bad:
        path = rewritten(tiny_model, tmp_path / "wrong.distill", prior_state_dict={**state, name: wrong})
        with pytest.raises(DistillError, match="weights do not fit"):
            load_model(path)


def test_a_texture_of_other_spectrograms_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="texture"):
        read_card(rewritten(tiny_model, tmp_path / "few.distill", texture_db=[1.0, 2.0]))
    with pytest.raises(DistillError, match="texture_db"):
        read_card(rewritten(tiny_model, tmp_path / "loud.distill", texture_db=128 * [float("nan")]))
    without = {name: value for name, value in read_contents(tiny_model, mapped=False).items() if name != "texture_db"}
    torch.save(without, tmp_path / "first.distill")
    assert read_card(tmp_path / "first.distill").texture_db is None


def test_the_old_suffix_is_read(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model, tmp_path / "old.sda")
    assert load_model(tmp_path / "old.sda").prior is not None


def test_the_page_on_the_format_names_every_key(tiny_model: Path) -> None:
    """Guards against a key that other programs do not know of."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")
    weights = {"model_state_dict", "prior_state_dict", "synthesiser_state_dict", "codes"}
    inner = (ModelMetadata, PriorMetadata, SynthesiserMetadata, LevelSnapshot, LossPoint, VQVAEConfig, PriorConfig)
    named = {*ModelCard.model_fields, *weights, *read_contents(tiny_model)}
    named |= {name for section in (*inner, SpectrogramConfig, SynthesiserConfig) for name in section.model_fields}
    named |= {*CorpusManifest.model_fields, *CorpusFile.model_fields}
    assert {name for name in named if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("moment", ["before it is loaded", "after it is loaded"])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Guards against a model called damaged because a training saved it between a look and a reading, and against
    contents that are not those that were looked at."""
    path = tmp_path / "m.distill"
    shutil.copy(tiny_model, path)
    other = {key: value for key, value in read_contents(path, mapped=False).items() if not key.startswith("prior")}
    other |= {"has_prior": False, "has_codes": False, "codes": {}}
    real, times = torch.load, []

    def load(*given: object, **named: object) -> object:
        times.append(1)
        early = moment == "before it is loaded"
        if early and len(times) == 1:
            write_model(path, other)
        contents = real(*given, **named)
        if not early and len(times) == 1:
            write_model(path, other)
        return contents

    monkeypatch.setattr(torch, "load", load)
    assert not read_card(path).has_prior
    assert len(times) == 2


def test_a_file_that_is_never_the_same_is_a_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.distill"
    shutil.copy(tiny_model, path)
    numbers = iter(range(1000))
    monkeypatch.setattr("distill.modelfile.file.stamp", lambda _: (next(numbers), 0, 0, 0))
    monkeypatch.setattr("distill.modelfile.file._read_contents", lambda *_: {})
    with pytest.raises(DistillError, match="being replaced again and again"):
        read_card(path)
