"""What tells one model from another by ear: a hash of all that its sound depends on, and of nothing else."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from distill.modelfile.opened import LoadedVQModel

OF_THE_CARD = (
    "vqvae_config", "spectrogram_config", "prior_config", "synthesiser_config", "image_size", "image_columns", "texture_db",
    "kinds", "trait_quantiles", "periods", "widths", "release",
)  # fmt: skip
"""What of the card decides how codes are drawn and become sound."""


def sound_digest(loaded: "LoadedVQModel") -> str:
    """SHA-256, in hexadecimal, of the weights of all networks and what of the card decides how they sound.

    The file's name, its verdicts, figures and history count for nothing, nor do the codes of the recordings: what is renamed,
    judged or made smaller is the same model. What was trained again is another one.
    """
    digest = hashlib.sha256()
    plain = loaded.card.model_dump(mode="json", include=set(OF_THE_CARD))
    if not loaded.card.periods:  # models that are older than periods stay what they were
        del plain["periods"]
        (plain["prior_config"] or {}).pop("periods", None)
    if loaded.card.image_columns == 1:  # nor those that are older than images that columns share
        del plain["image_columns"]
        (plain["prior_config"] or {}).pop("image_columns", None)
    if loaded.card.widths_of_prior is None:
        del plain["widths"]
    if loaded.card.release_of_prior is None:
        del plain["release"]
    plain["highest_rate"] = loaded.card.corpus_manifest.highest_rate
    digest.update(json.dumps(plain, sort_keys=True).encode())
    for name, tensor in _tensors(loaded):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(loaded: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for field in sorted(fields(loaded), key=lambda each: each.name):
        network = getattr(loaded, field.name)
        if isinstance(network, nn.Module):
            for name, tensor in sorted(network.state_dict().items()):
                yield f"{field.name}.{name}", tensor
