"""distill from Python: the same stages and the same sounds as on the command line.

    import distill

    for event in distill.train("sounds", name="mine"):   # stage 1: a folder of recordings to a model
        print(event)
    for event in distill.train_prior("mine"):            # stage 2, in the same file
        print(event)

    model = distill.load("mine")
    samples, rate = model.generate(count=8, seconds=1, seed=7)   # float32 [8, channels, samples], 48000
    again, rate = model.reconstruct(samples[0], rate)            # [channels, samples]: through the codec and back

The same seed makes the same sounds whatever the count, here, on the command line and on the page. Trainings are iterators of
events (`distill.events`): each says how far the work is, and what it has measured. Leaving the loop ends the training with its
best epoch saved. Settings are those of the command line (docs/cli.md), with underscores: `--hidden-size 64` is
`hidden_size=64`. A mistake in what was given is a `distill.errors.DistillError`, whose text is one sentence.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch

from distill.audio.decoders import RATE_LIMITS_HZ
from distill.audio.griffin_lim import Synthesiser
from distill.audio.mel import log_mel_blocks
from distill.audio.reading import MIN_SECONDS
from distill.audio.returning import returned
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import Event, Progress
from distill.instrument.making import made_sounds
from distill.instrument.synthesisers import choose_synthesiser
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.settings.generation import generation_settings
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.codec_training import train as train_codec
from distill.studio.evaluating import evaluate
from distill.studio.making import Effort
from distill.studio.making import make as make_all
from distill.studio.prior_training import train_prior_for
from distill.studio.reconstructing import as_sound, through_the_codec, with_own_image
from distill.studio.synthesiser_training import train_synth_for

Place = str | os.PathLike[str]


class Sounds(NamedTuple):
    """Sounds as arrays."""

    samples: npt.NDArray[np.float32]
    """[count, channels, samples], shorter sounds filled up with silence; of one sound [channels, samples]."""
    rate: int
    """Samples in a second: 48,000."""


class Model:
    """A model that is ready to make sound; `load` opens one."""

    def __init__(self, loaded: LoadedVQModel, device: torch.device) -> None:
        self._loaded = loaded
        self._device = device
        self._synthesisers: dict[str, Synthesiser] = {}

    def __repr__(self) -> str:
        prior = "codec and prior" if self._loaded.prior is not None else "codec, no prior yet"
        return f"<distill model {self.name}: {prior}>"

    @property
    def name(self) -> str:
        """What it is called: its file's name."""
        return self.path.stem

    @property
    def path(self) -> Path:
        """Its file."""
        return self._loaded.path

    @property
    def card(self) -> ModelCard:
        """What its file says of it: settings, corpus, figures."""
        return self._loaded.card

    def generate(self, count: int = 8, seconds: float = 1.0, seed: int | None = None, **settings: Any) -> Sounds:
        """New sounds. Sound number i of seed s is sound 0 of seed s + i.

        Args:
            seconds: the longest that each may be.
            seed: None: a new one each time.
            settings: those of `distill generate`: temperature, top_k, top_p, min_p, ending, level, texture, synthesiser,
                mono.

        Returns:
            float32 samples [count, channels, samples] within +-1, and their rate.

        Raises:
            DistillError: the model has no prior yet, or a setting cannot be.
        """
        chosen = generation_settings(count=count, seconds=seconds, seed=seed, **settings).seeded()
        synthesise = self._synthesiser(chosen.synthesiser)
        made = [
            each.samples for each in made_sounds(self._loaded, chosen, synthesise) if not isinstance(each, Progress)
        ]
        longest = max(each.shape[1] for each in made)
        return Sounds(
            np.stack([np.pad(samples, ((0, 0), (0, longest - samples.shape[1]))) for samples in made]), SAMPLE_RATE
        )

    def reconstruct(self, samples: npt.NDArray[np.floating], rate: int, *, synthesiser: str = "auto") -> Sounds:
        """A sound through the codec and back.

        Args:
            samples: [samples] or [channels, samples], full scale 1; two channels stay two where the model is stereo, else
                channels are mixed.
            rate: their rate in Hz.

        Returns:
            float32 samples [channels, samples] at 48 kHz, as long and as loud as what was given.

        Raises:
            DistillError: it is no sound, or shorter than 20 ms.
        """
        planes = _planes(samples, rate)
        mono = planes[0]
        mel = torch.cat(list(log_mel_blocks(mono, self.card.spectrogram_config)), dim=1)
        made, _ = through_the_codec(self._loaded, mel, self._device)
        waveform = _result(as_sound(self._synthesiser(synthesiser), made, "samples"))
        middle = returned(waveform, torch.from_numpy(mono), rate)
        return Sounds(with_own_image(self._loaded, middle, planes).numpy(), SAMPLE_RATE)

    def evaluate(self, *sounds: Place, synthesiser: str = "auto") -> dict[str, Any]:
        """What is lost in the codec and in synthesis, as `distill evaluate --json` says it.

        Args:
            sounds: files and folders; none: the model's own held-out recordings. Those it has learned from are left out.

        Returns:
            Means, and under "sounds" the figures of each; `fidelity` is 0 for silence and 100 for the recording itself.

        Raises:
            DistillError: there is no sound to measure it by.
        """
        given = [Path(sound) for sound in sounds]
        for event in evaluate(os.fspath(self.path), given, self._device.type, synthesiser):
            if isinstance(event, EvaluationCompleteEvent):
                return event.to_dict()
        raise AssertionError

    def _synthesiser(self, name: str) -> Synthesiser:
        if name not in self._synthesisers:
            self._synthesisers[name] = choose_synthesiser(self._loaded, name, self._device)
        return self._synthesisers[name]


def load(model: Place, device: str = "auto") -> Model:
    """Open a model.

    Args:
        model: its name in the library, or the path of its file.
        device: auto, cpu, cuda or mps.

    Raises:
        DistillError: there is none, or its file is damaged.
    """
    chosen = choose_device(device)
    return Model(load_model(find_model(os.fspath(model)), chosen), chosen)


def generate(model: Place, count: int = 8, seconds: float = 1.0, seed: int | None = None, **settings: Any) -> Sounds:
    """New sounds from a model, given by its name or path: `load(model).generate(...)`."""
    return load(model).generate(count, seconds, seed, **settings)


def make(
    folder: Place,
    name: str | None = None,
    *,
    out: Place | None = None,
    effort: Effort = "standard",
    device: str = "auto",
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """The whole way, as `distill make`: codec, prior and sounds from a folder, as an iterator of events.

    What is there already is gone on with: a model that is trained makes sounds, a training that was stopped goes on.

    Args:
        folder: the recordings.
        name: the model's name in the library; None: the folder's.
        out: folder for the sounds; None: `NAME-sounds` in the current folder.
        effort: draft, standard or thorough: how long the trainings are.
        stop: set it to end soon and keep what there is.
        settings: those of `generate`; `count` is 16 unless it is given.

    Raises:
        DistillError: the folder cannot be used, or the name is another folder's model.
    """
    chosen = generation_settings(**{"count": 16, **settings})
    yield from make_all(Path(folder), name, None if out is None else Path(out), chosen, effort, device, stop)


def train(
    folder: Place,
    name: str | None = None,
    *,
    out: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 1, as `distill train`: fit a codec to a folder of recordings, as an iterator of events.

    Args:
        name: the model's name in the library; None: the folder's.
        out: write this `.distill` file instead.
        overwrite: replace a model that is there.
        resume: go on with a training that was stopped or killed.
        stop: set it to end after the current step, the best epoch kept.
        settings: epochs, preset, codebook_size, ...

    Raises:
        DistillError: the folder holds too little, or a setting cannot be.
    """
    target = None if out is None else Path(out)
    yield from train_codec(Path(folder), name, target, settings, device, overwrite, resume, stop)


def train_prior(
    model: Place,
    *,
    dataset: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 2, as `distill train-prior`: fit a prior to the same recordings, saved in the same file.

    Args:
        dataset: where the recordings are now; None: where they were.
        overwrite, resume, stop, settings: as of `train`.

    Raises:
        DistillError: the model has a prior already, its recordings are gone, or a setting cannot be.
    """
    where = None if dataset is None else Path(dataset)
    yield from train_prior_for(os.fspath(model), where, settings, device, overwrite, resume=resume, stop=stop)


def train_synth(
    model: Place,
    *,
    dataset: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 3, as `distill train-synth`: fit the synthesiser to the same recordings; where it is no better, nothing changes.

    Args:
        dataset, overwrite, resume, stop, settings: as of `train_prior`.
    """
    where = None if dataset is None else Path(dataset)
    yield from train_synth_for(os.fspath(model), where, settings, device, overwrite, resume=resume, stop=stop)


def _planes(samples: npt.NDArray[np.floating], rate: int) -> npt.NDArray[np.float32]:
    """[samples] or [channels, samples] at any rate -> at 48 kHz the middle [1, N]; of two channels that differ, the side
    too, [2, N]."""
    given = np.asarray(samples, dtype=np.float32)
    if given.ndim not in (1, 2) or not given.size:
        raise DistillError(f"samples of shape {given.shape}: give [samples] or [channels, samples].")
    if not np.isfinite(given).all():
        raise DistillError("samples hold NaN or infinite values: give finite ones, full scale 1.")
    if not RATE_LIMITS_HZ[0] <= rate <= RATE_LIMITS_HZ[1]:
        raise DistillError(
            f"rate {rate}: give the samples' rate in Hz, from {RATE_LIMITS_HZ[0]} to {RATE_LIMITS_HZ[1]}."
        )
    planes = [given if given.ndim == 1 else given.mean(axis=0, dtype=np.float32)]
    if given.ndim == 2 and len(given) == 2 and not np.array_equal(given[0], given[1]):
        planes.append((given[0] - given[1]) / 2)
    if rate != SAMPLE_RATE:
        planes = [soxr.resample(plane, rate, SAMPLE_RATE, quality="VHQ") for plane in planes]
    if len(planes[0]) < MIN_SECONDS * SAMPLE_RATE:
        raise DistillError("samples are shorter than 20 ms: give a longer sound, as [samples] or [channels, samples].")
    return np.ascontiguousarray(np.stack(planes), dtype=np.float32)


def _result(events: Any) -> Any:
    """What a generator of events returns."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value
