"""Sound made on the spot, and a tiny corpus and model that several tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

RATE = 48_000
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"


def hit(number: int, seconds: float = 0.3) -> npt.NDArray[np.float32]:
    """A decaying tone with a little noise, unlike for each number."""
    rng = np.random.default_rng(number)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * 110.0 * 2 ** (number * 5 % 24 / 12) * time)
    return ((0.6 * tone + 0.05 * rng.standard_normal(len(time))) * np.exp(-time * (6 + number))).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the user's library or cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DISTILL_LIBRARY", str(tmp_path_factory.mktemp("library")))
    patch.setenv("DISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("NO_COLOR", "1")
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors are faster on one thread."""
    torch.set_num_threads(1)


def write_sounds(folder: Path, count: int = 8, make: Callable[[int], npt.NDArray[np.float32]] = hit) -> Path:
    """`count` different sounds in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        soundfile.write(folder / f"hit {number}.wav", make(number), RATE, subtype="PCM_24")
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight short sounds and one of three seconds."""
    folder = write_sounds(tmp_path_factory.mktemp("corpus") / "häts & kicks")
    soundfile.write(folder / "long.wav", np.concatenate([hit(n, 0.5) for n in range(20, 26)]), RATE, subtype="PCM_24")
    return folder


TINY_CODEC = {"epochs": 4, "codebook_size": 16, "channels": 16, "codebook_dim": 8, "warmup_share": 0.25}
TINY_PRIOR = {"epochs": 3, "hidden_size": 32, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="session")
def tiny_model(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with codec and prior, trained for seconds; tests must not change it."""
    from distill import studio

    path = tmp_path_factory.mktemp("models") / "tiny.distill"
    list(studio.train(sounds, out=path, overrides=TINY_CODEC, device="cpu"))
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    return path
