"""The residual quantiser: each level has a codebook for what the levels before it leave of a latent (SoundStream,
Zeghidour et al., 2021).

    latents ─ nearest vector of level 1 ─▶ code 1     what is left ─ nearest vector of level 2 ─▶ code 2     ...

Codebooks are not learned by gradient: a vector is the moving average of the latents that chose it (van den Oord et al.,
2017). One that hardly any latent chooses any more is put back among the current latents. Several processes hold the same
codebooks: sums and draws are over the latents of all of them.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.compute.shares import drawn_rows, summed
from distill.models.kmeans import k_means

DECAY = 0.97
"""Decay per step of the moving averages, until a training says otherwise."""
DEAD_CODE_THRESHOLD = 1.0
"""A code used less often than this per step, in the moving average, is put back among the current latents."""
SMOOTHING = 1e-5
"""Uses that every code is credited with (Laplace smoothing), so that none is divided by zero."""
NEAREST_SQUARED = 1e-8
"""Squared distances are no smaller than this: they come as differences of larger numbers."""


class ResidualCodes(NamedTuple):
    """What the residual quantiser makes of latents."""

    latents: Tensor  # [..., D]
    codes: Tensor  # [..., Q]
    commitment_loss: Tensor  # scalar: mean squared distance to the codes, summed over levels; 0 unless training


class Codebook(nn.Module):
    """The K vectors of one level, and the averages that they come from.

    Names and shapes of the buffers are those of model files since the first, as vector-quantize-pytorch chose them: the
    dimension in front is 1, and `initted` is true.
    """

    initted: Tensor
    cluster_size: Tensor  # [1, K] uses of each code per step
    embed_avg: Tensor  # [1, K, D] sum per step of the latents that chose each
    embed: Tensor  # [1, K, D] their quotient: the vectors

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        vectors = nn.init.kaiming_uniform_(torch.empty(1, size, dim))
        self.register_buffer("initted", torch.tensor(True))
        self.register_buffer("cluster_size", torch.ones(1, size))
        self.register_buffer("embed_avg", vectors.clone())
        self.register_buffer("embed", vectors)

    @property
    def vectors(self) -> Tensor:
        """[K, D]."""
        return self.embed[0]

    def nearest(self, latents: Tensor) -> Tensor:
        """[N, D] -> the code of the nearest vector, [N]; the lowest where several are."""
        # Term by term as the first models' codes were found, the root included, since rounding decides close calls.
        squared = latents.square().sum(-1, keepdim=True) + self.vectors.square().sum(-1) + latents @ self.vectors.T * -2
        return squared.clamp_min(NEAREST_SQUARED).sqrt().argmin(-1)

    @torch.no_grad()
    def follow(self, latents: Tensor, codes: Tensor, decay: float) -> None:
        """One step of the moving averages towards latents [N, D] and the codes [N] they chose; then the dead codes."""
        chosen = F.one_hot(codes, self.cluster_size.shape[1]).to(latents.dtype)  # [N, K]
        uses, sums = summed(chosen.sum(0)), summed(chosen.T @ latents)
        self.cluster_size.lerp_(uses[None], 1.0 - decay)
        self.embed_avg.lerp_(sums[None], 1.0 - decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + SMOOTHING) / (total + len(uses) * SMOOTHING) * total
        self.embed.copy_(self.embed_avg / smoothed[..., None])
        dead = (self.cluster_size[0] < DEAD_CODE_THRESHOLD).nonzero().flatten()
        if len(dead):
            found = drawn_rows(latents, len(dead))  # where there are fewer latents than dead codes, the rest waits
            self.put(dead[: len(found)], found, found.new_full((len(found),), DEAD_CODE_THRESHOLD))

    def put(self, codes: Tensor, vectors: Tensor, uses: Tensor) -> None:
        """Give codes [N] other vectors [N, D] and uses per step [N]."""
        self.embed[0, codes] = vectors
        self.cluster_size[0, codes] = uses
        self.embed_avg[0, codes] = vectors * uses[:, None]


class ResidualQuantizer(nn.Module):
    """Q codebooks one after the other.

    In training, a call moves the codebooks, and the gradient goes straight through each level: what a latent's quantised
    form is asked for, it gets Q times over, which is what rate and weight of the codec's training were found with.
    """

    def __init__(self, levels: int, size: int, dim: int) -> None:
        super().__init__()
        self.decay = DECAY
        self.layers = nn.ModuleList(nn.ModuleDict({"_codebook": Codebook(size, dim)}) for _ in range(levels))

    def levels(self) -> Iterator[Codebook]:
        """From coarse to fine."""
        return (cast(Codebook, cast(nn.ModuleDict, layer)["_codebook"]) for layer in self.layers)

    def codebooks(self) -> Tensor:
        """The vectors behind the codes, [Q, K, D]."""
        return torch.stack([level.vectors for level in self.levels()])

    def forward(self, latents: Tensor) -> ResidualCodes:
        """[..., D] in float32 -> codes and what they stand for."""
        residual = latents.flatten(0, -2)  # [N, D]
        quantised, codes = torch.zeros_like(residual), []
        loss = residual.new_zeros(())
        for level in self.levels():
            codes.append(level.nearest(residual.detach()))
            vectors = level.vectors[codes[-1]]
            if self.training:
                level.follow(residual.detach(), codes[-1], self.decay)
                loss = loss + F.mse_loss(vectors, residual)
                vectors = residual + (vectors - residual).detach()
            residual = residual - vectors.detach()
            quantised = quantised + vectors
        return ResidualCodes(
            quantised.view_as(latents), torch.stack(codes, -1).view(*latents.shape[:-1], len(codes)), loss
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [..., Q] (-1: nothing there) -> latents [..., D]."""
        there = [
            level.vectors[code.clamp_min(0)] * (code >= 0)[..., None]
            for level, code in zip(self.levels(), codes.unbind(-1), strict=True)
        ]
        return torch.stack(there).sum(0)

    @torch.no_grad()
    def start(self, latents: Tensor, positions_per_step: float, seed: int) -> None:
        """Set every codebook by k-means on what the levels before it leave of latents [N, D].

        Args:
            positions_per_step: how many positions a training step brings, which the moving averages start from.
        """
        generator = torch.Generator().manual_seed(seed)
        residual = latents.cpu()
        for level in self.levels():
            size, device = len(level.vectors), level.vectors.device
            centres, nearest = k_means(residual, size, generator)
            share = nearest.bincount(minlength=len(centres)) / len(residual)
            code = torch.arange(size)
            same = code % len(centres)  # with fewer different latents than codes, some codes are the same
            uses = (share[same] * positions_per_step).clamp_min(0.5)
            level.put(code.to(device), centres[same].to(device), uses.to(device))
            residual = residual - centres[nearest]
