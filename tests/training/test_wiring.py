"""Who asks for what in a training: which files are heard and judged, which settings arrive, which seed, and what is hidden.

A training that is wired wrongly still runs and still learns something, so each of these looks at what is asked for.
"""

import copy
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distill.compute.fabric import launch_fabric
from distill.corpus.manifest import CorpusFile
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import CodecEpochMetrics
from distill.files import replacing
from distill.modelfile.file import read_contents
from distill.models.codec import ConvVQVAE, valid_positions
from distill.models.encoding import encode_codes, level_of
from distill.models.prior import NOTHING, CodePrior
from distill.places import unfinished_dir
from distill.settings.codec import CodecSettings, VQVAEConfig
from distill.settings.geometry import FRAMES_PER_COLUMN, SpectrogramConfig
from distill.settings.prior import PriorSettings
from distill.settings.synthesiser import SynthesiserSettings
from distill.studio.codec_training import train
from distill.training import unfinished
from distill.training.codec.task import CodecTask
from distill.training.prior import task as prior_tasks
from distill.training.prior.codes import CodeSequences, CodeView, extract_code_sequences
from distill.training.prior.task import PriorTask
from distill.training.prior.validation import validate_prior_epoch
from distill.training.run import GRADIENT_NORM, Run
from distill.training.synthesiser.task import HeldOut, SynthesiserTask, held_out_sounds
from distill.training.synthesiser.waveforms import WaveformSource, decoded_to, temporary_samples
from tiny import TINY_CODEC, exhausted, write_sounds

CPU = torch.device("cpu")
SMALL = {"codebook_size": 16, "channels": 24, "codebook_dim": 8, "pretrained": False, "preview_every": 0}
PRIOR = PriorSettings(
    hidden_size=16, num_layers=1, num_heads=2, codebook_size=9, codebook_dim=4, seq_len=12, bands=4, rvq_levels=2,
    batch_size=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(sounds: Path) -> Corpus:
    return exhausted(scan(sounds))


class Listening:
    """A corpus that notes whose sound is asked for."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.manifest = corpus.manifest
        self.spectrogram = corpus.spectrogram
        self.asked: list[str] = []

    def mel(self, file: CorpusFile) -> np.ndarray:
        self.asked.append(file.name)
        return self.corpus.mel(file)

    def audio(self, file: CorpusFile) -> tuple[np.ndarray, float]:
        self.asked.append(file.name)
        return self.corpus.audio(file)

    def decoded(self, file: CorpusFile) -> Iterator[np.ndarray]:
        self.asked.append(file.name)
        return self.corpus.decoded(file)

    def heard(self) -> set[str]:
        """Whose sound was asked for since the last time."""
        names = set(self.asked)
        self.asked.clear()
        return names


def codec_task(corpus: Corpus, **settings: object) -> CodecTask:
    return CodecTask(corpus, CodecSettings.model_validate({**SMALL, "epochs": 4, **settings}), lambda best: None)


def sequence(columns: int, seed: int) -> Tensor:
    return torch.randint(0, 9, (columns * 4, 2), generator=torch.Generator().manual_seed(seed))


def prior_task(**settings: object) -> PriorTask:
    train = tuple((CodeView(sequence(7, n)), CodeView(sequence(7, 50 + n))) for n in range(5))
    sequences = CodeSequences(train, (sequence(5, 90), sequence(4, 91)))
    return PriorTask(sequences, torch.randn(2, 9, 4), PRIOR.model_copy(update=settings), lambda best: None)


def test_the_codec_learns_from_training_files_and_is_judged_on_held_out_ones(corpus: Corpus) -> None:
    """Guards against a codec that learns what it is judged by, or is judged by what it has learned."""
    listening = Listening(corpus)
    task = codec_task(listening)  # type: ignore[arg-type]
    train_files = {file.name for file in corpus.manifest.train}
    held_out = {file.name for file in corpus.manifest.val}
    assert not train_files & held_out
    assert listening.heard() == train_files  # the levels
    for epoch in range(1, 6):
        list(task.batches(epoch))
    assert listening.heard() == train_files
    task.objective.eval()
    task.validate(CPU)
    assert listening.heard() == held_out
    task.before_epoch(task.first_quantised_epoch, CPU)  # k-means over latents
    assert listening.heard() <= train_files


def test_the_synthesiser_learns_from_training_files_and_is_judged_on_held_out_ones(corpus: Corpus) -> None:
    """Guards against fitting to the very sounds that decide whether it is kept."""
    listening = Listening(corpus)
    with temporary_samples() as stream:
        decoded_to(stream, listening)  # type: ignore[arg-type]
    assert listening.heard() == {file.name for file in corpus.manifest.train}
    held_out_sounds(listening)  # type: ignore[arg-type]
    assert listening.heard() == {file.name for file in corpus.manifest.val}


def test_the_prior_learns_from_training_codes_and_is_judged_on_held_out_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a perplexity of known sounds that passes for one of unseen sounds."""
    task = prior_task()
    judged: list[list[int]] = []
    real = validate_prior_epoch

    def noted(prior: CodePrior, sequences: tuple[Tensor, ...], device: torch.device) -> object:
        judged.append([id(codes) for codes in sequences])
        return real(prior, sequences, device)

    monkeypatch.setattr(prior_tasks, "validate_prior_epoch", noted)
    validation = task.validate(CPU)
    held_out, known = judged
    assert held_out == [id(codes) for codes in task.sequences.val]
    assert known == [id(codes) for codes in task.sequences.train_codes]
    assert validation.score == real(task.prior, task.sequences.val, CPU).loss
    windows = [window for epoch in range(8) for window in task._train_windows(np.random.default_rng(epoch))]
    assert not {id(window.codes) for window in windows} & set(held_out)


def test_every_view_of_a_file_is_drawn_and_one_at_a_time() -> None:
    """Guards against views that are made and never learned from."""
    task = prior_task()
    drawn = [{id(window.codes) for window in task._train_windows(np.random.default_rng(epoch))} for epoch in range(20)]
    views = {id(view.codes) for views in task.sequences.train for view in views}
    assert set().union(*drawn) == views
    assert all(len(epoch) == len(task.sequences.train) for epoch in drawn)


def test_as_many_views_are_made_as_were_asked_for(corpus: Corpus) -> None:
    """Guards against a setting that changes nothing: training files get unlike views, held-out ones none."""
    codec = ConvVQVAE(VQVAEConfig(codebook_size=16, channels=24, codebook_dim=8), corpus.spectrogram).eval()
    codec.quantizer.eval()
    found = exhausted(extract_code_sequences(codec, corpus, CPU, views=4, seed=1))
    assert [len(views) for views in found.train] == [4] * len(corpus.manifest.train)
    assert len(found.val) == len(corpus.manifest.val)
    again = exhausted(extract_code_sequences(codec, corpus, CPU, views=4, seed=2))
    assert all(torch.equal(a[0].codes, b[0].codes) for a, b in zip(found.train, again.train, strict=True))
    changed = [
        a.codes.shape != b.codes.shape or not torch.equal(a.codes, b.codes)
        for one, other in zip(found.train, again.train, strict=True)
        for a, b in zip(one[1:], other[1:], strict=True)
    ]
    assert sum(changed) > len(changed) / 2  # the seed decides which views


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_share_of_hidden_codes_is_the_setting(share: float) -> None:
    """Guards against token masking that is declared and not done."""
    task = prior_task(token_masking=share)
    hidden = torch.cat([batch.hidden.flatten() for epoch in range(40) for batch in task.batches(epoch)])
    assert float(hidden.float().mean()) == pytest.approx(share, abs=0.03)


def test_hidden_codes_cannot_be_seen_but_are_asked_for() -> None:
    """Guards against masking that hides nothing from the trunk, and against masked targets."""
    task = prior_task()
    prior = task.prior.eval()
    codes = sequence(3, 1)[None]
    other = codes.clone()
    other[0, 4] = (other[0, 4] + 1) % 9
    hidden = torch.zeros_like(codes, dtype=torch.bool)
    hidden[0, 4] = True
    start = torch.tensor([0])
    with torch.no_grad():
        one, two = prior(codes, start, hidden), prior(other, start, hidden)
        assert torch.equal(one[0, 5:], two[0, 5:])
        assert not torch.equal(prior(codes, start)[0, 5:], prior(other, start)[0, 5:])
    batch = next(iter(prior_task(token_masking=0.9).batches(1)))
    assert (batch.targets[:, :-1][batch.hidden] >= 0).any()


def test_dropout_is_on_in_training_and_off_in_validation() -> None:
    """Guards against a setting that reaches no layer."""
    codes, start = sequence(3, 2)[None], torch.tensor([0])
    for dropout, alike in ((0.0, True), (0.4, False)):
        prior = prior_task(dropout=dropout).prior
        prior.train()
        assert torch.equal(prior(codes, start), prior(codes, start)) is alike
        prior.eval()
        assert torch.equal(prior(codes, start), prior(codes, start))


def silenced(block: nn.Module, layer: str) -> nn.Module:
    """A block of which one layer says nothing."""
    alone = copy.deepcopy(block)
    for parameter in getattr(alone, layer).parameters():
        parameter.data.zero_()
    return alone


def test_every_part_of_the_prior_drops() -> None:
    """Guards against dropout that one of embedding, blocks and heads does without."""
    prior = prior_task(dropout=0.5).prior
    states, around = torch.randn(1, 6, 16), torch.zeros(1, 6, 3, dtype=torch.long)
    reading = prior._reading(NOTHING, 2, torch.device("cpu"))
    near = prior._surroundings(sequence(2, 3)[None], reading, None)
    parts = {
        "embedding": lambda: prior._embed(near, torch.zeros(1, 3, 16)),
        "attention": lambda: silenced(prior.blocks[0], "feed_out")(states),
        "feed-forward": lambda: silenced(prior.blocks[0], "attention_out")(states),
        "head": lambda: prior.heads[0](states, prior.vectors[0, :10], around, torch.zeros(1, 6, 3, 4), around.float()),
    }
    for name, part in parts.items():
        prior.train()
        assert not torch.equal(part(), part()), name
        prior.eval()
        assert torch.equal(part(), part()), name


def test_held_out_codes_are_those_of_the_files_as_they_are(corpus: Corpus) -> None:
    """Guards against a perplexity of sounds that were moved or played faster."""
    codec = ConvVQVAE(VQVAEConfig(codebook_size=16, channels=24, codebook_dim=8), corpus.spectrogram).eval()
    found = exhausted(extract_code_sequences(codec, corpus, CPU, views=3))
    for kept, files in ((found.train_codes, corpus.manifest.train), (found.val, corpus.manifest.val)):
        for codes, file in zip(kept, files, strict=True):
            assert torch.equal(codes, encode_codes(codec, corpus.mel(file), level_of(corpus.mel(file)), CPU))


def test_the_objective_is_in_eval_mode_when_it_is_validated(corpus: Corpus) -> None:
    """Guards against codebooks that learn held-out sounds, and against figures with dropout."""
    task = codec_task(corpus)
    modes: list[bool] = []
    real = task.validate
    task.validate = lambda device: (modes.append(task.objective.training), real(device))[1]  # type: ignore[method-assign]
    run = Run(task, launch_fabric("cpu", 0))
    run.validate(exhausted(run.train_epoch()))
    assert modes == [False]


def test_a_restored_run_knows_its_best_epoch() -> None:
    """Guards against a resumed training that keeps an epoch worse than one it had."""
    before = Run(prior_task(), launch_fabric("cpu", 0))
    for _ in range(2):
        before.validate(exhausted(before.train_epoch()))
    after = Run(prior_task(), launch_fabric("cpu", 1))
    after.restore(before.state())
    assert before.best is not None
    assert after.best is not None
    assert after.best.epoch == before.best.epoch
    assert after.best.validation == before.best.validation
    assert all(torch.equal(after.best.state[name], tensor) for name, tensor in before.best.state.items())
    assert after.validation == before.validation


def test_the_typical_level_is_that_of_the_training_files(corpus: Corpus) -> None:
    """Guards against generated sounds at the level of nothing in particular."""
    task = codec_task(corpus)
    levels = [level_of(corpus.mel(file)) for file in corpus.manifest.train]
    assert float(task.codec.typical_level_db) == pytest.approx(statistics.median(levels), abs=1e-4)
    assert float(task.codec.typical_level_db) != 0.0


def test_the_commitment_counts_by_its_weight(corpus: Corpus) -> None:
    """Guards against a weight that multiplies nothing: the loss is linear in it."""
    losses = []
    batch = next(iter(codec_task(corpus).batches(1)))
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        task = codec_task(corpus, commitment_weight=weight)
        task.objective.quantising = True
        task.objective.eval()
        task.objective.codec.quantizer.train()
        losses.append(float(task.objective(batch).detach()))
    assert losses[1] > losses[0] + 1e-6
    assert losses[2] - losses[0] == pytest.approx(3.0 * (losses[1] - losses[0]), rel=1e-3)


def test_codebooks_start_among_the_latents_when_quantising_begins(corpus: Corpus) -> None:
    """Guards against codebooks that stay as they were drawn: k-means gives a small share of a random start's error."""
    task = codec_task(corpus)
    drawn = task.codec.codebooks().clone()
    mel, frames = task.source.draw(16, np.random.default_rng(5))

    def error() -> float:
        task.objective.eval()
        with torch.no_grad():
            latents = task.codec.encode(mel)
            valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
            return float((task.codec.quantise(latents, valid).latents - latents)[valid].square().mean())

    before = error()
    task.before_epoch(task.first_quantised_epoch - 1, CPU)
    assert not task.objective.quantising
    task.before_epoch(task.first_quantised_epoch, CPU)
    assert task.objective.quantising
    assert not torch.equal(task.codec.codebooks(), drawn)
    assert error() < 0.3 * before


def test_nothing_after_the_end_of_a_sound_reaches_its_reconstruction() -> None:
    """Guards against padding whose latents are decoded: the sound before it would change with what stands there."""
    torch.manual_seed(0)
    codec = ConvVQVAE(VQVAEConfig(codebook_size=16, channels=24, codebook_dim=8), SpectrogramConfig()).eval()
    mel, frames = torch.randn(1, 1, 128, 96) * 20 - 40, torch.tensor([32])
    output = codec(mel, frames)
    latents = codec.encode(mel)
    valid = valid_positions(frames, 6)
    quantised = codec.quantise(latents, valid)
    assert (quantised.latents[~valid] == 0).all()
    assert torch.equal(output.mel, codec.decode(quantised.latents))
    assert torch.equal(codec.autoencode(mel, frames), codec.decode(latents * valid[..., None]))


def test_the_codecs_average_is_what_is_validated(corpus: Corpus) -> None:
    """Guards against averaging that is switched off: what is kept must differ from the weights that are trained on."""
    kept: list[dict[str, Tensor]] = []
    settings = CodecSettings.model_validate({**SMALL, "epochs": 2, "warmup_share": 0.0})
    task = CodecTask(corpus, settings, lambda best: kept.append(best.state))
    run = Run(task, launch_fabric("cpu", 0))
    losses = exhausted(run.train_epoch())
    run.validate(losses)
    name, weight = next((n, p) for n, p in task.objective.named_parameters() if "encoder" in n and p.ndim > 1)
    assert not torch.equal(kept[0][name], weight.detach())
    assert torch.equal(
        kept[0][name], run.average.average[[n for n, _ in task.objective.named_parameters()].index(name)]
    )


class Steep(nn.Module):
    """A loss whose gradient is a thousand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))

    def forward(self, batch: Tensor) -> Tensor:
        return (500.0 * self.weight * batch).sum()


def test_gradients_are_clipped_before_the_step() -> None:
    """Guards against one bad batch that throws the weights away."""
    norms: list[float] = []

    class Noting(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            norms.append(float(torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]]).norm()))
            return super().step()

    task = prior_task()
    task.objective = Steep()  # type: ignore[assignment]
    task.optimizers = lambda: [Noting(task.objective.parameters(), lr=0.1)]  # type: ignore[method-assign]
    task.items = lambda batch: 1  # type: ignore[method-assign]
    Run(task, launch_fabric("cpu", 0)).train_step(torch.ones(4))
    assert norms == [pytest.approx(GRADIENT_NORM, rel=1e-3)]


def test_the_seed_reaches_the_first_weights() -> None:
    """Guards against `--seed` that Fabric is not given: two seeds, two networks; one seed, one network."""

    def first(seed: int) -> Tensor:
        launch_fabric("cpu", seed)
        return prior_task().prior.heads[0].wide.weight.detach().clone()  # type: ignore[union-attr]

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


def test_the_seed_reaches_crops_windows_and_views(corpus: Corpus) -> None:
    """Guards against data that is drawn in the same order whatever the seed."""

    def crop(seed: int) -> Tensor:
        return next(iter(codec_task(corpus, seed=seed).batches(1))).mel

    def window(seed: int) -> Tensor:
        return next(iter(prior_task(seed=seed, token_masking=0.5).batches(1))).hidden

    for drawn in (crop, window):
        assert torch.equal(drawn(1), drawn(1))
        assert not torch.equal(drawn(1), drawn(2))


def test_the_seed_of_a_training_reaches_its_weights(sounds: Path, tmp_path: Path) -> None:
    """Guards against a stage that launches with a seed of its own."""
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.distill"
        list(train(sounds, out=path, overrides={**TINY_CODEC, "epochs": 1, "seed": seed}, device="cpu"))
        states.append(read_contents(path, mapped=False)["model_state_dict"]["to_latent.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_the_bytes_are_on_the_disk_before_the_name_points_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a model of zeros after a power cut: fsync comes first, then the new name."""
    order: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("fsync"), sync(number))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("replace"), replace(*names))[1])
    with replacing(tmp_path / "model") as stream:
        stream.write(b"whole")
    assert order[:2] == ["fsync", "replace"]
    assert (tmp_path / "model").read_bytes() == b"whole"


def test_an_unfinished_training_cannot_run_code(tmp_path: Path) -> None:
    """Guards against a resume file that is unpickled: it may come with a model from a stranger."""
    model, mark = tmp_path / "m.distill", tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(mark),)

    target = unfinished_dir(model) / "codec.pt"
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"facts": Evil(), "state": {}}, target)
    with pytest.raises(DistillError):
        list(train(write_sounds(tmp_path / "s", 6), out=model, device="cpu", resume=True))
    assert not mark.exists()


def test_a_training_is_not_resumed_with_other_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a codec that goes on as if nothing had happened after the folder has changed."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    folder, path = write_sounds(tmp_path / "sounds", 6), tmp_path / "m.distill"
    running = train(folder, out=path, overrides=TINY_CODEC, device="cpu")
    for event in running:
        if isinstance(event, CodecEpochMetrics) and event.epoch == 2:
            break
    running.close()
    (folder / "hit 3.wav").unlink()
    with pytest.raises(DistillError, match="other sounds"):
        list(train(folder, out=path, device="cpu", resume=True))


def test_the_synthesisers_seed_reaches_its_crops() -> None:
    """Guards against `--seed` that changes nothing in stage 3."""
    rng = np.random.default_rng(0)
    sounds = [(0.1 * rng.standard_normal(60_000)).astype(np.float32) for _ in range(3)]
    config = SpectrogramConfig()
    source = WaveformSource(sounds, config)
    held_out = HeldOut([torch.from_numpy(sounds[0][:24_000])], config)

    def crop(seed: int) -> Tensor:
        settings = SynthesiserSettings(seed=seed, width=16, blocks=1, batch_size=2, pretrained=False)
        task = SynthesiserTask(source, held_out, settings, lambda best: None)
        return next(iter(task.batches(1))).samples

    assert torch.equal(crop(1), crop(1))
    assert not torch.equal(crop(1), crop(2))
