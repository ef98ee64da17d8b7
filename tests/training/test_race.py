"""Sizes of prior race for a corpus: who wins is what it would have been alone, and nothing is lost on the way."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill import studio
from distill.compute.fabric import launch_fabric
from distill.errors import DistillError
from distill.events import (
    Event,
    PriorEpochMetrics,
    PriorRaceRound,
    PriorStepMetrics,
    PriorTrainingCompleteEvent,
    TrainingStarted,
)
from distill.modelfile.file import read_card, read_contents
from distill.settings import auto
from distill.settings.prior import PriorSettings, PriorSize
from distill.training import unfinished
from distill.training.prior import race as racing
from distill.training.prior.codes import CodeSequences, CodeView
from distill.training.prior.race import race_sizes
from distill.training.prior.task import PriorTask
from tiny import exhausted

SIZES = (PriorSize(16, 1, 2), PriorSize(24, 1, 2), PriorSize(32, 2, 2))
QUICK: dict[str, Any] = {"epochs": 8, "views": 1}
SETTINGS = PriorSettings(
    hidden_size=16, num_layers=1, num_heads=2, codebook_size=9, codebook_dim=4, seq_len=12, bands=4, rvq_levels=2,
    batch_size=3, epochs=16,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "PRIOR_SIZES", SIZES)
    monkeypatch.setattr(auto, "prior_sizes", lambda _positions, preset: SIZES[:1] if preset == "draft" else SIZES)
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)


def trained(**more: Any) -> list[Event]:
    return list(studio.train_prior_for("kit", device="cpu", **{"overrides": QUICK, "overwrite": True, **more}))


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def a_task(settings: PriorSettings) -> PriorTask:
    def codes(columns: int, seed: int) -> torch.Tensor:
        return torch.randint(0, 9, (columns * 4, 2), generator=torch.Generator().manual_seed(seed))

    sequences = CodeSequences(tuple((CodeView(codes(5, n)),) for n in range(3)), (codes(4, 3),))
    return PriorTask(sequences, torch.zeros(2, 9, 4), settings, lambda _best: [])


def judging(monkeypatch: pytest.MonkeyPatch, bits: Callable[[racing.Runner], float]) -> None:
    monkeypatch.setattr(racing.Runner, "bits", bits)


def test_the_worst_leaves_after_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a race whose figures do not decide, or whose losers are trained on."""
    judging(monkeypatch, lambda runner: {16: 2.0, 24: 1.0, 32: 3.0}[runner.size.hidden_size])
    found: list[Event] = []
    running = race_sizes(SIZES, SETTINGS, a_task, launch_fabric("cpu", 0))
    while True:
        try:
            found.append(next(running))
        except StopIteration as end:
            raced = end.value
            break
    rounds = of(found, PriorRaceRound)
    assert [[size.goes_on for size in each.sizes] for each in rounds] == [
        [True, True, True], [True, True, False], [False, True, False],
    ]  # fmt: skip
    assert [size.epochs for size in rounds[-1].sizes] == [4, 4, 2]  # 0.15 and 0.25 of 16
    assert rounds[0].sizes[0].bits_per_code is None
    assert raced.settings.hidden_size == rounds[-1].winner.hidden_size == 24
    assert raced.state["epoch"] == 4
    assert raced.steps == (4 + 2) * a_task(SETTINGS).steps_per_epoch


@pytest.mark.parametrize(("better", "winner"), [(0.0, 16), (0.04, 16), (0.06, 24)])
def test_a_larger_size_has_to_be_worth_it(monkeypatch: pytest.MonkeyPatch, better: float, winner: int) -> None:
    """Guards against a prior of twice the size for a difference that is none."""
    judging(monkeypatch, lambda runner: {16: 1.0, 24: 1.0 - better}[runner.size.hidden_size])
    assert exhausted(race_sizes(SIZES[:2], SETTINGS, a_task, launch_fabric("cpu", 0))).settings.hidden_size == winner


def test_the_winner_is_what_it_would_have_been_alone(library: Path) -> None:
    """Guards against a race that costs the winner its random numbers, its learning rates or its first epochs."""
    events = trained()
    won = of(events, PriorRaceRound)[-1].winner
    raced = read_contents(library / "kit.distill", mapped=False)
    size = {"hidden_size": won.hidden_size, "num_layers": won.num_layers, "num_heads": won.num_heads}
    alone = trained(overrides={**QUICK, **size})
    assert not of(alone, PriorRaceRound)
    weights = read_contents(library / "kit.distill", mapped=False)["prior_state_dict"]
    assert raced["prior_config"]["hidden_size"] == won.hidden_size
    for name, tensor in raced["prior_state_dict"].items():
        assert torch.equal(tensor, weights[name])
    told, epochs = of(events, PriorEpochMetrics), of(alone, PriorEpochMetrics)
    assert [(each.epoch, each.val_loss) for each in told] == [(each.epoch, each.val_loss) for each in epochs]


def test_the_race_is_in_the_file_and_auto_stays_auto(library: Path) -> None:
    """Guards against a size that looks as if the user had set it, and a file that forgets what it was chosen from."""
    events = trained()
    card = read_card(library / "kit.distill")
    assert card.prior_metadata is not None
    last = of(events, PriorRaceRound)[-1]
    assert [each.hidden_size for each in card.prior_metadata.race] == [size.hidden_size for size in SIZES]
    assert [each.goes_on for each in card.prior_metadata.race] == [size.goes_on for size in last.sizes]
    assert card.settings_origin["prior"]["hidden_size"] == "auto"
    assert of(events, TrainingStarted)[0].settings["hidden_size"] == last.winner.hidden_size


def test_time_and_steps_count_through_the_race(library: Path) -> None:
    """Guards against a bar that begins again after the race, or is full before its end."""
    steps = of(trained(), PriorStepMetrics)
    assert [each.step for each in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].total_steps == len(steps)
    assert all(each.total_steps >= each.step and each.seconds_left >= 0.0 for each in steps)
    assert steps[0].seconds_left > steps[-2].seconds_left


@pytest.mark.parametrize("overrides", [{"preset": "draft"}, {"hidden_size": 24}, {"num_layers": 1}])
def test_no_race_where_there_is_nothing_to_choose(library: Path, overrides: dict[str, Any]) -> None:
    events = trained(overrides={**QUICK, **overrides})
    assert not of(events, PriorRaceRound)
    assert of(events, TrainingStarted)[0].settings["hidden_size"] == overrides.get("hidden_size", 16)


def test_a_stopped_race_keeps_who_is_ahead_and_can_be_resumed(library: Path) -> None:
    """Guards against a race under way that --resume does not know, and one that leaves nothing when it is stopped."""
    whole = trained()
    stop, seen = threading.Event(), []
    for event in studio.train_prior_for("kit", overrides=QUICK, device="cpu", overwrite=True, stop=stop):
        seen.append(event)
        if len(of(seen, PriorStepMetrics)) == 4:
            stop.set()
    done = of(seen, PriorTrainingCompleteEvent)[0]
    assert done.stopped_early
    assert done.epochs_trained < QUICK["epochs"]
    again = trained(overrides={}, resume=True)
    assert of(again, PriorRaceRound)[-1] == of(whole, PriorRaceRound)[-1]
    assert (
        of(again, PriorTrainingCompleteEvent)[0].bits_per_code == of(whole, PriorTrainingCompleteEvent)[0].bits_per_code
    )


def test_a_closed_race_has_saved_its_best(library: Path) -> None:
    """Guards against a race that holds its priors back until it is over."""
    running = studio.train_prior_for("kit", overrides=QUICK, device="cpu", overwrite=True)
    for event in running:
        if isinstance(event, PriorRaceRound) and event.round == 1:
            break
    running.close()
    card = read_card(library / "kit.distill")
    assert card.prior_config is not None
    kept = card.prior_config.hidden_size, card.prior_config.num_layers, card.prior_config.num_heads
    assert kept in SIZES  # the one that was there has 32 x 1


def test_a_run_after_its_race_resumes_as_that_size(library: Path) -> None:
    """Guards against a race that is run again when its winner was being trained."""
    whole = trained()
    running = studio.train_prior_for("kit", overrides=QUICK, device="cpu", overwrite=True)
    for event in running:
        if isinstance(event, PriorEpochMetrics) and event.epoch == 4:
            break
    running.close()
    again = trained(overrides={}, resume=True)
    assert not of(again, PriorRaceRound)
    metadata = read_card(library / "kit.distill").prior_metadata
    assert metadata is not None
    assert len(metadata.race) == 3
    assert (
        of(again, PriorTrainingCompleteEvent)[0].bits_per_code == of(whole, PriorTrainingCompleteEvent)[0].bits_per_code
    )


def test_a_race_of_other_sounds_is_not_resumed(library: Path) -> None:
    running = studio.train_prior_for("kit", overrides=QUICK, device="cpu", overwrite=True)
    while not isinstance(next(running), PriorRaceRound):
        pass
    running.close()
    path = unfinished.unfinished_path(library / "kit.distill", "prior")
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "facts": {**kept["facts"], "corpus": "0" * 64}}, path)
    with pytest.raises(DistillError, match="other sounds or another codec"):
        trained(overrides={}, resume=True)
