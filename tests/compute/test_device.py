"""Where and in which precision: measured, kept, and never a surprise."""

import json
from pathlib import Path

import pytest
import torch

from distill.compute import device
from distill.compute.device import bfloat16_is_faster, choose_device, training_precision
from distill.errors import DistillError


@pytest.mark.parametrize(("seconds", "expected"), [((1.0, 3.0), True), ((3.0, 3.1), False), ((9.0, 3.0), False)])
def test_bfloat16_is_used_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: tuple[float, float], expected: bool
) -> None:
    taken = dict(zip((torch.bfloat16, torch.float32), seconds, strict=True))
    monkeypatch.setattr(device, "_product_seconds", taken.__getitem__)
    assert bfloat16_is_faster(tmp_path / "processor.json") is expected


def test_the_processor_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards against a resumed training that goes on in another precision because the machine was busy."""
    notes = tmp_path / "cache" / "processor.json"
    first = bfloat16_is_faster(notes)
    monkeypatch.setattr(device, "_product_seconds", lambda dtype: pytest.fail("measured again"))
    assert bfloat16_is_faster(notes) is first


@pytest.mark.parametrize("damage", ["", "[]", "{}", "no json"])
def test_damaged_notes_are_measured_anew(tmp_path: Path, damage: str) -> None:
    notes = tmp_path / "processor.json"
    notes.write_text(damage)
    found = bfloat16_is_faster(notes)
    assert list(json.loads(notes.read_text()).values()) == [found]


def test_measuring_leaves_the_randomness_alone(tmp_path: Path) -> None:
    """Guards against a first run that differs from all others."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    bfloat16_is_faster(tmp_path / "processor.json")
    assert torch.equal(torch.rand(2), expected)


def test_devices_that_are_not_there_are_named() -> None:
    assert choose_device("cpu").type == "cpu"
    assert training_precision(torch.device("mps")) == "32-true"
    with pytest.raises(DistillError, match="--device warp"):
        choose_device("warp")
