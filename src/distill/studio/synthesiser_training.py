"""Stage 3: a synthesiser of a model's own."""

import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from distill.compute.device import check_processes, choose_device
from distill.compute.processes import ONE, Processes
from distill.corpus.scan import reopen
from distill.events import Event
from distill.settings.auto import Resolved, resolve
from distill.settings.synthesiser import SynthesiserSettings
from distill.studio.opening import open_for_stage
from distill.studio.stopping import NOTHING_TRAINED, stoppable
from distill.training.synthesiser.train import SYNTHESISER_STAGE, train_synthesiser


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
    """Stage 3: fit the synthesiser to the files the model's codec was trained on, and save it in the same file."""
    path, card, chosen, kept = open_for_stage(
        SYNTHESISER_STAGE, model, lambda card: card.has_synthesiser, overrides, overwrite, resume
    )
    check_processes(processes, choose_device(device))
    resolved = resolve(SynthesiserSettings, {}, chosen) if kept is None else Resolved(SynthesiserSettings(**kept), {})
    reopening = reopen(card.corpus_manifest, dataset, card.spectrogram_config, allow_changed)
    corpus = yield from stoppable(reopening, stop, NOTHING_TRAINED)
    yield from train_synthesiser(path, corpus, resolved, device, stop, resume, processes)
