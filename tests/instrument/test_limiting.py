"""`--max-copy-seconds`, end to end: whatever the prior would like to play back, and whichever way it is asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.errors import DistillError
from distill.instrument import limiting
from distill.instrument.filled import filled
from distill.instrument.limiting import silent_codes, sounds_under_limit
from distill.instrument.looping import fill_loops
from distill.instrument.sampling import sample_pieces
from distill.instrument.wishes import Wishes
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.canvas import Canvas, open_canvas
from distill.models.run_limit import RunLimit, SoundUnderLimit
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, COLUMN_SECONDS
from verbatim import longest_common_run

LIMIT = 2 * COLUMN_SECONDS
LONGEST = 2 * BANDS
LIMITED = {"max_copy_seconds": LIMIT}


@pytest.fixture
def nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny prior likes silence, which the oracle does not know."""
    monkeypatch.setattr(limiting, "silent_codes", lambda loaded: ())


@pytest.fixture
def loaded(tiny_model: Path) -> LoadedVQModel:
    return load_model(tiny_model)


def with_recordings(loaded: LoadedVQModel, recordings: Sequence[Tensor]) -> LoadedVQModel:
    """A model whose recordings are these: what it makes by itself, so that it would play back nothing else."""
    names = [file.name for file in loaded.card.corpus_manifest.files]
    codec = load_model(loaded.path).codec  # limits are kept with it
    return replace(loaded, codec=codec, codes={name: recordings[i % len(recordings)] for i, name in enumerate(names)})


def longest(made: Tensor, recordings: Sequence[Tensor]) -> int:
    return longest_common_run(made.numpy(), [each.numpy() for each in recordings], 1)


def sampled(loaded: LoadedVQModel, seeds: range, settings: GenerationSettings) -> list[Tensor]:
    assert loaded.prior is not None
    *_, (_, _, made) = sample_pieces(loaded.prior, [clip_generator(seed) for seed in seeds], loaded, settings)
    return [each.codes for each in made]


def looped(loaded: LoadedVQModel, seeds: range, settings: GenerationSettings) -> list[Tensor]:
    assert loaded.prior is not None
    filling = fill_loops(loaded.prior, [clip_generator(seed) for seed in seeds], loaded, settings, Wishes())
    while True:
        try:
            next(filling)
        except StopIteration as end:
            return [each.codes for each in end.value]


@pytest.mark.usefixtures("nothing_is_silent")
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (sampled, {"seconds": 1.0, "ending": "natural"}),
        (sampled, {"seconds": 3.0, "ending": "exact"}),
        (sampled, {"seconds": 1.0, "ending": "exact", "temperature": 0.0}),
        (sampled, {"seconds": 1.0, "ending": "exact", "loudness": 0.5, "tries": 2}),
        (looped, {"seconds": 1.5, "loop": True}),
    ],
    ids=["a sound", "sound after sound", "always the likeliest", "wishes", "a loop"],
)
def test_nothing_is_played_back(loaded: LoadedVQModel, make: object, settings: dict[str, object]) -> None:
    """Guards against a way of asking that the limit does not reach, against sounds that follow each other in one file and
    make a run together, and against codes that depend on what is made beside them."""
    plain, seeds = GenerationSettings(**settings), range(3)  # type: ignore[arg-type]
    recordings = make(loaded, seeds, plain)  # type: ignore[operator]
    assert max(map(len, recordings)) > LONGEST
    known = with_recordings(loaded, recordings)
    assert [torch.equal(*pair) for pair in zip(make(known, seeds, plain), recordings, strict=True)] == [True] * 3  # type: ignore[operator]
    made = make(known, seeds, plain.model_copy(update=LIMITED))  # type: ignore[operator]
    assert max(longest(each, recordings) for each in made) == LONGEST
    for seed, each in zip(seeds, made, strict=True):
        (alone,) = make(known, range(seed, seed + 1), plain.model_copy(update=LIMITED))  # type: ignore[operator]
        assert torch.equal(alone, each)


@pytest.mark.usefixtures("nothing_is_silent")
def test_what_is_given_stays_and_what_is_made_between_is_new(loaded: LoadedVQModel) -> None:
    """Guards against a limit that counts what the user gave, and against holes that are filled by heart."""
    assert loaded.prior is not None
    (recording,) = sampled(loaded, range(1), GenerationSettings(seconds=12 * COLUMN_SECONDS, ending="exact"))
    free = torch.zeros(len(recording) // BANDS, dtype=torch.bool)
    free[3:7] = free[8:11] = True
    canvas = Canvas(recording, free.repeat_interleave(BANDS)[:, None].repeat(1, recording.shape[1]), BANDS)
    settings = GenerationSettings(temperature=0.6)
    (heart,) = run(loaded, canvas, settings, None)
    known = with_recordings(loaded, [heart])
    under = sounds_under_limit(known, settings.model_copy(update={"max_copy_seconds": 0.17}), 1)
    (made,) = run(known, canvas, settings, under)
    assert torch.equal(made[~canvas.free], recording[~canvas.free])
    for first, last in ((3, 7), (8, 11)):
        hole = slice(first * BANDS, last * BANDS)
        assert longest(heart[hole], [heart]) == (last - first) * BANDS
        assert longest(made[hole], [heart]) <= BANDS


def run(
    loaded: LoadedVQModel, canvas: Canvas, settings: GenerationSettings, under: Sequence[SoundUnderLimit] | None
) -> list[Tensor]:
    return run_all(loaded, [canvas], settings, under)


def run_all(
    loaded: LoadedVQModel,
    canvases: Sequence[Canvas],
    settings: GenerationSettings,
    under: Sequence[SoundUnderLimit] | None,
) -> list[Tensor]:
    assert loaded.prior is not None
    generators = [clip_generator(seed) for seed in range(len(canvases))]
    filling = filled(loaded.prior, canvases, generators, settings, Wishes(), under_limit=under)
    while True:
        try:
            next(filling)
        except StopIteration as end:
            return [each.codes for each in end.value]


class Listener(SoundUnderLimit):
    """What a sound is told that it has got."""

    def __init__(self) -> None:
        super().__init__(RunLimit([], BANDS))
        self.told: list[int | str] = []

    def feed(self, code: int | None) -> None:
        self.told.append("given" if code is None else code)

    def pass_over(self) -> None:
        self.told.append("columns")


def test_a_sound_is_told_what_it_got(loaded: LoadedVQModel) -> None:
    """Guards against codes drawn for a sound that is over while others go on, and against given codes that count."""
    assert loaded.prior is not None
    levels = loaded.card.vqvae_config.rvq_levels
    ending = [open_canvas(5, BANDS, levels, "may") for _ in range(12)]
    listeners = [Listener() for _ in ending]
    made = run_all(loaded, ending, GenerationSettings(temperature=5.0), listeners)
    assert len({len(each) for each in made}) > 1
    assert [each.told for each in listeners] == [each[:, 0].tolist() for each in made]
    free = ending[0].free.clone()
    free[: 2 * BANDS] = free[3 * BANDS : 4 * BANDS] = False
    free[4 * BANDS + 2, 0] = free[4 * BANDS + 3, 1] = False
    (listener,) = listeners = [Listener()]
    (codes,) = run_all(loaded, [replace(ending[0], free=free, ends="never")], GenerationSettings(), listeners)
    coarse = codes[:, 0].tolist()
    told = [*coarse[2 * BANDS : 3 * BANDS], "columns", *coarse[4 * BANDS :]]
    told[BANDS + 1 + 2] = "given"
    assert listener.told == told


def test_silence_may_be_as_long_as_it_is(loaded: LoadedVQModel) -> None:
    """Guards against sounds that may not fade away because recordings do."""
    quiet = [sorted(each)[0] for each in silent_codes(loaded)]
    levels = loaded.card.vqvae_config.rvq_levels
    silence = torch.tensor(quiet).repeat(9)[:, None].expand(-1, levels)
    (sound,) = sounds_under_limit(with_recordings(loaded, [silence]), GenerationSettings(**LIMITED), 1) or []
    for code in silence[: 5 * BANDS, 0].tolist():
        assert sound.forbidden() == set()
        sound.feed(code)


def test_limits_that_cannot_be_kept(loaded: LoadedVQModel) -> None:
    """Guards against a promise without the recordings' codes, and against a traceback where every code is forbidden."""
    settings = GenerationSettings(**LIMITED)
    with pytest.raises(DistillError, match=r"does not hold the codes of its recordings.*train-prior"):
        sounds_under_limit(replace(loaded, codes={}), settings, 1)
    size, levels = loaded.card.vqvae_config.codebook_size, loaded.card.vqvae_config.rvq_levels
    everything = [
        torch.from_numpy(np.concatenate([np.full(2 * BANDS, 1), np.full(BANDS, code)]))[:, None].expand(-1, levels)
        for code in range(size)
    ]
    names = [str(number) for number in range(100)]
    all_codes = replace(loaded, codes={name: everything[i % size] for i, name in enumerate(names)})
    with pytest.raises(DistillError, match="as short as that"):
        sounds_under_limit(all_codes, settings, 1)
