"""Places of their own for all tests, and a tiny corpus and model that several of them share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tiny import RATE, TINY_CODEC, TINY_PRIOR, hit, write_sounds


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


@pytest.fixture(scope="session", autouse=True)
def _few_are_measured() -> Iterator[None]:
    """The sounds that are measured when a prior has been trained take longer than to train it where it is tiny: a few short ones
    will do, too few to tune its ends and lengths by."""
    from distill.studio import spreading

    patch = pytest.MonkeyPatch()
    patch.setattr(spreading, "MEASURED", spreading.MEASURED.model_copy(update={"count": 4, "seconds": 0.5}))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight short sounds and one of three seconds."""
    folder = write_sounds(tmp_path_factory.mktemp("corpus") / "häts & kicks")
    soundfile.write(folder / "long.wav", np.concatenate([hit(n, 0.5) for n in range(20, 26)]), RATE, subtype="PCM_24")
    return folder


@pytest.fixture(scope="session")
def tiny_model(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with codec and prior, trained for seconds; tests must not change it."""
    from distill import studio

    path = tmp_path_factory.mktemp("models") / "tiny.distill"
    list(studio.train(sounds, out=path, overrides=TINY_CODEC, device="cpu"))
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    return path


@pytest.fixture
def library(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with one model, `kit`."""
    folder = tmp_path / "library"
    folder.mkdir()
    shutil.copy(tiny_model, folder / "kit.distill")
    monkeypatch.setenv("DISTILL_LIBRARY", str(folder))
    return folder
