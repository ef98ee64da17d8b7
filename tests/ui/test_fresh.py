"""The clock rings where there is news and nowhere else, and no news is lost on the way."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from distill.ui.desk import Desk
from distill.ui.fresh import joined
from distill.ui.page import make_app

UNCHANGED = (None, gr.skip(), {"__type__": "update", "props": gr.skip()})
"""How the page is told that a component stays as it is."""


def test_nothing_is_sent_where_nothing_is_new(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a page that is built anew every second, while all other answers wait."""
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setenv("DISTILL_LIBRARY", str(library))
    app = make_app(Desk(tmp_path, any_folder=True), "127.0.0.1", 7860)
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        config = browser.get("/config").json()
        parts = {part["id"]: part for part in config["components"]}
        ids = {part["props"].get("elem_id"): part["id"] for part in parts.values()}
        (clock,) = [d for d in config["dependencies"] if any(target[1] == "tick" for target in d["targets"])]
        given = {"owner": "me", "library-sort": "newest first"}
        values = [given.get(parts[i]["props"].get("elem_id", "")) for i in clock["inputs"]]

        def ask(handler: dict[str, Any], data: list[Any]) -> list[Any]:
            body = {"data": data, "fn_index": handler["id"], "session_hash": "one"}
            answer = browser.post("/gradio_api/run/predict", json=body)
            assert answer.status_code == 200
            return list(answer.json()["data"])

        assert any(value not in UNCHANGED for value in ask(clock, values))
        assert [value for value in ask(clock, values) if value not in UNCHANGED] == []
        shutil.copy(tiny_model, library / "kit.distill")
        rung = [i for i, bell in zip(clock["outputs"], ask(clock, values), strict=True) if bell not in UNCHANGED]
        sent: dict[int, Any] = {}
        for bell in rung:
            (handler,) = [d for d in config["dependencies"] if [bell, "change"] in d["targets"]]
            sent |= dict(zip(handler["outputs"], ask(handler, [None]), strict=True))
        assert "Details of kit" in str(sent[ids["library-cards"]])
        assert "kit" in str(sent[ids["generate-model"]])
        assert not any("Details of kit" in str(value) for i, value in sent.items() if i != ids["library-cards"])
    assert len(clock["outputs"]) < 30


def test_news_that_were_not_fetched_are_not_lost() -> None:
    choices = SimpleNamespace(_is_component_update=True, choices=["a"])
    value = SimpleNamespace(_is_component_update=True, value="a")
    assert joined(None, ["new"]) == ["new"]
    assert joined(["old", "older"], [gr.skip(), "new"]) == ["old", "new"]
    (both,) = joined([choices], [value])
    assert (both.choices, both.value) == (["a"], "a")
