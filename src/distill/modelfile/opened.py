"""A `.distill` file as networks that are ready to use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from distill.errors import DistillError
from distill.modelfile.card import ModelCard
from distill.modelfile.file import card_of, check_archive, read_contents
from distill.models.codec import ConvVQVAE
from distill.models.prior import CodePrior
from distill.models.synthesiser import SpectrumNetwork

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class LoadedVQModel:
    """A codec, and its prior and synthesiser as soon as the file has them, ready to use in eval mode."""

    codec: ConvVQVAE
    prior: CodePrior | None
    card: ModelCard
    path: Path
    synthesiser: SpectrumNetwork | None = None


def load_model(path: Path, device: torch.device | str = "cpu") -> LoadedVQModel:
    """Codec, prior and synthesiser, ready to use.

    Raises:
        DistillError: as `read_contents`, or weights do not fit what the file says of itself.
    """
    check_archive(path, checksums=True)
    contents = read_contents(path)
    card = card_of(path, contents)
    codec = _with_weights(
        path, lambda: ConvVQVAE(card.vqvae_config, card.spectrogram_config), contents.get("model_state_dict")
    )
    prior = None
    if card.prior_config is not None:
        config = card.prior_config
        weights = contents.get("prior_state_dict")
        if isinstance(weights, dict):  # the first files had one more matrix, which nothing led to
            weights = {
                name: t for name, t in weights.items() if name != f"chosen_vector.{config.rvq_levels - 1}.weight"
            }
        prior = _with_weights(path, lambda: CodePrior(config), weights).to(device).eval()
    synthesiser = None
    if card.synthesiser_config is not None:
        shape = card.synthesiser_config
        state = contents.get("synthesiser_state_dict")
        synthesiser = _with_weights(path, lambda: SpectrumNetwork(shape, card.spectrogram_config), state)
        synthesiser = synthesiser.to(device).eval()
    return LoadedVQModel(codec.to(device).eval(), prior, card, path, synthesiser)


def _with_weights(path: Path, build: Callable[[], ModuleT], state: object) -> ModuleT:
    """Build a module and put a state dict into it, refusing whatever does not fit to the letter.

    The shapes are compared on the meta device first, so that a description without the weights to match takes no memory.
    """
    damaged = DistillError(f"{path} is damaged: its weights do not fit its description. Use another copy of it.")
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except ValueError as error:
        raise damaged from error
    if not isinstance(state, Mapping) or set(state) != set(expected):
        raise damaged
    for name, wanted in expected.items():
        tensor = state[name]
        if not (isinstance(tensor, Tensor) and tensor.shape == wanted.shape and tensor.dtype == wanted.dtype):
            raise damaged
        if not tensor.is_contiguous() or (tensor.is_floating_point() and not bool(tensor.isfinite().all())):
            raise damaged
    with torch.random.fork_rng():  # the weights that a new module draws are thrown away
        module = build()
    module.load_state_dict(dict(state))
    return module
