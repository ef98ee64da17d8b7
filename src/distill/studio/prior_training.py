"""Stage 2: a prior for a model."""

import contextlib
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from distill.compute.device import check_processes, choose_device
from distill.compute.fabric import launch_fabric
from distill.compute.processes import ONE, Processes
from distill.corpus.scan import reopen
from distill.corpus.sounds import Corpus
from distill.events import Event, PriorTrainingCompleteEvent, Warned
from distill.modelfile.card import ModelCard
from distill.models.image import IMAGE_DIM, read_by_priors
from distill.novelty.watching import CopyWatch
from distill.settings.auto import Resolved, prior_auto, raced_sizes, resolve
from distill.settings.geometry import BANDS, COLUMN_SECONDS
from distill.settings.prior import PriorSettings
from distill.studio.judging import novelty_after_training
from distill.studio.opening import open_for_stage, resumed_settings
from distill.studio.spreading import spread_after_training
from distill.studio.stopping import NOTHING_TRAINED, stoppable
from distill.training.prior.beside import learned_endings, learned_loudness, measured_grain
from distill.training.prior.codes import extract_code_sequences, unpack_codes
from distill.training.prior.train import PRIOR_STAGE, train_prior


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
    novelty: bool = True,
) -> Generator[Event, None, None]:
    """Stage 2: train a prior on the files the model's codec was trained on, and save it in the same file.

    Args:
        novelty: judge some of its sounds when it is trained, and keep the verdict in the file.
    """
    opening = open_for_stage(PRIOR_STAGE, model, lambda card: card.has_prior, overrides, overwrite, resume)
    with opening as begun:
        check_processes(processes, choose_device(device))
        card, resumed = begun.card, begun.resumed
        if resumed is None:
            resolved = resolve_prior(card, begun.chosen)
        else:
            resolved = resumed_settings(PriorSettings, resumed, begun.file.path, PRIOR_STAGE)
        fabric = launch_fabric(device, resolved.settings.seed, processes)  # processes share the encoding too
        codec = begun.opened.codec(fabric.device)
        image, beside = begun.opened.image(), {}
        gone = [folder for folder in card.corpus_manifest.roots.values() if not folder.is_dir()]
        corpus: Corpus | None = None
        if dataset is None and card.has_codes and gone:
            manifest = card.corpus_manifest
            yield Warned(f"{gone[0]} is not there: the prior learns from the codes that are in the model.")
            config = card.vqvae_config
            sequences = unpack_codes(begun.opened.codes, manifest, config.codebook_size, card.prior_levels)
        else:
            reopening = reopen(card.corpus_manifest, dataset, card.spectrogram_config, allow_changed)
            corpus = yield from stoppable(reopening, stop, NOTHING_TRAINED)
            manifest = corpus.manifest
            views, seed = resolved.settings.views, resolved.settings.seed
            extracting = extract_code_sequences(codec, corpus, fabric.device, views, seed, image)
            sequences = yield from stoppable(extracting, stop, NOTHING_TRAINED)
            beside = learned_loudness(codec, corpus, sequences) | measured_grain(codec, corpus, sequences)
        beside |= learned_endings(codec, sequences)
        vectors = read_by_priors(codec.codebooks(), image)
        watch = CopyWatch.of(codec, sequences.train_codes, sequences.val) if novelty else None
        training = train_prior(
            begun.file,
            vectors,
            sequences,
            manifest,
            resolved,
            fabric,
            stop,
            embed_codes,
            resumed,
            beside,
            copied=None if watch is None else watch.copied,
            sizes=raced_sizes(manifest.facts().positions, resolved.settings.preset, resolved.origin),
        )
        with contextlib.closing(training):
            for event in training:
                complete = isinstance(event, PriorTrainingCompleteEvent) and not event.stopped_early
                if complete and fabric.is_global_zero:
                    yield from spread_after_training(begun.file, corpus)
                    if novelty:
                        yield from novelty_after_training(begun.file, sequences, manifest)
                yield event


def resolve_prior(card: ModelCard, overrides: Mapping[str, Any]) -> Resolved[PriorSettings]:
    """The settings a prior for this model would be trained with."""
    codec = card.vqvae_config
    reckoned_with = {name: overrides.get(name) for name in ("preset", "batch_size", "context_seconds")}
    resolve(PriorSettings, {}, reckoned_with)  # a bad value is named first
    automatic = prior_auto(card.corpus_manifest.facts(), overrides)
    seconds = overrides.get("context_seconds")
    columns_wanted = round((automatic["context_seconds"] if seconds is None else float(seconds)) / COLUMN_SECONDS)
    fixed = {
        "codebook_size": codec.codebook_size,
        "codebook_dim": codec.codebook_dim + (0 if card.image_size is None else IMAGE_DIM),
        "rvq_levels": card.prior_levels,
        "bands": BANDS,
        "seq_len": max(1, columns_wanted) * BANDS,
        "both_sides": True,
        "image_columns": 1 if card.image_size is None else card.image_columns,
    }
    return resolve(PriorSettings, automatic, overrides, fixed)
