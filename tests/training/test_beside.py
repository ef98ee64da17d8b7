"""What is learned with the prior beside codes: of which files, and how much of each."""

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import load_model, open_model
from distill.training.prior import beside
from distill.training.prior.beside import learned_endings, learned_loudness
from distill.training.prior.codes import CodeSequences, extract_code_sequences, unpack_codes
from tiny import exhausted, hit, write_sounds

CPU = torch.device("cpu")


def uneven(number: int) -> np.ndarray:
    """Hits of unlike lengths and levels."""
    return np.float32(0.05 * (number + 1)) * hit(number, 0.4 + 0.037 * number)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return exhausted(scan(write_sounds(tmp_path_factory.mktemp("uneven"), 10, uneven)))


@pytest.fixture(scope="module")
def sequences(corpus: Corpus, tiny_model: Path) -> CodeSequences:
    return exhausted(extract_code_sequences(load_model(tiny_model).codec, corpus, CPU, 4, 0))


def test_ends_are_those_of_training_files_and_their_views(
    corpus: Corpus, sequences: CodeSequences, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against ends of held-out files, of whole columns, or of another view than the codes are of."""
    seen: list[tuple[torch.Tensor, int]] = []
    real = beside.fit_endings
    monkeypatch.setattr(beside, "fit_endings", lambda codec, ends: seen.extend(ends) or real(codec, ends))
    found = learned_endings(load_model(tiny_model).codec, sequences)
    assert found["has_endings"]
    assert len(seen) == 4 * len(corpus.manifest.train)
    for number, file in enumerate(corpus.manifest.train):
        codes, frames = seen[4 * number]
        total = -(-file.samples // 512)
        assert torch.equal(codes, sequences.train_codes[number])
        assert frames == total - 16 * (len(codes) // 8 - 1)
        later, left = seen[4 * number + 2]  # the same sound, begun a little later
        assert 0 < total - (16 * (len(later) // 8 - 1) + left) < 16


def test_ends_are_known_without_the_recordings(corpus: Corpus, sequences: CodeSequences, tiny_model: Path) -> None:
    manifest = open_model(tiny_model).card.corpus_manifest
    codes = open_model(tiny_model).codes
    found = learned_endings(load_model(tiny_model).codec, unpack_codes(codes, manifest, 16, 3))
    assert found["has_endings"]
    held_out_only = CodeSequences((), sequences.val)
    assert learned_endings(load_model(tiny_model).codec, held_out_only) == {}


def test_loudness_is_that_of_training_files(corpus: Corpus, sequences: CodeSequences, tiny_model: Path) -> None:
    """Guards against the loudness of levelled sounds as they are in the cache, and of files that are held out."""
    bounds = learned_loudness(load_model(tiny_model).codec, corpus, sequences)["loudness_state_dict"]["bounds"]
    own = [corpus.planes(file)[0].astype(np.float64) for file in corpus.manifest.train]
    rms = [10 * np.log10(np.square(samples).mean()) for samples in own]
    peaks = [20 * np.log10(np.abs(samples).max()) for samples in own]
    assert bounds[:, 0].tolist() == pytest.approx([min(rms), max(rms)], abs=0.02)
    assert bounds[:, 1].tolist() == pytest.approx([min(peaks), max(peaks)], abs=0.02)
