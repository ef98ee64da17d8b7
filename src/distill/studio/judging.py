"""Is it new? Sounds of a model, or given ones, against the recordings it has learned from."""

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.audio.mel import log_mel_of
from distill.audio.reading import read_audio
from distill.compute.device import choose_device
from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import reopen
from distill.corpus.sounds import Corpus as Recordings
from distill.errors import DistillError, Stopped
from distill.events import Event, Progress, Warned
from distill.instrument.choosing import Sampled
from distill.instrument.making import BATCH
from distill.instrument.sampling import sample_pieces
from distill.library.models import find_model, spoken
from distill.modelfile.opened import LoadedVQModel, OpenedModel, load_model, loaded_model, open_model
from distill.models.codec import ConvVQVAE
from distill.models.encoding import encode_codes, level_of
from distill.models.sampling import clip_generator
from distill.novelty.measuring import Judged, Known, Yardstick
from distill.novelty.power import power_of
from distill.novelty.sounds import WIDE_DB, as_decoded, floored
from distill.novelty.verdict import NoveltyReport, judge
from distill.settings.generation import NOT_OF_CODES, OF_PICKING, GenerationSettings
from distill.settings.geometry import BANDS, SpectrogramConfig
from distill.studio.evaluating import sounds_in
from distill.studio.stopping import stoppable
from distill.training.prior.codes import CodeSequences, extract_code_sequences, unpack_codes
from distill.training.stage import ModelInTraining

STOPPED = "Stopped before the sounds were judged."
COUNT = 64
"""Sounds that are made to be judged."""
QUICK = GenerationSettings(count=32, seed=0)
"""What is made to be judged when a prior has been trained."""


@dataclass(frozen=True)
class Material:
    """What a model has learned from, and what was held out."""

    codec: ConvVQVAE
    train: tuple[Known, ...]
    held_out: tuple[Known, ...]

    @property
    def as_recorded(self) -> bool:
        """Whether the recordings themselves are at hand, beside what their codes decode to."""
        return len(self.train[0].wide) > 1

    def yardstick(self, spectrogram: SpectrogramConfig) -> Yardstick:
        """Everything that sounds are judged by."""
        return Yardstick.of(self.train, self.held_out, spectrogram)


def novelty(
    model: str,
    files: Path | Sequence[Path] | None = None,
    settings: GenerationSettings | None = None,
    dataset: Path | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Judge sounds by what the model's own unseen material gives; the report is the last event.

    Args:
        files: sounds, or folders of them, that are judged; None: new ones are made.
        settings: what to make; None: 64 sounds at the defaults.
        dataset: where the recordings are now; None: where they were. The codes that are kept in the model do without.
        stop: set it to end without a verdict.

    Raises:
        DistillError: there is no prior to make sounds with, no sound to judge, or neither codes nor recordings.
        Stopped: before the verdict.
    """
    path = find_model(model)
    chosen = choose_device(device)
    opened = open_model(path)
    if files is None and not opened.card.has_prior:
        raise DistillError(
            f"{path} has a codec and no prior yet, so it makes no sounds. Run `distill train-prior {spoken(path)}` first, or "
            "give sounds with --files DIR."
        )
    candidates = None if files is None else sounds_in([files] if isinstance(files, Path) else list(files))
    work = material_of(opened, dataset, chosen, recorded=files is not None)
    material = yield from stoppable(work, stop, STOPPED)
    if candidates is not None:
        report = yield from judged_files(opened, material, candidates, chosen, stop)
    else:
        settings = (settings or GenerationSettings(count=COUNT)).model_copy(update={"pick": None}).seeded()
        request = settings.model_dump(exclude={*NOT_OF_CODES, *OF_PICKING})
        making = _generated(load_model(path, chosen), settings)
        report = yield from _report(opened, material, making, request, stop)
    yield report


def judged_files(
    opened: OpenedModel,
    material: Material,
    files: dict[str, Path],
    device: torch.device,
    stop: threading.Event | None = None,
) -> Generator[Event, None, NoveltyReport]:
    """The verdict on sound files by name, all together; silent ones, and those that are no sounds, are left out.

    Raises:
        DistillError: that is all of them.
        Stopped: before the verdict.
    """
    return (yield from _report(opened, material, _given(material.codec, files, opened, device), None, stop))


def _report(
    opened: OpenedModel,
    material: Material,
    work: Generator[Event, None, list[Judged]],
    request: dict[str, Any] | None,
    stop: threading.Event | None,
) -> Generator[Event, None, NoveltyReport]:
    """The verdict on sounds that `work` makes or reads."""
    yield Progress("comparing the recordings with each other", 0, 1)
    yardstick = material.yardstick(opened.card.spectrogram_config)
    yield Progress("comparing the recordings with each other", 1, 1)
    sounds = yield from stoppable(work, stop, STOPPED)
    if not sounds:
        raise DistillError("No sound can be judged: each is silent or cannot be read. Give or make others.")
    found = []
    for done, each in enumerate(yardstick.measure(sounds), start=1):
        _check(stop)
        found.append(each)
        yield Progress("comparing with the recordings", done, len(sounds), each.name)
    power = power_of(material.codec, yardstick, material.train)
    return judge(str(opened.path), yardstick, found, power, request)


def novelty_after_training(
    file: ModelInTraining, sequences: CodeSequences, manifest: CorpusManifest
) -> Generator[Event, None, None]:
    """A quick copy test of a prior that was just trained: its verdict is said, and kept in the model's file.

    Args:
        sequences: the codes it was trained on, and those that were held out.
    """
    try:
        loaded = loaded_model(file.as_written())
        made = loaded.card.prior_metadata
        if made is None:
            return
        material = yield from _as_material(loaded.codec, sequences, manifest, None)
        yardstick = material.yardstick(loaded.card.spectrogram_config)
        sounds = yield from _generated(loaded, QUICK)
        power = power_of(loaded.codec, yardstick, material.train)
        report = judge(str(file.path), yardstick, list(yardstick.measure(sounds)), power, QUICK.model_dump())
        summary = report.summary(made.training_date)
        yield from file.write(lambda held: {**held, "novelty": summary})
        yield report
    except DistillError as error:
        yield Warned(f"Whether the sounds are new was not found out: {error}")


def novelty_of_kept_codes(file: ModelInTraining) -> Generator[Event, None, None]:
    """The same of a prior that was trained again, by the codes that are in the model; nothing where there are none."""
    opened = file.as_written()
    card = opened.card
    if card.has_codes:
        sizes = card.vqvae_config.codebook_size, card.prior_levels
        sequences = unpack_codes(opened.codes, card.corpus_manifest, *sizes)
        yield from novelty_after_training(file, sequences, card.corpus_manifest)


def material_of(
    opened: OpenedModel,
    dataset: Path | None,
    device: torch.device,
    recorded: bool,
    remedy: str = "Say with --dataset DIR where they are now.",
) -> Generator[Event, None, Material]:
    """The corpus as its kept codes decode to; with `recorded` also as it is, where it is at hand.

    Args:
        remedy: what is to be done where it is not.

    Raises:
        DistillError: there are neither codes nor recordings.
    """
    card, codec = opened.card, opened.codec(device)
    manifest = card.corpus_manifest
    recordings: Recordings | None = None
    if card.has_codes and dataset is None and not recorded:
        sequences = unpack_codes(opened.codes, manifest, card.vqvae_config.codebook_size, card.prior_levels)
    else:
        try:
            recordings = yield from reopen(manifest, dataset, card.spectrogram_config)
        except DistillError:
            if dataset is not None or not card.has_codes:
                raise
            yield Warned(
                "The recordings are not where they were, so sounds are compared with what their codes in the model decode "
                f"to, and less is noticed. {remedy}"
            )
        if card.has_codes:
            sequences = unpack_codes(opened.codes, manifest, card.vqvae_config.codebook_size, card.prior_levels)
        else:
            assert recordings is not None
            sequences = yield from extract_code_sequences(codec, recordings, device)
    return (yield from _as_material(codec, sequences, manifest, recordings if recorded else None))


def _as_material(
    codec: ConvVQVAE, sequences: CodeSequences, manifest: CorpusManifest, recordings: Recordings | None
) -> Generator[Event, None, Material]:
    levels = codec.config.rvq_levels
    train, held_out = iter(sequences.train_codes), iter(sequences.val)
    known: dict[str, list[Known]] = {"train": [], "val": []}
    for number, file in enumerate(manifest.files, start=1):
        codes = next(train if file.split == "train" else held_out)[:, :levels]
        frames = codec.spectrogram.frames(file.samples)
        mels = [as_decoded(codec, codes, frames, WIDE_DB)]
        if recordings is not None:
            mels.append(floored(torch.from_numpy(np.array(recordings.mel(file), dtype=np.float32)), WIDE_DB))
        # The pieces of a recording are of one group, and each is a sound of its own here.
        group = file.group if file.span is None else len(manifest.files) + number
        known[file.split].append(Known(file.name, group, codes, tuple(mels)))
        yield Progress("opening the recordings", number, len(manifest.files), file.name)
    return Material(codec, tuple(known["train"]), tuple(known["val"]))


def _generated(loaded: LoadedVQModel, settings: GenerationSettings) -> Generator[Event, None, list[Judged]]:
    """New sounds as their codes decode to: what becomes of them afterwards makes nothing a copy."""
    assert loaded.prior is not None
    sounds: list[Judged] = []
    seeds = settings.seeds()
    for first in range(0, settings.count, BATCH):
        batch = seeds[first : first + BATCH]
        generators = [clip_generator(seed) for seed in batch]
        sampled: list[Sampled] = []
        for done, total, sampled in sample_pieces(loaded.prior, generators, loaded, settings):  # noqa: B007
            yield Progress("sampling", first * total + len(batch) * done, settings.count * total)
        for seed, generator, each in zip(batch, generators, sampled, strict=True):
            end = torch.rand(1, generator=generator, dtype=torch.float64).item()
            if len(each.codes):
                sounds.append(_as_judged(loaded, f"seed {seed}", each, end))
    return sounds


def _as_judged(loaded: LoadedVQModel, name: str, sampled: Sampled, end: float) -> Judged:
    codes = sampled.codes[:, : loaded.card.vqvae_config.rvq_levels]
    frames = None
    if sampled.ended and loaded.endings is not None:
        frames = loaded.card.spectrogram_config.frames(loaded.endings.samples(loaded.codec, codes, end))
    return Judged(name, as_decoded(loaded.codec, codes, frames, WIDE_DB), codes)


def _given(
    codec: ConvVQVAE, candidates: dict[str, Path], opened: OpenedModel, device: torch.device
) -> Generator[Event, None, list[Judged]]:
    """Sound files, as they are."""
    sounds: list[Judged] = []
    left_out: list[str] = []
    for done, (name, path) in enumerate(candidates.items(), start=1):
        try:
            samples, _ = read_audio(path)
            sounds.append(judged_samples(codec, name, samples, opened, device))
        except DistillError as error:
            left_out.append(str(error))
        yield Progress("reading sounds", done, len(candidates), name)
    if left_out:
        more = f" And {len(left_out) - 1} more." if len(left_out) > 1 else ""
        yield Warned(f"{len(left_out)} of {len(candidates)} files are left out. {left_out[0]}{more}")
    return sounds


def judged_samples(
    codec: ConvVQVAE,
    name: str,
    samples: np.ndarray,
    opened: OpenedModel,
    device: torch.device,
) -> Judged:
    mel = log_mel_of(samples, opened.card.spectrogram_config).T
    frames = mel.contiguous().numpy()
    codes: Tensor = encode_codes(codec, frames, level_of(frames), device).cpu()
    assert len(codes) % BANDS == 0
    return Judged(name, floored(mel, WIDE_DB), codes)


def _check(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped(STOPPED)
