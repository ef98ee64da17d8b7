"""Stage 3: a synthesiser of a model's own."""

import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from distill.compute.device import check_processes, choose_device
from distill.compute.fabric import launch_fabric
from distill.compute.processes import ONE, Processes
from distill.corpus.scan import reopen
from distill.events import Event, Warned
from distill.models.synthesiser import SpectrumNetwork
from distill.settings.auto import resolve
from distill.settings.geometry import SpectrogramConfig
from distill.settings.synthesiser import SynthesiserSettings
from distill.studio.opening import open_for_stage, resumed_settings
from distill.studio.stopping import NOTHING_TRAINED, stoppable
from distill.training.synthesiser.train import SYNTHESISER_STAGE, train_synthesiser
from distill.weights import fits


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
    opening = open_for_stage(SYNTHESISER_STAGE, model, lambda card: card.has_synthesiser, overrides, overwrite, resume)
    with opening as begun:
        check_processes(processes, choose_device(device))
        spectrogram, resumed = begun.card.spectrogram_config, begun.resumed
        resolved = resolve(SynthesiserSettings, {}, begun.chosen)
        if resumed is not None:
            resolved = resumed_settings(SynthesiserSettings, resumed, begun.file.path, SYNTHESISER_STAGE)
        elif starts_from_nothing(resolved.settings, spectrogram):
            yield Warned("The synthesiser that every model has does not fit this one: its own is trained from nothing.")
            chosen = {name: value for name, value in begun.chosen.items() if name != "pretrained"}
            resolved = resolve(SynthesiserSettings, {"pretrained": False}, chosen)
        reopening = reopen(begun.card.corpus_manifest, dataset, spectrogram, allow_changed)
        corpus = yield from stoppable(reopening, stop, NOTHING_TRAINED)
        fabric = launch_fabric(device, resolved.settings.seed, processes)
        yield from train_synthesiser(begun.file, corpus, resolved, fabric, stop, resumed)


def starts_from_nothing(settings: SynthesiserSettings, spectrogram: SpectrogramConfig) -> bool:
    """Whether the weights it is to start from do not fit it."""
    return settings.pretrained and not fits(
        "synthesiser", lambda: SpectrumNetwork(settings.architecture(), spectrogram)
    )
