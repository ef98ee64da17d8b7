"""What arrives where when sounds are made: seeds, prefixes of windows, and the noise of synthesis."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from distill.library import history
from distill.models.filling import sample_codes
from distill.models.prior import BOS, MID, CodePrior
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.prior import PriorConfig
from distill.studio.jobs import Jobs

SMALL = PriorConfig(
    hidden_size=32, num_layers=1, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=24, bands=4, rvq_levels=2
)


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CodePrior(SMALL, torch.randn(2, 11, 5)).eval()


def test_a_window_slides_to_the_newest_columns_as_the_middle_of_a_sound(
    prior: CodePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a window that goes on from its oldest columns, or that begins the sound again."""
    begun: list[tuple[list[int], Tensor]] = []
    real = CodePrior.begin

    def noted(self: CodePrior, start: Tensor, prefix: Tensor, *further: Any) -> object:
        begun.append((start.tolist(), prefix.clone()))
        return real(self, start, prefix, *further)

    monkeypatch.setattr(CodePrior, "begin", noted)
    codes = list(sample_codes(prior, [clip_generator(1), clip_generator(2)], 14, may_end=False))[-1]
    whole = torch.stack(codes)
    assert begun[0][0] == [BOS, BOS]
    assert begun[0][1].shape[1] == 0
    assert len(begun) > 3
    at = 6  # columns in a window
    for start, prefix in begun[1:]:
        assert start == [MID, MID]
        columns = prefix.shape[1] // 4
        assert 0 < columns < 6
        assert torch.equal(prefix, whole[:, (at - columns) * 4 : at * 4])
        at += 6 - columns


def test_a_seed_decides_the_codes() -> None:
    """Guards against `--seed` that no draw depends on."""
    assert torch.equal(torch.rand(4, generator=clip_generator(5)), torch.rand(4, generator=clip_generator(5)))
    streams = torch.stack([torch.rand(64, generator=clip_generator(seed)) for seed in range(200)])
    assert len({tuple(row.tolist()) for row in streams}) == 200
    assert float(torch.corrcoef(streams).triu(1).abs().max()) < 0.6  # neighbouring seeds are unlike


def test_two_writers_of_one_generation_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a history without its lock: sounds are added and decided on from two threads at once."""
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path))
    made = history.begin_generation("kit", GenerationSettings(count=24, seed=1))
    paths = [made.folder / f"{number}.wav" for number in range(24)]
    for path in paths:
        soundfile.write(path, np.zeros(100, np.float32), 48_000)
    first = [threading.Thread(target=lambda p=p: history.add_sound(made.id, p, 0.1, 1)) for p in paths]
    for thread in first:
        thread.start()
    for thread in first:
        thread.join()
    assert {sound.file for sound in history.find_generation(made.id).sounds} == {path.name for path in paths}
    second = [threading.Thread(target=lambda p=p: history.decide(made.id, p.name, "discarded")) for p in paths]
    for thread in second:
        thread.start()
    for thread in second:
        thread.join()
    assert {sound.fate for sound in history.find_generation(made.id).sounds} == {"discarded"}


def test_two_trainings_begun_at_once_are_one() -> None:
    """Guards against jobs without their lock: of ten that begin at the same moment one is taken."""
    jobs = Jobs()
    gate, end = threading.Barrier(10), threading.Event()
    outcomes: list[str] = []

    def work(stop: threading.Event) -> object:
        end.wait(10)
        yield from ()

    def begin() -> None:
        gate.wait()
        try:
            jobs.start("codec", "a training", work)  # type: ignore[arg-type]
            outcomes.append("begun")
        except Exception:
            outcomes.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end.set()
    jobs.stop_all(10)
    assert sorted(outcomes) == ["begun"] + ["refused"] * 9
