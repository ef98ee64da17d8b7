"""The grain of recordings: measured against a known answer, and added where there is sound."""

import torch

from distill.models.texture import texture_of, textured

BANDS, FRAMES = 32, 400


def smooth(seed: int = 0) -> torch.Tensor:
    """[M, T] dB: something that rises and falls slowly, with an attack in its middle, its loudest cell at 0."""
    time = torch.arange(FRAMES)
    mel = -20.0 + 8.0 * torch.sin(time / 40.0 + seed)[None] - torch.linspace(0.0, 12.0, BANDS)[:, None]
    mel[:, FRAMES // 2 : FRAMES // 2 + 5] += 25.0
    return mel - mel.max()


def grain(deviation: torch.Tensor, seed: int) -> torch.Tensor:
    """The slow oracle of what is added: white noise, each cell the weighted sum of itself and its eight neighbours."""
    white = torch.randn(BANDS + 2, FRAMES + 2, generator=torch.Generator().manual_seed(seed))
    made = torch.zeros(BANDS, FRAMES)
    for band in range(BANDS):
        for i, across in enumerate((0.3, 1.0, 0.3)):
            for j, along in enumerate((0.3, 1.0, 0.3)):
                made[band] += across * along * white[band + i, j : j + FRAMES]
    return made / made.std() * deviation[:, None]


def test_what_was_taken_away_is_measured() -> None:
    """Guards against a texture in wrong units, or one that attacks (25 dB here) are taken for."""
    deviation = torch.linspace(0.0, 3.0, BANDS)
    pairs = [(smooth(n) + grain(deviation, n), smooth(n)) for n in range(8)]
    found = texture_of(pairs)
    assert float((found - deviation)[deviation > 0.5].abs().max()) < 0.35
    assert float(found[0]) < 0.2


def test_what_is_added_is_measured_as_what_was_wanted() -> None:
    wanted = torch.full((BANDS,), 2.0)
    pairs = [(textured(smooth(n), wanted, 0.0, torch.Generator().manual_seed(n)), smooth(n)) for n in range(8)]
    assert float((texture_of(pairs) - wanted).abs().max()) < 0.3


def test_a_decoder_that_is_grainy_itself_needs_nothing() -> None:
    grainy = [smooth(n) + grain(torch.full((BANDS,), 2.0), n) for n in range(4)]
    again = [smooth(n) + grain(torch.full((BANDS,), 2.0), n + 50) for n in range(4)]
    assert float(texture_of(zip(grainy, again, strict=True)).mean()) < 0.5
    assert float(texture_of(zip(map(smooth, range(4)), grainy, strict=True)).max()) == 0.0


def test_bands_without_sound_have_no_texture() -> None:
    """Guards against a hiss in the upper half of recordings that have none, and against a median of nothing."""
    original, decoded = smooth() + grain(torch.full((BANDS,), 2.0), 1), smooth()
    original[20:], decoded[20:] = -100.0, -95.0
    found = texture_of([(original, decoded)])
    assert float(found[20:].abs().max()) == 0.0
    assert float(found[:20].min()) > 0.5


def test_silence_stays_silent_and_nothing_is_louder_than_the_level() -> None:
    mel = smooth()
    mel[:, :50] = -100.0
    made = textured(mel, torch.full((BANDS,), 5.0), 0.0, torch.Generator().manual_seed(0))
    assert bool((made[:, :50] == -100.0).all())
    assert float(made.max()) <= 0.0
    assert not torch.equal(made[:, 50:], mel[:, 50:])


def test_one_frame_and_the_same_generator() -> None:
    """Guards against a crash on the shortest of sounds; the same randomness gives the same sound."""
    texture = torch.full((BANDS,), 1.0)
    for frames in (1, 2, 17):
        first, second = (
            textured(smooth()[:, :frames], texture, 0.0, torch.Generator().manual_seed(3)) for _ in range(2)
        )
        assert first.shape == (BANDS, frames)
        assert torch.equal(first, second)
