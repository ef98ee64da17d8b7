"""The way through recordings that explains a sound: splices are found, and the fast search finds what a slow one does."""

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.audio.mel import log_mel
from distill.novelty import stretches
from distill.novelty.measuring import Known
from distill.novelty.sounds import FRAME_SECONDS, WIDE_DB, floored
from distill.novelty.stretches import CHANGE, MOST, STEP_FRAMES, Tapes, _Way
from distill.novelty.where import Provenance
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

CONFIG = SpectrogramConfig()


def sweep(number: int, seconds: float = 2.0) -> Tensor:
    """A sound that is nowhere like itself, and unlike for each number: [N]."""
    rng = np.random.default_rng(number)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    made = sum(
        rng.uniform(0.3, 1) * np.sin(2 * np.pi * rng.uniform(150, 3000) * (1 + rng.uniform(-0.3, 0.3) * time) * time)
        for _ in range(4)
    )
    made = made * (1.2 + np.sin(2 * np.pi * rng.uniform(2, 5) * time)) + 0.02 * rng.standard_normal(len(time))
    return torch.from_numpy((0.1 * made).astype(np.float32))


def mel_of(sound: Tensor) -> Tensor:
    return log_mel(sound, CONFIG).T


@pytest.fixture(scope="module")
def tapes() -> Tapes:
    return Tapes([(floored(mel_of(sweep(number)), WIDE_DB),) for number in range(6)], CONFIG)


def test_a_splice_in_the_middle_of_a_second_is_found(tapes: Tapes) -> None:
    """Guards against one recording for a whole second of two, and against a soft part that its loud neighbour hides."""
    first, second = sweep(1)[24_000:62_400], 0.03 * sweep(4)[9_600:62_400]
    found = tapes.stretches(mel_of(torch.cat([first, second])))
    assert [each.sound for each in found] == [1, 4]
    assert found[0].begins == 0
    assert found[0].ends == found[1].begins
    assert found[1].begins * FRAME_SECONDS == pytest.approx(0.8, abs=0.06)
    assert found[0].frame * FRAME_SECONDS == pytest.approx(0.5, abs=0.03)
    begins = found[1].begins * FRAME_SECONDS
    assert found[1].frame * FRAME_SECONDS - begins == pytest.approx(0.2 - 0.8, abs=0.03)
    assert all(each.unexplained < 0.15 for each in found)


def test_what_is_not_spliced_is_not_torn_apart(tapes: Tapes) -> None:
    """Guards against changes for nothing: a recording, softer and later by part of a frame, is one stretch."""
    found = tapes.stretches(mel_of(0.2 * sweep(3)[201:]))
    assert [each.sound for each in found] == [3]
    assert found[0].ends == CONFIG.frames(len(sweep(3)) - 201)


def test_the_way_is_the_cheapest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a fast search that forgets where a way has come from: a slow one with all its steps is the oracle."""
    generator = torch.Generator().manual_seed(0)
    steps, frames, count = 40, 30, 2
    left = -6.0 * torch.rand(steps, count * frames, generator=generator) ** 6
    left = left.clamp_max(MOST)
    way = _Way(count, frames)
    for costs in left:
        way.step(costs)
    cost, came = left[0].clone(), []
    for costs in left[1:]:
        stay = torch.full_like(cost, torch.inf)
        for state in range(count * frames):
            if state % frames >= STEP_FRAMES:
                stay[state] = cost[state - STEP_FRAMES]
        best = int(cost.argmin())
        from_best = stay > cost[best] + CHANGE
        came.append(torch.where(from_best, best, torch.arange(count * frames) - STEP_FRAMES))
        cost = torch.minimum(stay, cost[best] + CHANGE) + costs
    slow = [int(cost.argmin())]
    for each in reversed(came):
        slow.append(int(each[slow[-1]]))
    fast: list[int] = []
    for first, last, state in way.runs():
        fast += [state - (last - step) * STEP_FRAMES for step in range(first, last + 1)]
    assert fast == slow[::-1]
    assert len(way.runs()) > 3


def test_a_sound_shorter_than_a_window_has_a_place(tapes: Tapes) -> None:
    """Guards against a click that has no window at all."""
    found = tapes.stretches(mel_of(sweep(2)[:1000]))
    assert len(found) == 1
    assert found[0].ends == CONFIG.frames(1000)


def test_many_windows_at_a_time_are_as_good_as_few(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against ways that end where a block of distances does."""
    mel = mel_of(torch.cat([sweep(1)[:48_000], sweep(5)[:40_000]]))
    whole = tapes.stretches(mel)
    monkeypatch.setattr(stretches, "CELLS", 1)
    monkeypatch.setattr(stretches, "BLOCK", 100)
    assert [each[:4] for each in tapes.stretches(mel)] == [each[:4] for each in whole]


def test_a_soft_part_of_a_splice_is_as_near_as_a_loud_one() -> None:
    """Guards against a part that is judged in the range of its loud neighbour, so that an exact copy is no nearer than chance."""
    generator = torch.Generator().manual_seed(0)
    known = [
        Known(
            f"{number}.wav",
            number,
            torch.randint(0, 16, (48, 3), generator=generator),
            (floored(mel_of(sweep(number, 1.0)), WIDE_DB),),
        )
        for number in range(14)
    ]
    provenance = Provenance.of(known[:12], known[12:], CONFIG)
    sound = torch.cat([sweep(2, 1.0)[:36_000], 0.03 * sweep(7, 1.0)[4_800:40_800]])
    first, second = provenance.sources(sound.numpy())
    assert (first.nearest, second.nearest) == ("2.wav", "7.wav")
    assert first.nearer_than_chance
    assert second.nearer_than_chance
    assert second.nearest_seconds - second.begins == pytest.approx(0.1 - 0.75, abs=0.03)
    assert second.ends == 1.5
    unseen = list(provenance.sources(sweep(40, 1.0).numpy()))
    assert unseen
    assert not any(each.nearer_than_chance for each in unseen)
