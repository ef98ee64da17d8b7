"""Training the prior: windows, targets, accurate perplexity, and a codec that does not change."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.compute.fabric import launch_fabric
from distill.corpus.scan import reopen
from distill.errors import DistillError
from distill.events import PriorEpochMetrics, PriorTrainingCompleteEvent, TrainingStarted, Warned
from distill.modelfile.file import read_card, read_contents
from distill.modelfile.opened import load_model
from distill.models.canvas import Shape, reaches
from distill.models.encoding import encode_codes, level_of
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.settings.prior import PriorConfig, PriorSettings
from distill.studio.codec_training import train
from distill.studio.prior_training import train_prior_for
from distill.training import unfinished
from distill.training.fit import fit
from distill.training.prior.baselines import Baselines
from distill.training.prior.codes import CodeSequences, CodeView, pack_codes, unpack_codes
from distill.training.prior.task import PriorTask, train_prior_epoch
from distill.training.prior.validation import compute_perplexity, is_overfitting, overfitting_gap, validate_prior_epoch
from distill.training.prior.windows import Window, make_batch
from distill.training.run import Run, Validation
from tiny import TINY_CODEC, TINY_PRIOR, exhausted, write_sounds

SETTINGS = PriorSettings(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    codebook_size=9,
    codebook_dim=4,
    seq_len=12,
    bands=4,
    rvq_levels=2,
    batch_size=3,
)


def sequence(columns: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 9, (columns * 4, 2), generator=torch.Generator().manual_seed(seed))


def test_targets_are_the_tokens_and_eos_only_where_a_file_ends() -> None:
    """Guards against EOS at the end of every window, which would teach long sounds to stop after a second."""
    files = [sequence(2, 0), sequence(5, 1)]
    windows = [Window(files[0], 0, 2, BOS), Window(files[1], 0, 3, BOS), Window(files[1], 2, 3, MID)]
    batch = make_batch(windows, SETTINGS)
    assert batch.start.tolist() == [BOS, BOS, MID]
    assert batch.targets[0, 8].tolist() == [9, IGNORED]
    assert (batch.targets[0, 9:] == IGNORED).all()
    assert (batch.targets[1, 12] == IGNORED).all()
    assert batch.targets[2, 12].tolist() == [9, IGNORED]
    assert torch.equal(batch.codes[2], files[1][8:])
    assert torch.equal(batch.targets[1, :12], files[1][:12])


def test_an_image_that_columns_share_is_a_target_once() -> None:
    """Guards against images that are learned where they repeat themselves, and against counting from where a window begins."""
    settings = SETTINGS.model_copy(update={"image_columns": 3})
    codes = sequence(8, 1)
    for first in range(4):
        (targets,) = make_batch([Window(codes, first, 3, MID if first else BOS)], settings).targets
        once = [(first + column) % 3 == 0 for column in range(3)]
        assert [bool((targets[4 * c : 4 * c + 4, 1] != IGNORED).all()) for c in range(3)] == once
        assert bool((targets[:12, 0] == codes[4 * first : 4 * first + 12, 0]).all())


def as_they_are(*files: torch.Tensor) -> tuple[tuple[CodeView, ...], ...]:
    return tuple((CodeView(codes),) for codes in files)


def test_every_code_of_every_file_is_seen_over_the_epochs() -> None:
    """Guards against windows that never reach the end, and against a lost last column."""
    files = sequence(2, 0), sequence(11, 1), sequence(3, 2)
    task = PriorTask(CodeSequences(as_they_are(*files), (sequence(4, 3),)), torch.zeros(2, 9, 4), SETTINGS, print)
    assert task.steps_per_epoch == 2  # six windows in batches of three
    windows = [w for epoch in range(30) for w in task._train_windows(np.random.default_rng(epoch))]
    assert len(windows) == 30 * 6
    for codes in files:
        seen = {c for w in windows if w.codes is codes for c in range(w.first, w.first + w.columns)}
        assert seen == set(range(len(codes) // 4))
    assert sum(len(batch.codes) for batch in task.batches(1)) == 6


def test_sounds_end_wherever_in_a_window_a_new_one_may_be_asked() -> None:
    """Guards against a prior that hears of ends behind full windows alone, while new sounds go on from two thirds of one: half of
    the recordings of over a second had no chance to end where they do."""
    codes = sequence(11, 1)
    task = PriorTask(CodeSequences(as_they_are(codes), (sequence(4, 3),)), torch.zeros(2, 9, 4), SETTINGS, print)
    windows = [w for epoch in range(30) for w in task._train_windows(np.random.default_rng(epoch))]
    ending = [w.columns for w in windows if w.first + w.columns == 11]
    asked = {place for reach in reaches(Shape((), (), True), 12, task.window) if reach.first for place in reach.drawn}
    assert asked <= set(ending)
    assert min(map(ending.count, asked)) >= 5
    assert all(w.columns == task.window for w in windows if w.first + w.columns < 11)


def test_a_view_that_begins_later_does_not_begin_with_bos() -> None:
    """Guards against teaching the prior that sounds may begin in their middle."""
    views = (CodeView(sequence(3, 0), from_start=False),)
    task = PriorTask(CodeSequences((views,), (sequence(4, 3),)), torch.zeros(2, 9, 4), SETTINGS, print)
    assert [w.start for w in task._train_windows(np.random.default_rng(0))] == [MID]


def test_overfitting_is_known_sounds_better_and_held_out_worse() -> None:
    best = Validation(2.0, {"known_loss": 1.5})
    assert is_overfitting(Validation(2.2, {"known_loss": 1.2}), best)
    assert not is_overfitting(Validation(2.01, {"known_loss": 1.2}), best)
    assert not is_overfitting(Validation(2.2, {"known_loss": 1.6}), best)
    assert overfitting_gap(best) == pytest.approx(0.5 / math.log(2))


def test_validation_is_accurate_per_token() -> None:
    """The slow oracle: every window alone; batches of unlike lengths must not change the sum."""
    prior = CodePrior(PriorConfig(**{name: getattr(SETTINGS, name) for name in PriorConfig.model_fields})).eval()
    files = [sequence(n, n) for n in (1, 3, 7, 2)]
    total, count = 0.0, 0
    with torch.no_grad():
        for codes in files:
            for first in range(0, len(codes), 12):
                window = codes[first : first + 12]
                logits = prior(window[None], torch.tensor([MID if first else BOS]))[0, :-1]
                chosen = logits.log_softmax(-1).gather(-1, window[..., None])
                total, count = total - float(chosen.double().sum()), count + chosen.numel()
    found = validate_prior_epoch(prior, files, torch.device("cpu"))
    assert found.loss == pytest.approx(total / count, rel=1e-5)
    product = math.prod(found.per_level) ** (1 / len(found.per_level))
    assert product == pytest.approx(compute_perplexity(found.loss), rel=1e-4)


def test_perplexity_of_a_diverged_loss_is_a_number() -> None:
    assert compute_perplexity(1e9) == math.exp(20.0)
    assert compute_perplexity(0.0) == 1.0


def test_the_codec_is_unchanged_to_the_bit(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against moving averages or optimisers that touch the frozen codec."""
    path = tmp_path / "again.distill"
    path.write_bytes(tiny_model.read_bytes())
    before = read_contents(path, mapped=False)
    assert before["has_codes"]
    events = list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True))
    after = read_contents(path, mapped=False)
    assert list(after["model_state_dict"]) == list(before["model_state_dict"])
    for name, tensor in before["model_state_dict"].items():
        assert torch.equal(after["model_state_dict"][name], tensor)
    assert after["corpus_manifest"] == before["corpus_manifest"]
    started = next(event for event in events if isinstance(event, TrainingStarted))
    card = load_model(path).card
    assert started.train_files == len(card.corpus_manifest.train)
    assert started.val_files == len(card.corpus_manifest.val)


def test_the_best_epoch_is_saved(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.distill"
    path.write_bytes(tiny_model.read_bytes())
    overrides = {**TINY_PRIOR, "epochs": 12, "learning_rate": 0.05}
    events = list(train_prior_for(str(path), overrides=overrides, device="cpu", overwrite=True))
    epochs = [event for event in events if isinstance(event, PriorEpochMetrics)]
    done = events[-1]
    assert isinstance(done, PriorTrainingCompleteEvent)
    assert done.best_perplexity == min(epoch.val_perplexity for epoch in epochs)
    metadata = load_model(path).card.prior_metadata
    assert metadata is not None
    assert metadata.best_perplexity == done.best_perplexity
    assert metadata.epochs_trained == 12
    assert (metadata.hidden_size, metadata.num_layers, metadata.num_heads) == (32, 1, 2)
    assert {(e.unigram_bits_per_code, e.ngram_bits_per_code) for e in epochs} == {
        (metadata.unigram_bits_per_code, metadata.ngram_bits_per_code)
    }


def test_a_prior_that_has_learned_less_than_counting_says_so(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "poor.distill"
    path.write_bytes(tiny_model.read_bytes())
    overrides = {**TINY_PRIOR, "epochs": 1, "learning_rate": 1e-8}
    events = list(train_prior_for(str(path), overrides=overrides, device="cpu", overwrite=True))
    assert any(isinstance(event, Warned) and "no better" in event.message for event in events)
    assert Baselines(4.5, 4.0).not_beaten(5.0).count("counting short patterns does (4.00)") == 1
    assert Baselines(4.0, 4.5).not_beaten(5.0).count("counting single codes does (4.00)") == 1


def test_an_epoch_alone_goes_through_the_steps_of_fit() -> None:
    """Guards against a second loop that does something else."""
    files = CodeSequences(as_they_are(sequence(5, 0), sequence(9, 1)), (sequence(4, 3),))
    weights = []
    for alone in (True, False):
        fabric = launch_fabric("cpu", 0)
        task = PriorTask(files, torch.ones(2, 9, 4), SETTINGS.model_copy(update={"epochs": 1}), lambda best: None)
        if alone:
            loss = exhausted(train_prior_epoch(Run(task, fabric)))
            assert math.isfinite(loss)
        else:
            list(fit(task, fabric))
        weights.append(task.prior.state_dict())
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())


def test_codes_of_a_lost_recording_stay(tmp_path: Path) -> None:
    """Guards against a model that after --allow-changed cannot be trained without its recordings any more."""
    folder, path = write_sounds(tmp_path / "sounds", 7), tmp_path / "m.distill"
    list(train(folder, out=path, overrides=TINY_CODEC, device="cpu"))
    list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    before = read_contents(path, mapped=False)["codes"]
    lost = read_card(path).corpus_manifest.train[0].name
    (folder / lost).unlink()
    with pytest.raises(DistillError, match=lost):
        list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True))
    list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True, allow_changed=True))
    after = read_contents(path, mapped=False)["codes"]
    assert set(after) == set(before)
    assert all(torch.equal(after[name], codes) for name, codes in before.items())
    metadata = read_card(path).prior_metadata
    assert metadata is not None
    assert metadata.corpus_digest != read_card(path).corpus_manifest.digest


def test_the_prior_can_be_trained_again_without_the_recordings(tmp_path: Path) -> None:
    """Guards against a model that is worth nothing once its folder is gone."""
    folder, path = write_sounds(tmp_path / "sounds", 6), tmp_path / "m.distill"
    list(train(folder, out=path, overrides=TINY_CODEC, device="cpu"))
    list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    shutil.rmtree(folder)
    loudness = read_contents(path, mapped=False)["loudness_state_dict"]
    events = list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True, embed_codes=False))
    again = read_contents(path, mapped=False)
    assert again["has_endings"]
    assert torch.equal(again["loudness_state_dict"]["weight"], loudness["weight"])  # which needs the recordings
    assert any(isinstance(event, Warned) and "codes" in event.message for event in events)
    assert not load_model(path).card.has_codes
    with pytest.raises(DistillError, match="--dataset DIR"):
        list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True))


def test_embedded_codes_are_those_of_the_files(tiny_model: Path) -> None:
    """Guards against codes that are kept under another file's name."""
    loaded = load_model(tiny_model)
    manifest = loaded.card.corpus_manifest
    corpus = exhausted(reopen(manifest))
    packed = read_contents(tiny_model, mapped=False)["codes"]
    sequences = unpack_codes(packed, manifest, 16, 3)
    for file in manifest.files:
        mel = corpus.mel(file)
        assert torch.equal(
            packed[file.name].long(), encode_codes(loaded.codec, mel, level_of(mel), torch.device("cpu"))
        )
    again = pack_codes(sequences, manifest)
    assert all(torch.equal(again[name], codes) for name, codes in packed.items())


@pytest.mark.parametrize("damage", [{"hit 1.wav": torch.full((8, 3), 99).short()}, {"hit 1.wav": "text"}])
def test_damaged_codes_are_named(tiny_model: Path, damage: dict[str, object]) -> None:
    packed = {**read_contents(tiny_model, mapped=False)["codes"], **damage}
    with pytest.raises(DistillError, match=r"hit 1\.wav"):
        unpack_codes(packed, read_card(tiny_model).corpus_manifest, 16, 3)


def test_a_resumed_run_equals_an_uninterrupted_one(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit on the processor: optimiser, learning rate, dropout and the order of windows go on as they were."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    overrides = {**TINY_PRIOR, "epochs": 6}
    whole, cut = tmp_path / "whole.distill", tmp_path / "cut.distill"
    for path in (whole, cut):
        path.write_bytes(tiny_model.read_bytes())
    list(train_prior_for(str(whole), overrides=overrides, device="cpu", overwrite=True))
    running = train_prior_for(str(cut), overrides=overrides, device="cpu", overwrite=True)
    for event in running:
        if isinstance(event, PriorEpochMetrics) and event.epoch == 3:
            break
    running.close()
    events = list(train_prior_for(str(cut), device="cpu", resume=True))
    assert [event.epoch for event in events if isinstance(event, PriorEpochMetrics)] == [4, 5, 6]
    first, second = (read_contents(path, mapped=False) for path in (whole, cut))
    assert all(torch.equal(first["prior_state_dict"][name], t) for name, t in second["prior_state_dict"].items())
    assert first["loss_curve_history"] == second["loss_curve_history"]
    with pytest.raises(DistillError, match="no unfinished prior training"):
        list(train_prior_for(str(cut), device="cpu", resume=True))


def test_resume_takes_no_other_settings(tiny_model: Path) -> None:
    with pytest.raises(DistillError, match="Leave out --epochs"):
        list(train_prior_for(str(tiny_model), overrides={"epochs": 9}, device="cpu", resume=True))


def test_resume_takes_no_other_codec(
    tiny_model: Path, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a prior that learns the codes of one codec and goes on with those of another under the same name."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    path = tmp_path / "again.distill"
    path.write_bytes(tiny_model.read_bytes())
    running = train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True)
    while not isinstance(next(running), PriorEpochMetrics):
        pass
    running.close()
    list(train(sounds, out=path, overrides={**TINY_CODEC, "seed": 5}, device="cpu", overwrite=True))
    with pytest.raises(DistillError, match="another codec"):
        list(train_prior_for(str(path), device="cpu", resume=True))
