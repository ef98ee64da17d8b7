"""The neural synthesiser: as good as its parts say, in blocks as in one, silent where nothing is."""

import pytest
import torch

from distill.audio import griffin_lim
from distill.audio.distance import multi_resolution_stft_distance
from distill.audio.griffin_lim import GriffinLim, Synthesiser
from distill.audio.mel import log_mel
from distill.models import synthesiser
from distill.models.sampling import clip_generator
from distill.models.synthesiser import NeuralSynthesiser, SpectrumNetwork, band_means, shipped_network
from distill.settings.geometry import SpectrogramConfig
from distill.settings.synthesiser import SynthesiserConfig
from distill.synthetic.demo_sounds import embedded_corpus

CONFIG = SpectrogramConfig()


def tiny(seed: int = 0) -> SpectrumNetwork:
    torch.manual_seed(seed)
    network = SpectrumNetwork(SynthesiserConfig(width=16, blocks=2), CONFIG)
    torch.nn.init.normal_(network.head.weight, std=0.02)
    return network


def noisy_tone(seconds: float) -> torch.Tensor:
    time = torch.arange(round(seconds * 48_000)) / 48_000
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return 0.3 * torch.sin(2 * torch.pi * 440.0 * time) + 0.03 * noise


def levels_db(samples: torch.Tensor) -> torch.Tensor:
    return 20 * samples.unfold(0, 2048, 512).square().mean(-1).sqrt().clamp_min(1e-6).log10()


def test_the_shipped_weights_beat_griffin_lim_at_equal_steps() -> None:
    """Guards against weights that do not fit the code: on own sounds the distance must be clearly smaller."""
    network = shipped_network(CONFIG)
    assert network is not None
    sounds = [torch.from_numpy(sound.samples) for sound in list(embedded_corpus())[::8]]

    def distance(synthesise: Synthesiser) -> float:
        made = [synthesise(log_mel(sound, CONFIG), clip_generator(0))[: len(sound)] for sound in sounds]
        return sum(multi_resolution_stft_distance(a, b) for a, b in zip(sounds, made, strict=True)) / len(sounds)

    assert distance(NeuralSynthesiser(network)) < 0.97 * distance(GriffinLim(CONFIG, 8))


def test_length_and_empty_sounds() -> None:
    make = NeuralSynthesiser(tiny())
    assert make(torch.full((128, 0), -20.0), clip_generator(0)).shape == (0,)
    assert make(torch.full((128, 1), -20.0), clip_generator(0)).shape == (512,)


def test_randomness_is_an_argument() -> None:
    mel = log_mel(noisy_tone(0.2), CONFIG)
    make = NeuralSynthesiser(tiny())
    assert torch.equal(make(mel, clip_generator(3)), make(mel, clip_generator(3)))
    assert not torch.equal(make(mel, clip_generator(3)), make(mel, clip_generator(4)))


def test_silence_stays_silent() -> None:
    """A silent file, and the silence after a sound (the codec's silence is the floor)."""
    network = shipped_network(CONFIG)
    assert network is not None
    make = NeuralSynthesiser(network)
    assert float(make(torch.full((128, 30), CONFIG.floor_db), clip_generator(0)).abs().max()) < 1e-4
    mel = torch.full((128, 80), CONFIG.floor_db)
    mel[:, :20] = log_mel(noisy_tone(0.5), CONFIG)[:, :20]
    assert float(make(mel, clip_generator(0))[26 * 512 :].abs().max()) < 1e-4


def test_the_level_comes_out_as_it_went_in() -> None:
    """Guards against a network that knows absolute levels: 20 dB softer in is 20 dB softer out."""
    network = shipped_network(CONFIG)
    assert network is not None
    mel = log_mel(noisy_tone(0.3), CONFIG)
    with torch.no_grad():
        loud, soft = (network(m[None], m.max()[None])[0] for m in (mel, mel - 20.0))
    assert float((loud - soft - 2.302585).abs().mean()) < 0.01


def test_the_network_in_pieces_is_the_network() -> None:
    """The slow oracle of streaming: `reach` frames on either side are enough."""
    network = tiny()
    mel, level = log_mel(noisy_tone(1.0), CONFIG)[None], torch.tensor([0.0])
    start, stop = 30, 50
    piece = network(mel[:, :, start - network.reach : stop + network.reach], level)
    for i, (whole, part) in enumerate(zip(network(mel, level), piece, strict=True)):
        inside = part[:, :, network.reach * 2**i : (network.reach + stop - start) * 2**i]
        torch.testing.assert_close(inside, whole[:, :, start * 2**i : stop * 2**i], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["neural", "griffin-lim"])
def test_blocks_have_no_seam(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Guards against dips, jumps and clicks at the borders: levels there must be those of the sound made at once."""
    network = shipped_network(CONFIG)
    assert network is not None
    make = NeuralSynthesiser(network) if kind == "neural" else GriffinLim(CONFIG)
    mel = log_mel(noisy_tone(2.0), CONFIG)
    at_once = make(mel, clip_generator(0))
    monkeypatch.setattr(griffin_lim, "BLOCK_FRAMES", 60)
    blocks = make(mel, clip_generator(0))
    assert blocks.shape == at_once.shape
    assert float((levels_db(blocks) - levels_db(at_once))[8:-8].abs().max()) < 1.5
    assert float(blocks[4096:-4096].diff().abs().max()) < 1.5 * float(at_once[4096:-4096].diff().abs().max())


def test_band_means_know_a_flat_spectrum() -> None:
    """The oracle: the mel of a flat magnitude must come back as that magnitude everywhere."""
    from distill.audio.mel import mel_filters

    flat = mel_filters(CONFIG) @ torch.ones(1025)
    torch.testing.assert_close(band_means(CONFIG) @ flat, torch.ones(1025), atol=1e-4, rtol=1e-4)


def test_bfloat16_says_the_same_magnitudes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against matrices in bfloat16 that change what is heard, that reach the network which was given, or that are taken
    where they are slower."""
    network = shipped_network(CONFIG)
    assert network is not None
    mel, found = log_mel(noisy_tone(0.3), CONFIG), {}
    for lean in (False, True):
        monkeypatch.setattr(synthesiser, "multiplies_bfloat16", lambda _device, lean=lean: lean)
        made = NeuralSynthesiser(network).network
        assert made.input.weight.dtype == (torch.bfloat16 if lean else torch.float32)
        with torch.no_grad():
            found[lean] = made(mel[None], mel.max()[None])
    assert network.input.weight.dtype == torch.float32
    for exact, quick in zip(found[False], found[True], strict=True):
        assert quick.dtype == torch.float32
        assert float((exact - quick).abs().mean()) < 0.01
