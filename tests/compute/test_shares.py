"""Several processes train as one: every item in exactly one share, the same figures, one voice."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.compute.device import check_processes
from distill.compute.processes import Processes, is_first
from distill.compute.shares import row_count, rows_of, share_of
from distill.errors import DistillError
from distill.modelfile.file import read_card, read_contents
from distill.models.prior import Given
from distill.training.prior.windows import CodeBatch
from tiny import TINY_CODEC, TINY_PRIOR

SECONDS = 300
two_cores = pytest.mark.skipif(
    hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2, reason="two processes need two cores"
)


@given(st.integers(0, 200), st.integers(1, 17))
def test_every_item_is_in_exactly_one_share(items: int, processes: int) -> None:
    """Guards against lost and doubly counted items where the count does not divide."""
    shares = [share_of(range(items), number, processes) for number in range(processes)]
    assert sorted(item for share in shares for item in share) == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 40), st.integers(1, 9))
def test_every_row_of_a_batch_is_in_exactly_one_share(rows: int, processes: int) -> None:
    """Guards against parts of a batch that are cut at different places."""
    number = torch.arange(rows)
    batch = CodeBatch(number[:, None, None], number, number[:, None], number[:, None, None], Given(kind=number))
    shares = [rows_of(batch, place, processes) for place in range(processes)]
    assert sum(map(row_count, shares)) == rows
    for share in shares:
        parts = [*share[:-1], share.given.kind]
        assert all(torch.equal(part.flatten(), share.start) for part in parts)
        assert share.given.order is None
    assert sorted(torch.cat([share.start for share in shares]).tolist()) == list(range(rows))


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),
    ],
)
def test_one_process_speaks(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], first: bool) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first() is first


def test_more_processes_than_places_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with pytest.raises(DistillError, match=f"--devices {cores + 1}: this machine has {cores} processor cores"):
        check_processes(Processes(cores + 1), torch.device("cpu"))
    with pytest.raises(DistillError, match="--devices 2"):
        check_processes(Processes(2), torch.device("mps"))
    for name in ("MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DistillError, match="--num-nodes 2: set MASTER_ADDR"):
        check_processes(Processes(1, 2), torch.device("cpu"))


def distill(*words: str, **settings: object) -> dict[str, Any]:
    """One command on the processor -> its JSON object, the only thing on stdout."""
    flags = [word for name, value in settings.items() for word in _flag(name, value)]
    line = [sys.executable, "-m", "distill", *words, *flags, "--device", "cpu", "--json"]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr.count("Saved model") == 1
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def _flag(name: str, value: object) -> list[str]:
    flag = name.removeprefix("num_").replace("_", "-")
    return [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]


@two_cores
def test_two_processes_train_the_prior_that_one_trains(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against gradients averaged over processes instead of codes, lost or doubly counted files, and two writers.

    Batches of five leave uneven shares. Without dropout nothing random differs; sums are taken in another order, hence
    the tolerance.
    """
    paths = tmp_path / "one.distill", tmp_path / "two.distill"
    for path in paths:
        shutil.copy(tiny_model, path)
    settings = {**TINY_PRIOR, "epochs": 8, "dropout": 0.0, "batch_size": 5, "learning_rate": 0.01}
    one, two = (
        distill("train-prior", str(path), "--overwrite", "--devices", str(number), **settings)
        for number, path in enumerate(paths, start=1)
    )
    assert two["best_perplexity"] == pytest.approx(one["best_perplexity"], rel=2e-3)
    assert two["final_perplexity"] == pytest.approx(one["final_perplexity"], rel=2e-3)
    assert one["final_perplexity"] < 0.9 * read_card(tiny_model).prior_metadata.best_perplexity  # type: ignore[union-attr]
    first, second = (read_card(path).loss_curve_history["prior"] for path in paths)
    assert [point.train_loss for point in second] == pytest.approx([point.train_loss for point in first], rel=2e-3)
    kept, again = (read_contents(path)["codes"] for path in paths)
    assert list(kept) == list(again)
    assert all(torch.equal(again[name], codes) for name, codes in kept.items())


@two_cores
def test_two_processes_count_all_codes(sounds: Path, tmp_path: Path) -> None:
    """Guards against a codec whose codebooks or usage know one process's share only."""
    cards = []
    for number in (1, 2):
        path = tmp_path / f"{number}.distill"
        distill("train", str(sounds), "--out", str(path), "--devices", str(number), **TINY_CODEC)
        cards.append(read_card(path))
    one, two = cards
    for alone, shared in zip(one.codebook_health_snapshot.levels, two.codebook_health_snapshot.levels, strict=True):
        assert sum(shared.usage) == sum(alone.usage)
    assert two.metadata.val_mel_l1_db == pytest.approx(one.metadata.val_mel_l1_db, rel=0.1)
