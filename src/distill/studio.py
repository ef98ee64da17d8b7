"""Everything the program can do, without a face: each action is a generator of events."""

import secrets
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.audio.corpus import CorpusManifest, reopen, scan
from distill.audio.distance import audible_difference
from distill.audio.io import SAMPLE_RATE, read_audio, write_audio
from distill.audio.mel import log_mel_blocks
from distill.audio.synthesis import finish
from distill.auto import Resolved, codec_auto, prior_auto, resolve
from distill.bundle import BundleCard, load_bundle, read_card, read_contents
from distill.config import CodecSettings, PriorSettings, SynthesiserSettings, flag_name
from distill.device import check_processes, choose_device
from distill.errors import DistillError
from distill.evaluation import evaluate_sounds
from distill.events import (
    CodebookHealth,
    CorpusScanned,
    Event,
    GenerationCompleteEvent,
    Progress,
    ReconstructionCompleteEvent,
    SoundWritten,
    Warned,
)
from distill.files import BUNDLE_SUFFIX, unused_path
from distill.generation import LARGEST_SEED, GenerateOptions, check_generate, sample_pieces, to_samples
from distill.library import find_model, name_of_folder, new_model_path
from distill.models.encoding import decode_codes, level_of
from distill.models.refining import refined_codes
from distill.models.sampling import clip_generator
from distill.models.vqvae import BANDS, FRAMES_PER_COLUMN
from distill.pictures import usage_heatmap
from distill.processes import ONE, Processes
from distill.synthesisers import check_synthesiser, choose_synthesiser
from distill.training.codec import CODEC_STAGE, train_codec
from distill.training.codes import extract_code_sequences, measure_texture, unpack_codes
from distill.training.fabric import launch_fabric
from distill.training.prior import PRIOR_STAGE, train_prior
from distill.training.synthesiser import SYNTHESISER_STAGE, train_synthesiser
from distill.training.unfinished import UnfinishedRun

COLUMN_SECONDS = FRAMES_PER_COLUMN * 512 / SAMPLE_RATE
"""Duration of one column of codes."""
BATCH = 16
"""Sounds sampled at once."""


def look(folder: Path, stop: threading.Event | None = None) -> Generator[Event, None, CorpusManifest | None]:
    """Read a folder and say what is in it -> its manifest; None if it was stopped."""
    scanning = scan(folder)
    try:
        while True:
            yield next(scanning)
            if stop is not None and stop.is_set():
                return None
    except StopIteration as end:
        manifest: CorpusManifest = end.value.manifest
    yield _scanned(manifest)
    return manifest


def train(
    folder: Path,
    name: str | None = None,
    out: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    processes: Processes = ONE,
) -> Generator[Event, None, None]:
    """Stage 1: scan a folder, train a codec on it, save it in the library (or at `out`)."""
    path = _destination(folder, name, out)
    if path.exists() and not overwrite and not resume:
        raise DistillError(f"{path} exists already. Choose another --name, or give --overwrite to replace it.")
    chosen = _settings_given(overrides, resume)
    check_processes(processes, choose_device(device))
    resolve(CodecSettings, {}, chosen)  # a bad value is named before the folder is read
    kept = UnfinishedRun(path, CODEC_STAGE, {}, resume).kept_facts()["settings"] if resume else None
    corpus = yield from scan(folder)
    yield _scanned(corpus.manifest)
    automatic = codec_auto(corpus.manifest.facts(), chosen)
    resolved = resolve(CodecSettings, automatic, chosen) if kept is None else resolve(CodecSettings, {}, kept)
    yield from train_codec(corpus, resolved, path, path.stem, device, stop, resume, processes)


def train_prior_for(
    model: str,
    dataset: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    allow_changed: bool = False,
    embed_codes: bool = True,
    resume: bool = False,
    stop: threading.Event | None = None,
    processes: Processes = ONE,
) -> Generator[Event, None, None]:
    """Stage 2: train a prior on the files the model's codec was trained on, and bundle it in place."""
    path, card, chosen, kept = _open_for(PRIOR_STAGE, model, lambda card: card.has_prior, overrides, overwrite, resume)
    check_processes(processes, choose_device(device))
    resolved = resolve_prior(card, chosen) if kept is None else Resolved(PriorSettings(**kept), {})
    torch_device = launch_fabric(device, resolved.settings.seed, processes).device  # processes share the encoding too
    loaded = load_bundle(path, torch_device)
    texture = None
    if dataset is None and card.has_codes and not Path(card.corpus_manifest.folder).is_dir():
        manifest = card.corpus_manifest
        yield Warned(f"{manifest.folder} is not there: the prior learns from the codes that are in the model.")
        config = card.vqvae_config
        packed = read_contents(path, mapped=False)["codes"]
        sequences = unpack_codes(packed, manifest, config.codebook_size, config.rvq_levels)
    else:
        corpus = yield from reopen(card.corpus_manifest, dataset, card.spectrogram_config, allow_changed)
        manifest = corpus.manifest
        views, seed = resolved.settings.views, resolved.settings.seed
        sequences = yield from extract_code_sequences(loaded.codec, corpus, torch_device, views, seed)
        texture = measure_texture(loaded.codec, corpus, sequences)
    books = loaded.codec.codebooks()
    yield from train_prior(
        path, books, sequences, manifest, resolved, device, stop, embed_codes, resume, processes, texture
    )


def train_synth_for(
    model: str,
    dataset: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    allow_changed: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    processes: Processes = ONE,
) -> Generator[Event, None, None]:
    """Stage 3: fit the synthesiser to the files the model's codec was trained on, and bundle it in place."""
    path, card, chosen, kept = _open_for(
        SYNTHESISER_STAGE, model, lambda card: card.has_synthesiser, overrides, overwrite, resume
    )
    check_processes(processes, choose_device(device))
    resolved = resolve(SynthesiserSettings, {}, chosen) if kept is None else Resolved(SynthesiserSettings(**kept), {})
    corpus = yield from reopen(card.corpus_manifest, dataset, card.spectrogram_config, allow_changed)
    yield from train_synthesiser(path, corpus, resolved, device, stop, resume, processes)


def resolve_prior(card: BundleCard, overrides: Mapping[str, Any]) -> Resolved[PriorSettings]:
    """The settings a prior for this model would be trained with."""
    codec = card.vqvae_config
    automatic = prior_auto(card.corpus_manifest.facts())
    seconds = overrides.get("context_seconds")
    columns_wanted = round((automatic["context_seconds"] if seconds is None else float(seconds)) / COLUMN_SECONDS)
    fixed = {
        "codebook_size": codec.codebook_size,
        "codebook_dim": codec.codebook_dim,
        "rvq_levels": codec.rvq_levels,
        "bands": BANDS,
        "seq_len": max(1, columns_wanted) * BANDS,
    }
    return resolve(PriorSettings, automatic, overrides, fixed)


def generate(
    model: str, out: Path, options: GenerateOptions, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds. Sound number i of seed s is sound 0 of seed s + i.

    Args:
        stop: set it to end before the next sound; those that are written stay.
    """
    check_generate(options)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_bundle(path, chosen)
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {path.stem}` first.")
    seed = options.seed if options.seed is not None else secrets.randbelow(LARGEST_SEED)
    synthesise = choose_synthesiser(loaded, options.synthesiser, chosen)
    sounds: list[SoundWritten] = []
    sampling_seconds = synthesis_seconds = 0.0
    for first in range(0, options.count, BATCH):
        seeds = [seed + i for i in range(first, min(first + BATCH, options.count))]
        generators = [clip_generator(each) for each in seeds]
        begun = time.monotonic()
        codes: list[Tensor] = []
        for done, total, codes in sample_pieces(loaded.prior, generators, loaded, options):  # noqa: B007
            if stop is not None and stop.is_set():
                break
            yield Progress("sampling", first * total + len(seeds) * done, options.count * total)
        sampling_seconds += time.monotonic() - begun
        for each, generator, sequence in zip(seeds, generators, codes, strict=True):
            if stop is not None and stop.is_set():
                break
            begun = time.monotonic()
            samples = to_samples(loaded, sequence, synthesise, generator, options)
            target = unused_path(out / f"{path.stem}-seed{each}.{options.format}")
            write_audio(target, samples)
            synthesis_seconds += time.monotonic() - begun
            sound = SoundWritten(str(target), len(samples) / SAMPLE_RATE, len(sounds) + 1, options.count, seed=each)
            sounds.append(sound)
            yield sound
        if stop is not None and stop.is_set():
            break
    yield GenerationCompleteEvent(str(path), seed, tuple(sounds), sampling_seconds, synthesis_seconds)


def reconstruct(
    model: str, files: Sequence[Path], out: Path, device: str = "auto", synthesiser: str = "auto"
) -> Generator[Event, None, None]:
    """Write what the codec makes of sounds, each as long as its source."""
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_bundle(path, chosen)
    spectrogram = loaded.card.spectrogram_config
    synthesise = choose_synthesiser(loaded, synthesiser, chosen)
    sounds: list[SoundWritten] = []
    for number, source in enumerate(files, start=1):
        samples, _ = read_audio(source)
        mel = torch.cat(list(log_mel_blocks(samples, spectrogram)), dim=1)
        level = level_of(mel.T.numpy())
        codes = refined_codes(loaded.codec, mel.T.numpy(), level, chosen)
        made = decode_codes(loaded.codec, codes, level).cpu()[:, : mel.shape[1]]
        waveform = finish(synthesise(made, clip_generator(0))[: len(samples)], SAMPLE_RATE)
        target = unused_path(out / f"{source.stem}.wav")
        write_audio(target, waveform.numpy())
        error = float(audible_difference(mel, made, level).mean())
        sound = SoundWritten(
            str(target), len(samples) / SAMPLE_RATE, number, len(files), source=str(source), mel_l1_db=error
        )
        sounds.append(sound)
        yield sound
    yield ReconstructionCompleteEvent(str(path), tuple(sounds))


def evaluate(
    model: str, dataset: Path | None = None, device: str = "auto", synthesiser: str = "auto"
) -> Generator[Event, None, None]:
    """Measure the codec: on its own held-out files, or on every usable sound in `dataset` if that is another folder."""
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_bundle(path, chosen)
    manifest = loaded.card.corpus_manifest
    corpus = yield from scan(dataset or Path(manifest.folder))
    trained_on = {file.sha256 for file in manifest.train}
    fresh = [file for file in corpus.manifest.files if file.sha256 not in trained_on]
    if not fresh:
        raise DistillError(
            f"{path} has learned from every sound in {corpus.manifest.folder}. Give others with --corpus DIR."
        )
    sounds = [(file.name, Path(corpus.manifest.folder) / file.name) for file in fresh]
    yield from evaluate_sounds(loaded, sounds, choose_synthesiser(loaded, synthesiser, chosen), chosen)


def can_resume(path: Path, stage: str) -> bool:
    """Whether an unfinished training of this stage ("codec" or "prior") of a model can be gone on with."""
    return UnfinishedRun(path, stage, {}, resume=False).path.is_file()


def info(model: str) -> tuple[Path, BundleCard]:
    """What a model's file says of itself; loads no weights."""
    path = find_model(model)
    return path, read_card(path)


def draw_usage(card: BundleCard, picture: Path) -> None:
    """Draw how often each code of a model is used, as a PNG."""
    usage_heatmap(CodebookHealth.from_dict(card.codebook_health_snapshot.model_dump()), picture)


def _destination(folder: Path, name: str | None, out: Path | None) -> Path:
    if out is None:
        return new_model_path(name_of_folder(folder) if name is None else name)
    if out.suffix != BUNDLE_SUFFIX:
        raise DistillError(f"--out {out} must end with {BUNDLE_SUFFIX}.")
    return out


def _open_for(
    stage: str,
    model: str,
    has_own: Callable[[BundleCard], bool],
    overrides: Mapping[str, Any] | None,
    overwrite: bool,
    resume: bool,
) -> tuple[Path, BundleCard, dict[str, Any], dict[str, Any] | None]:
    """A model that a later stage is trained for -> its file, its card, what the user set, and what a run to resume had set.

    Raises:
        DistillError: it has that stage already, or an old suffix, or there is nothing to resume.
    """
    path = find_model(model)
    card = read_card(path)
    if has_own(card) and not overwrite and not resume:
        raise DistillError(
            f"{path} has a {stage} already. Give --overwrite to replace it; it stays valid until the new one is saved."
        )
    if path.suffix != BUNDLE_SUFFIX:
        raise DistillError(f"{path} has the old suffix {path.suffix}. Rename it to {path.stem}{BUNDLE_SUFFIX} first.")
    chosen = _settings_given(overrides, resume)
    kept = UnfinishedRun(path, stage, {}, resume).kept_facts()["settings"] if resume else None
    return path, card, chosen, kept


def _settings_given(overrides: Mapping[str, Any] | None, resume: bool) -> dict[str, Any]:
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    if resume and chosen:
        flag = flag_name(next(iter(chosen)))
        raise DistillError(f"--resume goes on with the settings the training was begun with. Leave out {flag}.")
    return chosen


def _scanned(manifest: CorpusManifest) -> CorpusScanned:
    return CorpusScanned(
        folder=manifest.folder,
        files_used=len(manifest.files),
        files_skipped=tuple((skipped.name, skipped.reason) for skipped in manifest.skipped),
        seconds=manifest.seconds,
        train_files=len(manifest.train),
        val_files=len(manifest.val),
        groups=manifest.facts().files,
    )
