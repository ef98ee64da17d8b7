"""`forget`, `consent` and `attribute` as typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.modelfile.file import read_card
from distill.training.prior import without

Run = Callable[..., tuple[int, str, str]]


def test_forget_and_consent(distill: Run, library: Path) -> None:
    """Guards against figures that --json leaves out, a card that does not show it, and mistakes that are tracebacks."""
    code, out, err = distill("consent", "kit", "hit 9.wav", "--whose", "Ada")
    assert (code, out) == (1, "")
    assert err.startswith("Error: The model has learned from no recording called 'hit 9.wav'")
    code, out, _ = distill("consent", "kit", "hit [12].wav", "--whose", "Ada", "--licence", "CC0", "--json")
    told = json.loads(out)
    assert told["consents"] == [{"of": f"hit {n}.wav", "whose": "Ada", "licence": "CC0"} for n in (1, 2)]
    assert len(told["without"]) == 7
    name = next(f.name for f in read_card(library / "kit.distill").corpus_manifest.train if f.name != "hit 2.wav")
    code, out, err = distill("forget", "kit", name, "--device", "cpu", "--json", "--no-undo")
    report = json.loads(out)
    assert code == 0
    assert report["undo"] is None
    assert [each["name"] for each in report["recordings"]] == [name]
    assert {"before", "after", "unseen_before", "unseen_after", "is_forgotten", "sentence"} <= set(report)
    assert "The codec was trained with them" in err
    _, card, _ = distill("info", "kit")
    card = " ".join(card.replace("│", " ").split())
    assert "forgotten recordings: 1; the codec was trained with 1 of them" in card
    assert "hit 2.wav: Ada, CC0" in card
    _, out, _ = distill("consent", "kit")
    assert out.splitlines()[-1].endswith("recordings have no line.")


def test_attribute(distill: Run, library: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a table without its first place, and an option that does nothing."""
    monkeypatch.setattr(without, "TAUGHT_STEPS", 2)
    code, out, _ = distill(
        "attribute", sounds / "long.wav", library / "kit.distill", "--suspects", "2", "--device", "cpu"
    )
    assert code == 0
    assert out.startswith(("Cannot tell: ", "long.wav: "))
    assert sum(f"{number}%" in out for number in range(101)) >= 1
    code, _, err = distill("attribute", sounds / "long.wav", "kit", "--suspects", "40")
    assert (code, err) == (1, "Error: --suspects 40: give 2 to 12.\n")
