"""The grain of a corpus: what its codes leave of its files, file by file and frame by frame."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import load_model
from distill.training.prior import beside
from distill.training.prior.beside import measured_grain
from distill.training.prior.codes import extract_code_sequences
from tiny import exhausted


@pytest.fixture(scope="module")
def corpus(sounds: Path) -> Corpus:
    return exhausted(scan(sounds))


def measured(corpus: Corpus, model: Path, monkeypatch: pytest.MonkeyPatch, smoothing: int) -> torch.Tensor:
    """The deviations with a codec that gives every file back, smoothed over this many frames."""
    codec = load_model(model).codec
    sequences = exhausted(extract_code_sequences(codec, corpus, torch.device("cpu")))
    mels = iter([torch.from_numpy(np.array(corpus.mel(file), dtype=np.float32)).T for file in corpus.manifest.train])

    def given_back(_codec: object, found: torch.Tensor, level: float) -> torch.Tensor:
        mel = next(mels)
        padded = F.pad(mel[None], (smoothing // 2, smoothing // 2), mode="replicate")
        smooth = F.avg_pool1d(padded, smoothing, 1)[0]
        return F.pad(
            smooth, (0, len(found) * 2 - smooth.shape[1]), value=level - 110.0
        )  # codes stand for whole columns

    monkeypatch.setattr(beside, "decode_codes", given_back)
    made = measured_grain(codec, corpus, sequences)
    assert made["has_grain"]
    assert made["texture_db"] is None
    return torch.as_tensor(made["grain_state_dict"]["deviation_db"])


def test_a_codec_that_loses_nothing_needs_no_grain(
    corpus: Corpus, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against recordings that are compared with other files, or with other frames of themselves."""
    assert float(measured(corpus, tiny_model, monkeypatch, 1).max()) < 0.2


def test_what_a_smooth_codec_loses_is_grain(corpus: Corpus, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(corpus, tiny_model, monkeypatch, 7)
    assert found.shape == (128, 15)
    assert float((found[:, -10:] > 0.5).float().mean()) > 0.3
