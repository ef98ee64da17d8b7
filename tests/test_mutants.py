"""The list of mutations is in order: each text stands once, each test is there. `make mutants` runs them."""

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("mutants")


def test_every_mutation_can_be_made(mutants: Any) -> None:
    """Guards against a list that is overtaken by the program: a mutation that is not made is not killed either."""
    assert {each.name: problem for each in mutants.MUTANTS if (problem := mutants._misplaced(each))} == {}
    assert len({each.name for each in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 60
    for each in mutants.MUTANTS:
        assert all((ROOT / "tests" / path).is_file() for path in each.tests.split() if path.endswith(".py")), each.name


def test_another_dozen_for_every_commit(mutants: Any) -> None:
    """Guards against a gate that always tries the same."""
    chosen = [sorted(mutants.MUTANTS, key=lambda each: mutants._rank(each, commit))[:12] for commit in ("a", "b")]
    assert chosen[0] != chosen[1]
