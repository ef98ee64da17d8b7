"""Codes chosen by what they decode to: never worse than the encoder's, without seams, and nothing else changes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from distill.audio.distance import weighed_difference
from distill.audio.mel import log_mel
from distill.modelfile.opened import load_model
from distill.models import encoding
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, encode_codes, level_of
from distill.models.refining import refined_codes
from distill.settings.geometry import BANDS, SpectrogramConfig, columns
from tiny import hit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def codec(tiny_model: Path) -> ConvVQVAE:
    return load_model(tiny_model).codec


def sound(frames: int) -> npt.NDArray[np.float32]:
    """[T, M] dB under the loudest cell: hits that the codec has not learned from."""
    samples = np.concatenate([hit(number, 0.25) for number in range(30, 70)])
    mel = log_mel(torch.from_numpy(samples), SpectrogramConfig()).T.numpy()[:frames]
    return mel - level_of(mel)


def error(codec: ConvVQVAE, mel: npt.NDArray[np.float32], codes: torch.Tensor) -> float:
    with torch.no_grad():
        made = codec.codes_to_mel(codes[None])[..., : len(mel)]
    sound = torch.ones(1, 1, 1, len(mel), dtype=torch.bool)
    return float(weighed_difference(torch.from_numpy(mel).T[None, None], made, sound).mean())


@pytest.mark.parametrize("frames", [5, 96, 333])
def test_refined_codes_are_closer_than_the_encoders(codec: ConvVQVAE, frames: int) -> None:
    """Guards against a search that moves away, or that returns codes other than those it measured."""
    mel = sound(frames)
    encoded, refined = encode_codes(codec, mel, 0.0, CPU), refined_codes(codec, mel, 0.0, CPU)
    assert refined.shape == encoded.shape == (columns(frames) * BANDS, 3)
    assert error(codec, mel, refined) < error(codec, mel, encoded)


def test_more_rounds_are_never_worse(codec: ConvVQVAE) -> None:
    mel = sound(160)
    errors = [error(codec, mel, refined_codes(codec, mel, 0.0, CPU, rounds)) for rounds in (0, 1, 4, 16)]
    assert errors[0] == error(codec, mel, encode_codes(codec, mel, 0.0, CPU))
    assert errors[0] >= errors[1] >= errors[2] >= errors[3]


def test_long_sounds_are_refined_in_pieces(codec: ConvVQVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against pieces that are put together wrongly: as a whole and in pieces, the error falls alike."""
    mel = sound(800)
    whole = error(codec, mel, refined_codes(codec, mel, 0.0, CPU))
    monkeypatch.setattr(encoding, "PIECE_COLUMNS", 13)
    cut = refined_codes(codec, mel, 0.0, CPU)
    assert len(cut) == columns(800) * BANDS
    assert error(codec, mel, cut) == pytest.approx(whole, rel=0.02)


def test_what_follows_a_sound_does_not_matter(codec: ConvVQVAE) -> None:
    """Guards against codes that are spent on the silence with which a column is filled up."""
    mel = sound(90)
    codes = refined_codes(codec, mel, 0.0, CPU)
    assert float(decode_codes(codec, codes, 0.0)[:, : len(mel)].max()) > -60
    assert error(codec, mel, codes) < error(codec, mel, encode_codes(codec, mel, 0.0, CPU))


def test_the_codec_is_left_as_it_was(codec: ConvVQVAE) -> None:
    """Guards against gradients or moving averages that the search leaves behind."""
    before = {name: tensor.clone() for name, tensor in codec.state_dict().items()}
    with torch.no_grad():  # as in a caller that only generates
        refined_codes(codec, sound(96), 0.0, CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in codec.state_dict().items())
    assert all(parameter.grad is None for parameter in codec.parameters())
