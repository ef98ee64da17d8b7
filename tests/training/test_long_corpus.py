"""A long corpus: an epoch is a share of it, drawn anew, and so is what the epochs are judged by, the same each time."""

from pathlib import Path

import pytest
import torch

from distill import studio
from distill.compute.fabric import launch_fabric
from distill.events import PriorStepMetrics, PriorTrainingCompleteEvent
from distill.settings import auto
from distill.settings.prior import PriorSettings
from distill.training.fit import fit
from distill.training.prior.codes import CodeSequences, CodeView
from distill.training.prior.judged import judged_by
from distill.training.prior.task import PriorTask
from tiny import hit, write_sounds

SETTINGS = PriorSettings(
    hidden_size=16, num_layers=1, num_heads=2, codebook_size=9, codebook_dim=4, seq_len=12, bands=4, rvq_levels=2,
    batch_size=4, epochs=10, views=1,
)  # fmt: skip


def codes(columns: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 9, (columns * 4, 2), generator=torch.Generator().manual_seed(seed))


def test_an_epoch_is_a_share_that_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against ten hours that take ten passes, and against a share that is always the same."""
    monkeypatch.setattr(auto, "PRIOR_STEPS", 20)
    files = tuple((CodeView(codes(3, n)),) for n in range(40))
    task = PriorTask(CodeSequences(files, (codes(4, 99),)), torch.zeros(2, 9, 4), SETTINGS, lambda _best: [])
    assert task.windows_per_epoch == 20 * 4 // 10
    seen: set[bytes] = set()
    for epoch in range(1, 21):
        batches = list(task.batches(epoch))
        assert [len(batch.codes) for batch in batches] == [4, 4]
        seen |= {row.numpy().tobytes() for batch in batches for row in batch.codes}
    assert len(seen) > 36
    steps = [event for event in fit(task, launch_fabric("cpu", 0)) if isinstance(event, PriorStepMetrics)]
    assert len(steps) == 20


def test_what_is_judged_by_is_bounded_and_spread() -> None:
    """Guards against a validation that takes longer than its epoch, and against one file that speaks for all."""
    few = [codes(5, n) for n in range(3)]
    assert all(one is other for one, other in zip(judged_by(few, 4), few, strict=True))
    many = [codes(10, n) for n in range(100)]
    chosen = judged_by(many, 4, most=400)
    assert len(chosen) == 10
    assert [next(n for n, each in enumerate(many) if torch.equal(each, one)) for one in chosen] == list(
        range(0, 100, 10)
    )
    long = judged_by([codes(1000, 0), *(codes(2, n) for n in range(1, 9))], 4, most=800)
    assert len(long[0]) == 100
    assert sum(map(len, long)) <= 800
    assert len(long) == 9


def test_an_eighth_of_a_second_trains(tmp_path: Path) -> None:
    """Guards against divisions by nothing where there is next to nothing: five sounds of 25 ms."""
    folder = write_sounds(tmp_path / "clicks", 5, lambda number: hit(3 * number, 0.025))
    path = tmp_path / "clicks.distill"
    quick = {"epochs": 2, "channels": 24, "codebook_dim": 8, "pretrained": False, "preview_every": 0}
    list(studio.train(folder, out=path, overrides=quick, device="cpu"))
    size = {"hidden_size": 16, "num_layers": 1, "num_heads": 2}
    events = list(studio.train_prior_for(str(path), overrides={"epochs": 2, "views": 1, **size}, device="cpu"))
    assert isinstance(events[-1], PriorTrainingCompleteEvent)
