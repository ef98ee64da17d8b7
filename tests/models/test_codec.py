"""The codec: shapes, time-major codes, no seams, and padding that touches nothing."""

import numpy as np
import pytest
import torch

from distill.models.codec import CENTRE_DB, FLOOR_DB, SCALE_DB, ConvVQVAE, valid_positions
from distill.models.encoding import OVERLAP_COLUMNS, SILENCE_MARGIN_DB, decode_codes, encode_mel, level_of
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import BANDS, SpectrogramConfig, columns

SMALL = VQVAEConfig(codebook_size=16, rvq_levels=3, codebook_dim=8, channels=24)
CPU = torch.device("cpu")


@pytest.fixture
def codec() -> ConvVQVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvVQVAE(SMALL, SpectrogramConfig()).eval()


def mels(frames: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 1, 128, frames, generator=torch.Generator().manual_seed(frames)) * 20 - 40


def test_shapes_of_a_crop(codec: ConvVQVAE) -> None:
    """One crop is 48 positions of 3 codes."""
    output = codec(mels(96, 2), torch.tensor([96, 96]))
    assert output.mel.shape == (2, 1, 128, 96)
    assert output.codes.shape == (2, 48, 3)
    assert output.commitment_loss.shape == ()


def test_positions_are_time_major(codec: ConvVQVAE) -> None:
    """Guards against band-major order: a change at the end of the sound must leave the first positions alone."""
    before = mels(320)
    after = before.clone()
    after[..., -16:] += 30.0
    changed = (codec.encode(before) - codec.encode(after)).abs().sum(-1)[0].view(-1, BANDS).sum(1) > 1e-6
    assert changed[-1]
    assert not changed[: len(changed) - 1 - OVERLAP_COLUMNS].any()


def test_a_long_file_in_pieces_is_the_whole_file(codec: ConvVQVAE) -> None:
    """Guards against seams: 2,600 frames are cut twice, and must encode and decode as in one go."""
    mel = mels(2600)
    whole = codec.encode(codec.pad_to_columns(mel))[0]
    cut = encode_mel(codec, mel[0, 0].T.numpy() + 5.0, 5.0, CPU)
    torch.testing.assert_close(cut, whole, atol=1e-4, rtol=1e-4)
    codes = torch.randint(0, 16, (columns(2600) * BANDS, 3), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole_mel = codec.codes_to_mel(codes[None])[0, 0].clamp_max(0.0)
        heard = whole_mel > FLOOR_DB + SILENCE_MARGIN_DB + 0.1
        torch.testing.assert_close(decode_codes(codec, codes, 5.0)[heard], whole_mel[heard] + 5.0, atol=1e-2, rtol=1e-4)


def test_silence_to_the_codec_is_silence(codec: ConvVQVAE) -> None:
    """Guards against a hiss at the codec's floor."""
    with torch.no_grad():
        codec.decoder[-1].layer.weight.zero_()
        codec.decoder[-1].layer.bias.fill_((FLOOR_DB - CENTRE_DB) / SCALE_DB)
        made = decode_codes(codec, torch.zeros(BANDS, 3, dtype=torch.long), 20.0)
    assert (made == codec.spectrogram.floor_db).all()


def test_the_level_is_the_loudest_cell() -> None:
    mel = np.full((9000, 4), -50.0, np.float16)
    mel[8000, 2] = 12.5
    assert level_of(mel) == 12.5


def test_codes_decode_to_the_reconstruction(codec: ConvVQVAE) -> None:
    """Guards against codes that lose something of what the codec itself reconstructs."""
    mel, frames = mels(96), torch.tensor([96])
    output = codec(mel, frames)
    torch.testing.assert_close(codec.codes_to_mel(output.codes), output.mel)
    torch.testing.assert_close(codec.latents_to_codes(codec.encode(mel)), output.codes)


@pytest.mark.parametrize(("frames", "expected"), [(1, 1), (16, 1), (17, 2), (96, 6)])
def test_valid_positions_cover_started_columns(frames: int, expected: int) -> None:
    """Guards against short sounds that are modelled as a second of silence."""
    assert int(valid_positions(torch.tensor([frames]), 6).sum()) == expected * BANDS


def test_padding_touches_neither_codebooks_nor_loss(codec: ConvVQVAE) -> None:
    """Guards against silence that owns the codebook: what stands in the padding must not matter."""
    states = []
    for filling in (-100.0, 20.0):
        trained = ConvVQVAE(SMALL, SpectrogramConfig())
        trained.load_state_dict(codec.state_dict())
        trained.train()
        latents = torch.randn(2, 48, 8, generator=torch.Generator().manual_seed(3))
        latents[:, 16:] = filling
        with torch.random.fork_rng():
            torch.manual_seed(0)
            quantised = trained.quantise(latents, valid_positions(torch.tensor([32, 32]), 6))
        assert (quantised.codes[:, 16:] == -1).all()
        assert (quantised.latents[:, 16:] == 0).all()
        states.append((quantised.commitment_loss, trained.quantizer.state_dict()))
    assert torch.equal(states[0][0], states[1][0])
    assert all(torch.equal(states[0][1][name], states[1][1][name]) for name in states[0][1])


def test_eval_mode_changes_no_codebook(codec: ConvVQVAE) -> None:
    """Guards against moving averages that go on while files are only encoded."""
    before = {name: tensor.clone() for name, tensor in codec.state_dict().items()}
    codec(mels(96), torch.tensor([96]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in codec.state_dict().items())


def test_codebooks_start_on_the_latents(codec: ConvVQVAE) -> None:
    """Guards against codebooks far from the latents, which is how codes die in the first epoch."""
    latents = torch.randn(500, 8, generator=torch.Generator().manual_seed(2)) * 5 + 3
    codec.start_codebooks(latents, 100.0, seed=0)
    quantised = codec.quantise(latents[None], torch.ones(1, 500, dtype=torch.bool))
    levels = torch.arange(3)
    errors = [
        (latents - codec.quantizer.decode(quantised.codes[0].masked_fill(levels > n, -1))).pow(2).mean() for n in levels
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5 * latents.var()
    assert all(len(quantised.codes[0, :, level].unique()) == 16 for level in range(3))


def test_codebooks_start_even_from_fewer_latents_than_codes(codec: ConvVQVAE) -> None:
    """Guards against a crash of k-means on five very short sounds."""
    codec.start_codebooks(torch.randn(5, 8), 100.0, seed=0)
    assert bool(codec.codebooks().isfinite().all())


def test_dropped_levels_are_not_decoded_but_still_learned(codec: ConvVQVAE) -> None:
    """Guards against quantizer dropout that decodes dropped levels, or leaves their codebooks without averages."""
    codec.train()
    latents, valid = torch.randn(2, 16, SMALL.codebook_dim), torch.ones(2, 16, dtype=torch.bool)
    *_, last = codec.quantizer.levels()
    before = last.cluster_size.clone()
    made = codec.quantise(latents, valid, torch.tensor([1, SMALL.rvq_levels]))
    assert bool((made.codes >= 0).all())
    assert not torch.equal(before, last.cluster_size)
    fewer = made.codes.clone()
    fewer[0, :, 1:] = -1
    assert torch.allclose(made.latents, codec.quantizer.decode(fewer), atol=1e-5)


def test_nothing_decoded_is_louder_than_the_level(codec: ConvVQVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against codes that the decoder has hardly met: one cell 30 dB over the rest turned a whole sound down."""
    monkeypatch.setattr(codec, "codes_to_mel", lambda codes: torch.full((1, 1, 128, 2 * len(codes[0])), 30.0))
    assert float(decode_codes(codec, torch.zeros(16, 3, dtype=torch.long), level_db=-6.0).max()) == -6.0
