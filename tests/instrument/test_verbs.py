"""Verbs: what is kept of a recording, what is drawn beside it, how long it is, and which of several ways comes first."""

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import distill
from distill.audio.griffin_lim import GriffinLim
from distill.audio.mel import log_mel_of
from distill.audio.traits import LOUDNESS, frame_traits
from distill.errors import DistillError
from distill.events import Progress
from distill.instrument import gaps, looping, verbs
from distill.instrument.asked import Asked, asked_of
from distill.instrument.canvases import guided_canvas, loop_end_canvas, variation_canvas
from distill.instrument.envelopes import as_guided
from distill.instrument.joining import FADE, WINDOW, circular, crossfaded, in_phase, joined
from distill.instrument.looping import around_codes, loop_of, loop_samples, render_loop
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.recordings import (
    COLUMN,
    Recording,
    codes_before,
    codes_from,
    encode_recording,
    level_of_all,
    mel_of,
)
from distill.modelfile.card import LetGo
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.image import ImageCodebook
from distill.models.likelihood import log_likelihood
from distill.models.prior import BOS, MID, CodePrior
from distill.models.release import END_SAMPLES, end_db
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import END_POINTS, SAMPLE_RATE
from distill.settings.prior import PriorConfig
from distill.studio.model import Model
from tiny import RATE, hit

SOUND = np.concatenate([hit(number, 0.31) for number in (3, 5, 8, 2)])
RECORDING = Recording(SOUND[None], "sound.wav")


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return distill.load(tiny_model, "cpu")


def made(loaded: LoadedVQModel, asked: Asked, **settings: Any) -> list[MadeSound]:
    wanted = generation_settings(**{"seed": 3, "count": 1, **settings})
    making = made_sounds(loaded, wanted, GriffinLim(loaded.card.spectrogram_config, 4), asked=asked)
    return [each for each in making if not isinstance(each, Progress)]


def test_a_continuation_is_the_recording_and_then_more(loaded: LoadedVQModel) -> None:
    """Guards against a beginning that went through the codec, a length by columns, and a click at the join."""
    (sound,) = made(loaded, Asked("continue", (RECORDING,)), seconds=0.777, ending="exact")
    assert sound.samples.shape == (1, len(SOUND) + round(0.777 * RATE))
    np.testing.assert_array_equal(sound.samples[0, : len(SOUND) - FADE], SOUND[:-FADE])
    assert np.abs(sound.samples[0, len(SOUND) :]).max() > 1e-4
    with_others = made(loaded, Asked("continue", (RECORDING,)), seed=1, count=3, seconds=0.777, ending="exact")
    np.testing.assert_array_equal(with_others[2].samples, sound.samples)


def test_a_continuation_is_let_go_where_it_ends(loaded: LoadedVQModel) -> None:
    """Guards against a recording that is turned down with what follows it, and an end that is left as it was drawn."""
    assert loaded.card.prior_metadata is not None
    quantiles = {"made_db": (-90.0,) * END_POINTS, "recorded_db": (-90.0,) * END_POINTS}
    let_go = LetGo(**quantiles, training_date=loaded.card.prior_metadata.training_date)
    prior: Any = deepcopy(loaded.prior)
    with torch.no_grad():
        prior.heads[0].free.bias[prior.eos] += 2.0  # so that sounds end soon
    loaded = replace(loaded, prior=prior)
    softly = replace(loaded, card=loaded.card.model_copy(update={"release": let_go}))
    wanted = {"seed": 1, "count": 6, "seconds": 3.0, "ending": "natural"}
    ended = 0
    for plain, soft in zip(
        *(made(each, Asked("continue", (RECORDING,)), **wanted) for each in (loaded, softly)), strict=True
    ):
        assert plain.samples.shape == soft.samples.shape
        np.testing.assert_array_equal(plain.samples[:, : RECORDING.samples], soft.samples[:, : RECORDING.samples])
        if RECORDING.samples + END_SAMPLES < plain.samples.shape[1] < RECORDING.samples + 3.0 * SAMPLE_RATE:
            ended += 1
            assert end_db(torch.from_numpy(soft.samples)) < min(end_db(torch.from_numpy(plain.samples)), -60.0)
    assert ended


def test_what_is_heard_of_a_recording_ends_just_where_it_ends(loaded: LoadedVQModel) -> None:
    """Guards against columns that begin at the recording's first sample, of which the last would hold silence after it."""
    steady = np.sin(2 * np.pi * 220 * np.arange(5 * COLUMN + 3000) / RATE).astype(np.float32)[None]
    tone = Recording(steady, "tone.wav")
    before = codes_before(loaded, tone, tone.samples, 99, 0.0)
    assert len(before) == 5 * 8
    longer = Recording(np.concatenate([steady, steady[:, 3000:]], axis=1), "long.wav")
    torch.testing.assert_close(codes_before(loaded, longer, 5 * COLUMN + 3000, 2, 0.0), before[-16:])
    assert len(codes_from(loaded, tone, 5 * COLUMN, 99, 0.0)) == 8
    assert torch.equal(codes_from(loaded, tone, 0, 2, 0.0), encode_recording(loaded, tone, 0.0)[:16])


def test_a_part_is_replaced_and_the_rest_is_as_it_was(loaded: LoadedVQModel) -> None:
    """Guards against a hole at another place, a sound of another length, and likely ways that come last."""
    begin, end = round(0.4 * RATE), round(0.75 * RATE)
    ways = made(loaded, Asked("replace", (RECORDING,), (begin, end)), count=4)
    for way in ways:
        assert way.samples.shape == (1, len(SOUND))
        np.testing.assert_array_equal(way.samples[0, : begin - FADE], SOUND[: begin - FADE])
        np.testing.assert_array_equal(way.samples[0, end + FADE :], SOUND[end + FADE :])
        assert np.abs(way.samples[0, begin:end] - SOUND[begin:end]).max() > 1e-3
    scores = [way.score for way in ways if way.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert sorted(way.seed for way in ways) == [3, 4, 5, 6]


def test_a_way_is_scored_by_what_follows_too(loaded: LoadedVQModel) -> None:
    """Guards against a score of the drawn codes alone: the oracle runs the window at once."""
    assert loaded.prior is not None
    asked = Asked("replace", (RECORDING,), (COLUMN, 2 * COLUMN))
    gap = gaps.gap_of(loaded, asked, GenerationSettings(seed=1))
    assert (gap.known, gap.columns) == (1, 1)
    filling = gaps.fill_gap(loaded.prior, gap, [clip_generator(1)], GenerationSettings(), gaps.Wishes())
    while True:
        try:
            next(filling)
        except StopIteration as end:
            (way,) = end.value
            break
    drawn = gaps.Filled(way.codes, torch.zeros(way.codes.shape), True)
    with torch.no_grad():
        logits = loaded.prior(way.codes[None, :48].clone(), torch.tensor([BOS]))[0, 16:48].log_softmax(-1)
    follows = logits.gather(-1, way.codes[16:48, :, None])[..., 0].flatten()
    wanted = float(follows.sum() / (follows.numel() + 8 * way.codes.shape[1]))
    assert gaps._score(loaded.prior, gap, drawn) == pytest.approx(wanted, abs=1e-4)


def test_a_bridge_leads_from_one_sound_to_the_other(loaded: LoadedVQModel) -> None:
    """Guards against ends that are lost, and a middle of whole columns."""
    other = Recording(hit(11, 0.7)[None] * np.float32(0.5), "other.wav")
    (sound,) = made(loaded, Asked("bridge", (RECORDING, other)), seconds=0.4321)
    middle = round(0.4321 * RATE)
    assert sound.samples.shape == (1, len(SOUND) + middle + other.samples)
    np.testing.assert_array_equal(sound.samples[0, : len(SOUND) - FADE], SOUND[:-FADE])
    np.testing.assert_array_equal(sound.samples[0, len(SOUND) + middle + FADE :], other.planes[0, FADE:])


def test_more_is_free_the_farther_a_variation_goes() -> None:
    """Guards against coarse codes that are drawn before fine ones, and a larger amount that keeps what a smaller does not."""
    codes = torch.zeros(10 * 8, 4, dtype=torch.long)  # three levels and the image
    free = [
        variation_canvas(codes, amount, 3, 8, torch.Generator().manual_seed(1)).free.view(10, 8, 4)
        for amount in (0.01, 0.2, 1 / 3, 0.5, 2 / 3, 0.9, 1.0)
    ]
    for less, more in pairwise(free):
        assert bool((more | ~less).all())
        assert int(more.sum()) > int(less.sum())
    assert [each.any(1).sum(0).tolist() for each in free] == [
        [0, 0, 1, 0], [0, 0, 6, 0], [0, 0, 10, 0], [0, 5, 10, 0], [0, 10, 10, 0], [7, 10, 10, 7], [10, 10, 10, 10],
    ]  # fmt: skip


def test_variations_go_farther_with_their_amount(loaded: LoadedVQModel) -> None:
    """Guards against an amount that does not count, and a sound of another length."""
    distances = []
    for amount in (0.1, 0.5, 1.0):
        sounds = made(loaded, Asked("vary", (RECORDING,)), count=6, amount=amount)
        assert all(each.samples.shape == (1, len(SOUND)) for each in sounds)
        assert len({each.samples.tobytes() for each in sounds}) == 6
        mels = [
            gaps.log_mel_unpadded(torch.from_numpy(each.samples[0]), loaded.card.spectrogram_config) for each in sounds
        ]
        own = gaps.log_mel_unpadded(torch.from_numpy(SOUND), loaded.card.spectrogram_config)
        distances.append(float(np.mean([(mel.clamp_min(-40) - own.clamp_min(-40)).abs().mean() for mel in mels])))
    assert distances == sorted(distances)
    assert distances[2] > 1.2 * distances[0]


def test_a_guide_decides_length_and_codes(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a guide that is read on another scale, or of which the level does not count."""
    assert loaded.prior is not None
    level = level_of_all(loaded, (RECORDING,))
    codes = encode_recording(loaded, RECORDING, level)
    canvas = guided_canvas(loaded.prior, codes, 1.0, codes.shape[1])
    assert canvas.columns == len(codes) // 8
    assert not guided_canvas(loaded.prior, codes, 1.0, 2).guide.strength[:, 2].any()  # type: ignore[union-attr]
    drawn: list[torch.Tensor] = []
    monkeypatch.setattr(
        verbs, "to_samples", lambda loaded, sampled, *_, **__: drawn.append(sampled.codes) or SOUND[None]
    )
    for strength in (1.0, 0.0):
        made(loaded, Asked("like", (RECORDING,)), like_strength=strength)
    close, far = (float((each == codes).float().mean()) for each in drawn)
    assert close > 0.9
    assert far < 0.5
    monkeypatch.undo()
    (sound,) = made(loaded, Asked("like", (RECORDING,)))
    assert sound.samples.shape == (1, len(SOUND))


def test_a_guide_that_is_followed_closely_decides_how_loud_each_moment_is(loaded: LoadedVQModel) -> None:
    """Guards against a beat that is lost where the model's own sounds ring on, and against one that is laid over sounds that
    were to follow loosely."""
    spectrogram = loaded.card.spectrogram_config

    def loudness(sound: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        mel = log_mel_of(sound, spectrogram)
        found = frame_traits(mel.T, np.zeros(0), spectrogram)[:, LOUDNESS].numpy()
        return np.maximum(found, found.max() - 40.0)

    def alike(strength: float) -> float:
        (sound,) = made(loaded, Asked("like", (RECORDING,)), like_strength=strength)
        return float(np.corrcoef(loudness(sound.samples[0]), loudness(SOUND))[0, 1])

    assert alike(1.0) > 0.95 > alike(0.5)

    mel = torch.full((128, 30), -40.0)
    mel[:, 20:] = spectrogram.floor_db
    levels = torch.linspace(-30.0, 10.0, 20).double()
    torch.testing.assert_close(as_guided(mel, levels, 0.0, spectrogram), mel)
    half, whole = (as_guided(mel, levels, share, spectrogram) for share in (0.5, 1.0))
    assert float(whole[0, 19] - whole[0, 0]) == pytest.approx(40.0, abs=0.01)
    assert float(half[0, 19] - half[0, 0]) == pytest.approx(20.0, abs=0.01)
    torch.testing.assert_close(whole[:, 20:], mel[:, 20:])  # what is longer than the guide stays


@pytest.mark.parametrize(
    ("settings", "samples"),
    [({"bpm": 120.0, "bars": 2}, 192_000), ({"bpm": 133.0, "beats": 3}, 64_962), ({"seconds": 0.1}, 4_800),
     ({"seconds": 0.7003}, 33_614)],
)  # fmt: skip
def test_a_loop_is_as_long_as_was_asked_for(loaded: LoadedVQModel, settings: dict[str, Any], samples: int) -> None:
    """Guards against loops of whole columns or frames, which run away from the beat."""
    (sound,) = made(loaded, Asked("loop"), loop=True, **settings)
    assert sound.samples.shape == (1, samples)
    assert loop_samples(generation_settings(loop=True, **settings)) == samples


def test_the_end_of_a_loop_is_drawn_before_its_beginning() -> None:
    """Guards against a loop whose end knows nothing of where it leads."""
    begun = torch.arange(5 * 8 * 2).view(40, 2)
    canvas = loop_end_canvas(begun, 2, 8, 6)
    assert canvas.columns == 12
    assert canvas.known.tolist() == [True] * 5 + [False] * 2 + [True] * 5
    assert torch.equal(canvas.codes[56:], begun)
    assert canvas.begins
    long = loop_end_canvas(begun, 2, 8, 3)
    assert torch.equal(long.codes[:24], begun[16:])
    assert not long.begins
    assert torch.equal(around_codes(begun, 1), torch.cat([begun[-8:], begun, begun[:8]]))


def test_a_loop_has_no_seam(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a click, a dip or another spectrum where the end of a loop meets its beginning: there it changes no
    more from frame to frame than it does within. A loop that is cut off instead is caught by the same figures."""
    time = np.arange(14 * COLUMN) / RATE
    chord = sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (220.0, 277.2, 329.6)) * (
        1.2 + np.sin(4.0 * np.pi * np.arange(14 * COLUMN) / (8 * COLUMN))
    )
    mel = mel_of(loaded, Recording(np.asarray(chord, dtype=np.float32)[None], "chord"))
    monkeypatch.setattr(looping, "decoded_mel", lambda *_: mel)
    settings = generation_settings(loop=True, seconds=1.301, seed=1, texture=0.0)

    def rank_of_seam() -> list[float]:
        """For level, spectrum and samples, the share of changes within that are smaller than the change at the seam."""
        synthesise = GriffinLim(loaded.card.spectrogram_config, 32, "vocoder")
        generator = clip_generator(2)
        drawn = loop_of(loaded, torch.zeros(64, 3, dtype=torch.long), generator, settings)
        loop = render_loop(loaded, drawn, synthesise, generator, settings, None)[0]
        turned = np.roll(loop, len(loop) // 2)
        seam = len(loop) // 2
        frames = np.lib.stride_tricks.sliding_window_view(turned, 512)
        level = 10 * np.log10(np.square(frames).mean(1) + 1e-9)
        places = np.arange(0, len(turned) - 1536, 64)
        spectra = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(512))) + 1e-2)
        changes = {
            "level": (np.abs(level[places + 512] - level[places]), places + 512),
            "spectrum": (np.abs(spectra[places + 512] - spectra[places]).mean(1), places + 512),
            "samples": (np.abs(np.diff(turned, 3)), np.arange(len(turned) - 3) + 2),
        }
        ranks = []
        for change, middle in changes.values():
            at_seam = change[np.abs(middle - seam) <= 32].max()
            ranks.append(float((change[np.abs(middle - seam) > 512] < at_seam).mean()))
        return ranks

    whole = rank_of_seam()
    monkeypatch.setattr(looping, "circular", lambda made, margin, length: made[:, margin : margin + length])
    cut = rank_of_seam()
    assert max(whole) <= 0.95, (whole, cut)
    assert max(cut) > 0.99, (whole, cut)


def test_fades_are_as_loud_all_the_way() -> None:
    """Guards against a dip between sounds that are unlike, and a bump between sounds that are alike."""
    noise = torch.randn(2, 1, 48_000, generator=torch.Generator().manual_seed(0))
    for coming in (noise[1], noise[0]):
        made_ = crossfaded(noise[0], coming)[0].view(10, -1).square().mean(1).sqrt()
        assert bool(((made_ - 1.0).abs() < 0.04).all())
    before, after = torch.full((1, 5000), 1.0), torch.full((1, 4000), 3.0)
    whole = joined(before, torch.full((1, 6000), 2.0), 2000, 5000, after)
    assert whole.shape == (1, 12_000)
    assert whole[0, [0, 5000 - FADE - 1, 5001, 7999, 8000 + FADE, 11_999]].tolist() == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    turning = torch.arange(9000.0)[None] % 3000
    torch.testing.assert_close(circular(turning, 3000, 3000), turning[:, :3000])


def test_likelihoods_are_those_of_the_plain_forward(loaded: LoadedVQModel) -> None:
    """Guards against likelihoods of another place, and of windows that have forgotten what was before."""
    assert loaded.prior is not None
    prior, window = loaded.prior, loaded.prior.window
    codes = torch.randint(
        0, 16, ((window + 2) * 8, prior.config.rvq_levels), generator=torch.Generator().manual_seed(1)
    )
    found = log_likelihood(prior, codes)
    first = prior(codes[None, : window * 8], torch.tensor([BOS]))[0, :-1].log_softmax(-1)
    torch.testing.assert_close(found[: window * 8], first.gather(-1, codes[: window * 8, :, None])[..., 0])
    kept = window * 2 // 3
    rest = codes[(window - kept) * 8 :]
    later = prior(rest[None], torch.tensor([MID]))[0, :-1].log_softmax(-1).gather(-1, rest[..., None])[..., 0]
    torch.testing.assert_close(found[window * 8 :], later[kept * 8 :])


def test_every_verb_from_python(model: Model) -> None:
    """Guards against a verb that is called otherwise from Python, or that takes one rate and one channel only."""
    other = np.stack([hit(4, 0.5)[::2], hit(4, 0.5)[::2]])
    assert model.continue_(other, 24_000, 0.5, seed=1, ending="exact").samples.shape == (1, 1, 48_000)
    assert model.replace(SOUND, RATE, 0.3, 0.6, candidates=2, seed=1).samples.shape == (2, 1, len(SOUND))
    assert model.vary(SOUND, RATE, 0.2, count=2, seed=1).samples.shape == (2, 1, len(SOUND))
    assert model.bridge(other, 24_000, SOUND, RATE, 0.25, seed=1).samples.shape == (1, 1, 24_000 + 12_000 + len(SOUND))
    assert model.like(SOUND, RATE, 0.9, seed=1).samples.shape == (1, 1, len(SOUND))
    assert model.loop(bpm=240, bars=1, seed=1).samples.shape == (1, 1, 48_000)
    codes = model.encode(SOUND, RATE)
    assert codes.shape == (8 * -(-len(SOUND) // COLUMN), 3)
    assert model.decode(codes, seed=1).samples.shape[1] == len(codes) // 8 * COLUMN
    likely = model.likelihood(codes)
    assert likely.shape == codes.shape
    assert bool((likely < 0).all())
    for wrong in (codes[:5], codes[:, :2], codes + 1000, codes.astype(float)):
        with pytest.raises(DistillError, match=r"^codes "):
            model.decode(wrong)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"vary": "short.wav"}, r"--vary short.wav: it has 0.100 seconds, and less than 0.17 say too little"),
        ({"replace": ("0.5-9", "sound.wav")}, r"--replace 0.5-9: sound.wav has 1.240 seconds; give a part of it"),
        ({"replace": ("0.6-0.5", "sound.wav")}, "give a part of it"),
        ({"replace": ("soon", "sound.wav")}, "give the part as FROM-TO in seconds, such as 1.2-1.8"),
        ({"replace": ("0.5-0.501", "sound.wav")}, "too short to hear"),
        ({"loop": True}, "say how long, with --bpm and --bars, with --tempo-from or with --seconds"),
        ({"bpm": 90.0}, "add --loop"),
        ({"loop": True, "bpm": 20.0, "bars": 64, "beats": 32}, "the longest loop has 600"),
        ({"loop": True, "seconds": 1.0, "like": "sound.wav"}, "--like and --loop: choose one of them"),
        ({"like": "none.wav"}, "There is no file .*none.wav"),
        ({"continue_": "words.txt"}, "words.txt cannot be used .not a sound."),
        ({"continue_": "sound.wav", "length": 0.5}, "Leave --length out"),
        ({"vary": "sound.wav"}, "the prior of tiny hears the past alone. Train it again: `distill train-prior tiny"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    loaded: LoadedVQModel, tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    """Guards against a traceback, or a sentence that does not say what to do."""
    soundfile.write(tmp_path / "sound.wav", SOUND, RATE)
    soundfile.write(tmp_path / "short.wav", SOUND[:4800], RATE)
    (tmp_path / "words.txt").write_text("no sound at all, but words")

    def placed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(placed, value))
        return str(tmp_path / value) if isinstance(value, str) and value.endswith((".wav", ".txt")) else value

    if "past alone" in sentence:
        assert loaded.card.prior_config is not None
        old = loaded.card.prior_config.model_copy(update={"both_sides": False})
        loaded = LoadedVQModel(
            loaded.codec, loaded.prior, loaded.card.model_copy(update={"prior_config": old}), loaded.path
        )
    with pytest.raises(DistillError, match=sentence):
        wanted = generation_settings(seed=1, count=1, **{name: placed(value) for name, value in settings.items()})
        asked = asked_of(wanted)
        assert asked is not None
        list(made_sounds(loaded, wanted, GriffinLim(loaded.card.spectrogram_config, 4), asked=asked))


def test_partials_are_in_phase_where_sounds_are_joined() -> None:
    """Guards against a chord whose partials cancel out one by one in a crossfade, at the first join or at the second."""
    time = torch.arange(30_000) / RATE
    tones = [(220.0, 0.4, 2.0), (554.4, 1.9, -2.9), (1318.5, -0.7, 1.2)]
    one = sum((torch.sin(2 * np.pi * hz * time) for hz, _, _ in tones), torch.zeros(30_000))
    other = sum((torch.sin(2 * np.pi * hz * time + late) for hz, late, _ in tones), torch.zeros(30_000))
    third = sum((torch.sin(2 * np.pi * hz * time + late) for hz, _, late in tones), torch.zeros(30_000))
    turned = in_phase(one, [(4000, other[4000:][:WINDOW]), (24_000, third[24_000:][:WINDOW])])

    def alike(sound: torch.Tensor, place: int) -> float:
        return float(torch.corrcoef(torch.stack([turned, sound])[:, place : place + WINDOW])[0, 1])

    assert alike(other, 4000) > 0.98
    assert alike(third, 24_000) > 0.98
    assert float(turned[1000:29_000].square().mean() / one.square().mean()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(in_phase(one, []), one)


def test_every_verb_in_stereo(loaded: LoadedVQModel) -> None:
    """Guards against a second channel that is lost, or of which a recording's own is drawn over."""
    image = ImageCodebook(16)
    image.vectors[1:] += 0.3 * torch.randn(15, image.vectors.shape[1], generator=torch.Generator().manual_seed(0))
    config = PriorConfig(hidden_size=32, num_layers=1, num_heads=2, codebook_size=16, codebook_dim=4, rvq_levels=4,
                         both_sides=True)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = CodePrior(config, torch.randn(4, 16, 4)).eval()
    stereo = replace(loaded, image=image, prior=prior)
    left, right = SOUND, np.roll(SOUND, 300) * np.float32(0.5)
    wide = Recording(np.stack([(left + right) / 2, (left - right) / 2]), "wide.wav")
    for asked, settings in (
        (Asked("continue", (wide,)), {"seconds": 0.3}),
        (Asked("replace", (wide,), (20_000, 30_000)), {}),
        (Asked("bridge", (wide, RECORDING)), {"seconds": 0.2}),
        (Asked("vary", (wide,)), {"amount": 1.0}),
        (Asked("like", (wide,)), {}),
        (Asked("loop"), {"loop": True, "seconds": 0.6}),
    ):
        (sound,) = made(stereo, asked, **settings)
        assert sound.samples.shape[0] == 2
        assert np.abs(sound.samples[0] - sound.samples[1]).max() > 1e-3
        if asked.verb in ("continue", "replace", "bridge"):
            np.testing.assert_allclose(sound.samples[:, :18_000], np.stack([left, right])[:, :18_000], atol=1e-6)
        assert made(stereo, asked, mono=True, **settings)[0].samples.shape == (1, sound.samples.shape[1])


def test_what_is_new_is_in_phase_with_the_recording_on_both_sides(
    loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against windows of the recording that are taken at other places than the sound that is turned."""

    half_a_turn_off = [
        (turns + 0.5) * RATE / (8 * COLUMN) for turns in (318, 780, 1361)
    ]  # after one time round the loop

    def chord(samples: int, late: float) -> torch.Tensor:
        time = torch.arange(samples) / RATE
        return sum((0.2 * torch.sin(2 * np.pi * hz * time + late * hz) for hz in half_a_turn_off), 0 * time)

    recording = Recording(chord(90_000, 0.0)[None].numpy(), "chord.wav")
    replaced = Asked("replace", (recording,), (40_000, 60_100))
    gap = gaps.gap_of(loaded, replaced, GenerationSettings(seed=1))
    way = gaps.FilledGap(gap.canvas.codes, True, 0.0)

    class Other(GriffinLim):
        def __call__(self, mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return chord(mel.shape[1] * 512, 0.01)

    synthesise = Other(loaded.card.spectrogram_config, 1)
    _, left = around = gaps._around(
        loaded, gap, way.codes, gap.columns, 39, gap.samples, clip_generator(1), GenerationSettings(seed=1)
    )
    assert around[0].shape[1] == left + 39 + gaps.MARGIN_FRAMES  # two columns have 32 frames
    made_ = gaps.render_gap(loaded, gap, way, synthesise, clip_generator(1), GenerationSettings(seed=1))[0]
    for first in (38_500, 59_600):
        alike = np.corrcoef(made_[first : first + 2000], recording.planes[0, first : first + 2000])[0, 1]
        assert alike > 0.97, first
    monkeypatch.setattr(looping, "decoded_mel", lambda *_: torch.zeros(128, 14 * 16))
    settings = generation_settings(loop=True, seconds=8 * COLUMN / RATE, seed=1, texture=0.0)
    codes = torch.zeros(64, 3, dtype=torch.long)
    drawn = loop_of(loaded, codes, clip_generator(1), settings)
    loop = render_loop(loaded, drawn, synthesise, clip_generator(1), settings, None)[0]
    round_ = np.abs(np.diff(np.concatenate([loop[-3000:], loop[:3000]]), 2))
    power = np.square(np.concatenate([loop[-3000:], loop[:3000]])).reshape(10, -1).mean(1)
    assert round_[2900:3100].max() <= 1.1 * round_[:2000].max()
    assert power.min() > 0.75 * power.max()


def test_more_like_a_sound_wishes_for_what_it_is_like(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a guide alone, and against measured traits that take the place of wishes that were given."""
    asked: list[tuple[float, ...]] = []
    real = verbs.filled

    def noted(
        prior: CodePrior, canvases: Any, generators: Any, settings: Any, wishes: Any, *rest: Any, **more: Any
    ) -> Any:
        asked.append((*wishes.traits.tolist(), float(canvases[0].guide.strength.max())))
        return real(prior, canvases, generators, settings, wishes, *rest, **more)

    monkeypatch.setattr(verbs, "filled", noted)
    tone = Recording(np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE).astype(np.float32)[None], "tone.wav")
    (sound,) = made(loaded, Asked("more-like", (tone,)))
    assert sound.samples.shape[1] == tone.samples
    made(loaded, Asked("more-like", (tone,)), brightness=0.0, like_strength=0.2)
    loudness, brightness, pitch, onsets, strength = asked[0]
    assert np.isnan(loudness)
    assert (brightness, pitch, strength) == (pytest.approx(np.log2(440), abs=0.2), pytest.approx(69, abs=0.2), 0.25)
    assert np.isnan(onsets)  # the guide says where they are
    assert asked[1][1] != pytest.approx(brightness, abs=0.01)
    assert (asked[1][2], asked[1][4]) == (pytest.approx(pitch), pytest.approx(0.1))
