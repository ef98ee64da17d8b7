"""A tiny corpus and tiny settings, made on the spot, that several tests share."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from distill.models.prior import CodePrior
from distill.settings.prior import PriorConfig

RATE = 48_000
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
TINY_CODEC = {
    "epochs": 4,
    "codebook_size": 16,
    "channels": 24,
    "codebook_dim": 8,
    "warmup_share": 0.25,
    "pretrained": False,
    "preview_every": 0,
}
TINY_PRIOR = {"epochs": 3, "hidden_size": 32, "num_layers": 1, "num_heads": 2}

ResultT = TypeVar("ResultT")


def hit(number: int, seconds: float = 0.3) -> npt.NDArray[np.float32]:
    """A decaying tone with a little noise, unlike for each number."""
    rng = np.random.default_rng(number)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * 110.0 * 2 ** (number * 5 % 24 / 12) * time)
    return ((0.6 * tone + 0.05 * rng.standard_normal(len(time))) * np.exp(-time * (6 + number))).astype(np.float32)


def write_sounds(folder: Path, count: int = 8, make: Callable[[int], npt.NDArray[np.float32]] = hit) -> Path:
    """`count` different sounds in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        soundfile.write(folder / f"hit {number}.wav", make(number), RATE, subtype="PCM_24")
    return folder


def exhausted(events: Generator[Any, None, ResultT]) -> ResultT:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(events)
        except StopIteration as done:
            result: ResultT = done.value
            return result


def prior_that_ends(config: PriorConfig, bias: float) -> CodePrior:
    """A prior of random weights that ends a sound with about these log odds over any one code."""
    shape = (config.rvq_levels, config.codebook_size, config.codebook_dim)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodePrior(config, torch.randn(shape)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        for parameter in model.heads[0].parameters():
            parameter.mul_(0.3)
        cast(Any, model.heads[0]).free.bias[model.eos] = bias
    return model


def session(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """A recording of different hits with pauses between them over a soft hiss: [N]."""
    rng = np.random.default_rng(seed)
    track = (1e-4 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    start, number = 0.1, seed
    while start < seconds - 0.6:
        struck = hit(number % 7, float(rng.uniform(0.3, 0.5))) * np.float32(rng.uniform(0.4, 1.0))
        struck[-2400:] *= np.linspace(1.0, 0.0, 2400, dtype=np.float32)
        track[round(start * RATE) :][: len(struck)] += struck
        start, number = start + float(rng.uniform(0.6, 1.2)), number + int(rng.integers(1, 5))
    return track
