"""Sounds that are heard while they are made: what they would be at once, whoever asks for them."""

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import distill
from distill.audio import griffin_lim
from distill.audio.bandwidth import low_pass_reach, low_passed
from distill.audio.griffin_lim import GriffinLim, Synthesiser
from distill.audio.loudness import REACH_SAMPLES, limited
from distill.audio.master import PEAK
from distill.errors import DistillError
from distill.events import SoundWritten
from distill.files import _StreamToDisk
from distill.instrument import making
from distill.instrument.decoding import decoded_as_drawn, decoded_mel
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.streaming import LongSound, locally
from distill.modelfile.card import LetGo
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.endings import Endings
from distill.models.image import LEVEL_SCALE_DB, ImageCodebook, widened
from distill.models.release import RELEASE_SAMPLES, end_db
from distill.models.sampling import clip_generator
from distill.models.synthesiser import NeuralSynthesiser, shipped_network
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import END_POINTS, FRAMES_PER_COLUMN, HOP_LENGTH, SpectrogramConfig
from distill.studio import generate

COLUMN = FRAMES_PER_COLUMN * HOP_LENGTH


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    return load_model(tiny_model)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Griffin-Lim in no time, whoever asks for it by name."""
    monkeypatch.setattr(GriffinLim.__init__, "__defaults__", (2, "random"))


def quick(loaded: LoadedVQModel) -> Synthesiser:
    return GriffinLim(loaded.card.spectrogram_config, 2, "vocoder")


def whole(sound: LongSound) -> np.ndarray:
    return np.concatenate(list(sound), axis=1)


def in_parts(values: Tensor, sizes: list[int]) -> Iterator[Tensor]:
    """[..., N] cut into parts of these sizes, over and over."""
    first, turn = 0, 0
    while first < values.shape[-1]:
        size = sizes[turn % len(sizes)]
        yield values[..., first : first + size]
        first, turn = first + size, turn + 1


def test_columns_decode_as_the_whole_does(loaded: LoadedVQModel) -> None:
    """Guards against seams: a decoder that does not see as far around as it reaches."""
    codes = torch.randint(0, 16, (61 * 8, 3), generator=clip_generator(1))
    parts = list(decoded_as_drawn(loaded, (codes[first : first + 8] for first in range(0, 61 * 8, 8)), -3.0))
    assert torch.equal(torch.cat([each.codes for each in parts]), codes)
    assert [each.last for each in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 3
    torch.testing.assert_close(
        torch.cat([each.mel for each in parts], 1), decoded_mel(loaded, codes, -3.0), atol=1e-3, rtol=0
    )


def test_grain_is_drawn_column_after_column(loaded: LoadedVQModel) -> None:
    """Guards against grain that depends on how many columns are drawn at once."""
    assert loaded.grain is not None
    mel = -40.0 * torch.rand(128, 16 * 23, generator=clip_generator(1))
    one, two = clip_generator(2), clip_generator(2)
    parts = [loaded.grain.draw(part, one) for part in in_parts(mel, [128, 192])]
    assert torch.equal(torch.cat(parts, dim=1), loaded.grain.draw(mel, two))


@pytest.mark.parametrize("name", ["neural", "random", "vocoder"])
def test_samples_flow_as_they_are_made_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against blocks that do not go on where the one before ends, or lack what a frame looks at; how mels are cut
    makes no difference."""
    config = SpectrogramConfig()
    if name == "neural":
        network = shipped_network(config)
        assert network is not None
        synthesise: Synthesiser = NeuralSynthesiser(network)
    else:
        synthesise = GriffinLim(config, 3, "random" if name == "random" else "vocoder")
    for size in ("FIRST_FLOWING_FRAMES", "FLOWING_FRAMES", "BLOCK_FRAMES"):
        monkeypatch.setattr(griffin_lim, size, 60)
    mel = -60.0 * torch.rand(128, 190, generator=clip_generator(1))
    at_once = synthesise(mel, clip_generator(2))
    flowing = synthesise.flowing(in_parts(mel, [16, 96, 7]), clip_generator(2), float(mel.max()))
    blocks = list(flowing)
    assert len(blocks) > 3
    torch.testing.assert_close(torch.cat(blocks), at_once, atol=1e-5, rtol=0)


def test_what_reaches_little_is_done_block_by_block() -> None:
    """Guards against a limiter or a low-pass that begins anew with every block."""
    sound = 2.0 * torch.randn(2, 30_011, generator=clip_generator(1)) * torch.linspace(0, 1, 30_011)
    limit = list(locally(in_parts(sound, [700, 5000, 90]), 2 * REACH_SAMPLES, lambda part, _: limited(part, -1.0)))
    torch.testing.assert_close(torch.cat(limit, 1), limited(sound, -1.0), atol=1e-6, rtol=0)
    low = list(locally(in_parts(sound, [700, 5000]), low_pass_reach(8_000), lambda part, _: low_passed(part, 8_000)))
    torch.testing.assert_close(torch.cat(low, 1), low_passed(sound, 8_000), atol=1e-6, rtol=0)


def test_a_stereo_sound_is_the_mono_one_widened(loaded: LoadedVQModel) -> None:
    """Guards against an image that is early or late, or cut at the borders of blocks."""
    image = ImageCodebook(16)
    with torch.no_grad():
        image.vectors[:, 0:4] = torch.linspace(-9.0, 9.0, 16)[:, None] / LEVEL_SCALE_DB
        image.vectors[:, 4:] = 0.8
    settings = GenerationSettings(seconds=6.0, synthesiser="griffin-lim")
    codes = torch.randint(0, 16, (50, 8, 4), generator=clip_generator(1))

    class Quiet(LongSound):
        def _columns(self) -> Iterator[Tensor]:
            yield from codes

        def _gain_db(self) -> float:
            return -24.0  # nothing is limited

    both, mono = (
        Quiet(replace(loaded, image=image), settings.model_copy(update={"mono": mono}), 4, quick(loaded))
        for mono in (False, True)
    )
    assert (both.channels, mono.channels) == (2, 1)
    made = torch.from_numpy(whole(both))
    wanted = widened(torch.from_numpy(whole(mono))[0], image.decode(codes[:, :, 3].flatten()))
    torch.testing.assert_close(made[:, 3000:-30_000], wanted[:, 3000:-30_000], atol=1e-5, rtol=0)
    assert float((made[0] - made[1]).abs().max()) > 1e-3


@pytest.mark.usefixtures("few_steps")
def test_one_request_is_one_sound_in_every_face(tiny_model: Path, loaded: LoadedVQModel, tmp_path: Path) -> None:
    """Guards against a stream, a file and an array of one seed that differ, and against a sound that depends on the count."""
    settings = GenerationSettings(seconds=4.5, seed=7, count=2, synthesiser="griffin-lim")
    model = distill.load(tiny_model, "cpu")
    arrays = model.generate(count=2, seconds=4.5, seed=7, synthesiser="griffin-lim").samples
    streamed = np.concatenate(list(model.stream(4.5, seed=8, synthesiser="griffin-lim")), axis=1)
    assert arrays.shape == (2, 1, 216_000)
    assert np.array_equal(arrays[1], streamed)
    paths = [Path(e.path) for e in generate(str(tiny_model), tmp_path, settings) if isinstance(e, SoundWritten)]
    assert [path.name for path in paths] == ["tiny-seed7.wav", "tiny-seed8.wav"]
    assert set(tmp_path.iterdir()) == set(paths)
    kept, rate = soundfile.read(paths[1], dtype="float32")
    assert rate == 48_000
    assert np.abs(kept - streamed[0]).max() <= 2.0**-23
    assert '"seconds":4.5' in soundfile.SoundFile(paths[1]).comment.replace(" ", "")
    assert np.abs(streamed).max() <= PEAK + 1e-6


def test_a_long_sound_is_the_beginning_of_a_longer_one(loaded: LoadedVQModel) -> None:
    """Guards against a sound that knows how long it will be, and against ends that click; and it goes on and on."""
    settings = GenerationSettings(seconds=5.0, seed=2)
    short = whole(LongSound(loaded, settings, 2, quick(loaded)))
    endless = LongSound(loaded, settings, 2, quick(loaded), endless=True)
    blocks: list[np.ndarray] = []
    for block in endless:
        blocks.append(block)
        if sum(each.shape[1] for each in blocks) > 6 * 48_000:
            break
    longer = np.concatenate(blocks, axis=1)
    assert short.shape == (1, 240_000)
    assert np.array_equal(short[:, :-240], longer[:, : 240_000 - 240])
    assert short[0, -1] == 0.0
    assert short[0, 0] == 0.0
    assert blocks[0].shape[1] > 0.25 * 48_000


def test_sounds_of_the_next_batch_are_drawn_meanwhile(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against sounds that swap seeds or share a generator where batches overlap; the oracle makes them in turn."""
    monkeypatch.setattr(making, "BATCH", 3)
    settings = GenerationSettings(count=8, seconds=0.5, seed=1)
    made = []
    for count in (1, 2):
        monkeypatch.setattr(making, "process_threads", lambda count=count: count)
        found = [each for each in made_sounds(loaded, settings, quick(loaded)) if isinstance(each, MadeSound)]
        assert [each.seed for each in found] == settings.seeds()
        made.append([each.samples for each in found])
    assert all(map(np.array_equal, *made))


def test_it_ends_where_it_ends(loaded: LoadedVQModel) -> None:
    """Guards against the last column's rest after a sound that ended, and against an end after seconds that were asked for."""
    endings = Endings()
    endings.bias[4] = 100.0
    settings = GenerationSettings(seconds=60.0, ending="natural")

    class Ends(LongSound):
        def _columns(self) -> Iterator[Tensor]:
            return iter(torch.arange(30 * 24).view(30, 8, 3) * 5 % 16)

    sound = Ends(replace(loaded, endings=endings), settings, 3, quick(loaded))
    made = whole(sound)
    assert loaded.card.prior_metadata is not None
    quantiles = {"made_db": (-90.0,) * END_POINTS, "recorded_db": (-90.0,) * END_POINTS}
    let_go = LetGo(**quantiles, training_date=loaded.card.prior_metadata.training_date)
    softly = replace(loaded, endings=endings, card=loaded.card.model_copy(update={"release": let_go}))
    released = whole(Ends(softly, settings, 3, quick(loaded)))
    assert released.shape == made.shape
    np.testing.assert_array_equal(released[:, :-RELEASE_SAMPLES], made[:, :-RELEASE_SAMPLES])
    assert end_db(torch.from_numpy(released)) < min(end_db(torch.from_numpy(made)), -75.0)
    exactly = settings.model_copy(update={"ending": "exact", "seconds": 4.2})
    np.testing.assert_array_equal(
        *(whole(Ends(each, exactly, 3, quick(loaded))) for each in (softly, replace(loaded, endings=endings)))
    )
    frames = made.shape[1] / HOP_LENGTH - 29 * FRAMES_PER_COLUMN
    assert 4.0 <= frames <= 5.01
    assert sound.samples == made.shape[1]
    cut = whole(Ends(replace(loaded, endings=endings), settings.model_copy(update={"seconds": 4.2}), 3, quick(loaded)))
    assert cut.shape[1] == 201_600


def test_loudness_is_constant_and_asked_for(loaded: LoadedVQModel) -> None:
    """Guards against a level that comes and goes with what is heard, and against a setting that nothing depends on."""
    assert loaded.loudness is not None
    points = [-40.0 + 0.5 * step for step in range(33)]
    card = loaded.card.model_copy(update={"trait_quantiles": {**loaded.card.trait_quantiles, "loudness": points}})
    settings = GenerationSettings(seconds=4.5, seed=2)
    own = replace(loaded, card=card)

    def made(**more: object) -> np.ndarray:
        return whole(LongSound(own, settings.model_copy(update=more), 2, quick(loaded)))

    plain, soft, high = made(), made(loudness="0"), made(level="normalise")
    assert np.allclose(soft, plain * 10 ** (-8.0 / 20), atol=1e-5) == (np.abs(plain).max() < 0.97)
    ratio = 20 * math.log10(np.abs(high).max() / np.abs(plain).max())
    assert -0.01 <= ratio <= 24.01


@pytest.mark.usefixtures("few_steps")
def test_what_is_stopped_stays_and_is_called_unfinished(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a sound that is lost because it was stopped, and against a part that is taken for the whole."""
    settings = GenerationSettings(seconds=300.0, seed=7, count=3, synthesiser="griffin-lim")
    stop = threading.Event()
    written: list[SoundWritten] = []
    for event in generate(str(tiny_model), tmp_path, settings, stop=stop):
        assert (
            not [path for path in tmp_path.iterdir() if path.suffix == ".wav"]
            or written
            or isinstance(event, SoundWritten)
        )
        stop.set()
        if isinstance(event, SoundWritten):
            written.append(event)
    (sound,) = written
    assert sound.unfinished
    (path,) = tmp_path.iterdir()
    assert path.name == "tiny-seed7-unfinished.wav"
    samples, _ = soundfile.read(path)
    assert 0.2 < len(samples) / 48_000 < 10.0
    assert sound.seconds == len(samples) / 48_000


@pytest.mark.usefixtures("few_steps")
def test_a_full_disk_is_one_sentence(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against minutes of computing for a file that nothing is written to any more, and against what is left of it."""
    real, written = _StreamToDisk.write, [0]

    def write(self: _StreamToDisk, data: memoryview) -> int:
        written[0] += len(data)
        if self.failure is None and written[0] > 200_000:
            self.failure = OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(_StreamToDisk, "write", write)
    settings = GenerationSettings(seconds=30.0, seed=7, count=1, synthesiser="griffin-lim")
    events = []

    def make() -> None:
        for event in generate(str(tiny_model), tmp_path, settings):
            events.append(event)

    with pytest.raises(DistillError, match=r"Cannot write .*there is no space left"):
        make()
    assert len(events) < 5
    assert not list(tmp_path.iterdir())


def test_short_sounds_are_as_they_were(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against the rule for long sounds where a sound is short: four seconds are the limit."""
    begun: list[float] = []
    real = LongSound.__init__

    def noted(self: LongSound, model: LoadedVQModel, settings: GenerationSettings, *rest: object) -> None:
        begun.append(settings.seconds)
        real(self, model, settings, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LongSound, "__init__", noted)
    for seconds in (4.0, 4.1):
        wanted = GenerationSettings(seconds=seconds, seed=1, count=1)
        assert [each for each in made_sounds(loaded, wanted, quick(loaded)) if isinstance(each, MadeSound)]
    assert begun == [4.1]
