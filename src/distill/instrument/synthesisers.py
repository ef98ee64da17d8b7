"""Which synthesiser makes the sound: the one place that decides."""

from typing import get_args

import torch

from distill.audio.griffin_lim import GriffinLim, Synthesiser
from distill.errors import DistillError
from distill.modelfile.opened import LoadedVQModel
from distill.models.synthesiser import NeuralSynthesiser, shipped_network
from distill.settings.generation import SynthesiserName


def check_synthesiser(name: str) -> None:
    """Raise a `DistillError` for a name that there is not."""
    if name not in get_args(SynthesiserName):
        raise DistillError(f"--synthesiser {name}: choose {', '.join(get_args(SynthesiserName)[:-1])} or griffin-lim.")


def choose_synthesiser(loaded: LoadedVQModel, name: str, device: torch.device) -> Synthesiser:
    """The synthesiser called `name` for a model.

    "neural" is the model's own where `train-synth` has fitted one, else the one that ships with the program. "auto" is
    the same, and Griffin-Lim where there is neither: per second of computing nothing measured better on any corpus
    (docs/decisions/0050-synthesis-as-measured.md).

    Raises:
        DistillError: there is no such synthesiser, or none for this model's spectrogram.
    """
    check_synthesiser(name)
    spectrogram = loaded.card.spectrogram_config
    if name == "griffin-lim":
        return GriffinLim(spectrogram)
    network = loaded.synthesiser if loaded.synthesiser is not None else shipped_network(spectrogram)
    if network is not None:
        return NeuralSynthesiser(network.to(device))
    if name == "neural":
        raise DistillError("--synthesiser neural: there is none for this model's spectrogram. Use griffin-lim.")
    return GriffinLim(spectrogram)
