"""Stage 1: a folder of sounds to a model with a codec."""

import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from distill.compute.device import check_processes, choose_device
from distill.compute.processes import ONE, Processes
from distill.corpus.scan import scan
from distill.errors import DistillError
from distill.events import (
    Event,
)
from distill.library.models import name_of_folder, new_model_path
from distill.places import MODEL_SUFFIX
from distill.settings.auto import codec_auto, resolve
from distill.settings.codec import CodecSettings
from distill.studio.looking import scanned_event
from distill.studio.opening import given_settings
from distill.studio.stopping import NOTHING_TRAINED, stoppable
from distill.training.codec.train import CODEC_STAGE, train_codec
from distill.training.unfinished import UnfinishedRun


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
    chosen = given_settings(overrides, resume)
    check_processes(processes, choose_device(device))
    resolve(CodecSettings, {}, chosen)  # a bad value is named before the folder is read
    kept = UnfinishedRun(path, CODEC_STAGE, {}, resume).kept_facts()["settings"] if resume else None
    corpus = yield from stoppable(scan(folder), stop, NOTHING_TRAINED)
    yield scanned_event(corpus.manifest)
    automatic = codec_auto(corpus.manifest.facts(), chosen)
    resolved = resolve(CodecSettings, automatic, chosen) if kept is None else resolve(CodecSettings, {}, kept)
    yield from train_codec(corpus, resolved, path, path.stem, device, stop, resume, processes)


def _destination(folder: Path, name: str | None, out: Path | None) -> Path:
    if out is None:
        return new_model_path(name_of_folder(folder) if name is None else name)
    if out.suffix != MODEL_SUFFIX:
        raise DistillError(f"--out {out} must end with {MODEL_SUFFIX}.")
    return out
