"""Stage 1: a folder of sounds to a model with a codec."""

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.compute.device import check_processes, choose_device
from distill.compute.fabric import launch_fabric
from distill.compute.processes import ONE, Processes
from distill.corpus.forgetting import forgotten_files
from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import scan
from distill.errors import DistillError
from distill.events import Event, Warned
from distill.library.models import name_of_folder, new_model_path
from distill.modelfile.file import read_card
from distill.modelfile.locks import claimed
from distill.models.codec import ConvVQVAE
from distill.places import MODEL_SUFFIX
from distill.settings.auto import codec_auto, resolve
from distill.settings.codec import CodecSettings, VQVAEConfig
from distill.settings.geometry import SpectrogramConfig
from distill.settings.knobs import AUTO
from distill.studio.looking import scanned
from distill.studio.opening import given_settings, resumed_settings
from distill.studio.stopping import NOTHING_TRAINED, stoppable
from distill.training.codec.train import CODEC_STAGE, train_codec
from distill.training.stage import ModelInTraining
from distill.training.unfinished import UnfinishedRun, read_unfinished
from distill.weights import fits


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
    chosen = given_settings(overrides, resume)
    check_processes(processes, choose_device(device))
    wanted = resolve(CodecSettings, {}, chosen).settings  # a bad value is named before the folder is read
    with claimed(path, CODEC_STAGE) as claim:
        if path.exists() and not overwrite and not resume:
            raise DistillError(f"{path} exists already. Choose another --name, or give --overwrite to replace it.")
        resumed = read_unfinished(path, CODEC_STAGE) if resume else None
        if resumed is not None and path.exists() and not overwrite:
            _check_is_of_run(path, resumed)
        model = ModelInTraining(claim, None)
        slicing = wanted.slice if resumed is None else resumed.settings.get("slice", AUTO)
        corpus = yield from stoppable(scan(folder, slicing=slicing), stop, NOTHING_TRAINED)
        yield from scanned(corpus.manifest)
        if overwrite and path.exists():
            yield from _learned_again(path, corpus.manifest)
        if resumed is not None:
            resolved = resumed_settings(CodecSettings, resumed, path, CODEC_STAGE)
        elif starts_from_nothing(wanted, corpus.spectrogram):
            own = VQVAEConfig()
            yield Warned(
                "What the program learned on sounds of its own making fits a codec of its own size only "
                f"(--channels {own.channels}, --codebook-dim {own.codebook_dim}): this one is trained from nothing."
            )
            chosen = {name: value for name, value in chosen.items() if name != "pretrained"}
            automatic = codec_auto(corpus.manifest.facts(), {**chosen, "pretrained": False})
            resolved = resolve(CodecSettings, {**automatic, "pretrained": False}, chosen)
        else:
            resolved = resolve(CodecSettings, codec_auto(corpus.manifest.facts(), chosen), chosen)
        fabric = launch_fabric(device, resolved.settings.seed, processes)
        yield from train_codec(model, corpus, resolved, fabric, stop, resumed)


def _learned_again(path: Path, manifest: CorpusManifest) -> Iterator[Event]:
    """A new model learns from what is in the folder; what the one in whose place it comes had forgotten is no exception."""
    with contextlib.suppress(DistillError):  # a file that cannot be read is replaced all the same
        before = read_card(path).corpus_manifest
        again = sorted(forgotten_files(before, {file.source: file.sha256 for file in manifest.files}))
        if again:
            yield Warned(
                f"Learned from again, though {path.stem} had forgotten them: {len(again)} ({again[0]}"
                f"{', ...' if len(again) > 1 else ''}). Take them out of it first where that is not what you want."
            )


def starts_from_nothing(settings: CodecSettings, spectrogram: SpectrogramConfig) -> bool:
    """Whether the weights it is to start from do not fit it."""
    return settings.pretrained and not fits("codec", lambda: ConvVQVAE(settings.architecture(), spectrogram))


def _check_is_of_run(path: Path, run: UnfinishedRun) -> None:
    if read_card(path).metadata.created != run.created:
        raise DistillError(
            f"{path} is another model than the one whose training is unfinished. Rename it first, or give --overwrite to "
            "replace it."
        )


def _destination(folder: Path, name: str | None, out: Path | None) -> Path:
    if out is None:
        return new_model_path(name_of_folder(folder) if name is None else name)
    if out.suffix != MODEL_SUFFIX:
        raise DistillError(f"--out {out} must end with {MODEL_SUFFIX}.")
    return out
