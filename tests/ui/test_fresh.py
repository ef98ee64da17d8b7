"""The clock notifies of news and of nothing else, and news is by what the page says when it is fetched."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from distill.ui.page import make_app
from distill.ui.page_state import PageState

UNCHANGED = (None, gr.skip(), {"__type__": "update", "props": gr.skip()})
"""How the page is told that a component stays as it is."""


class Clock:
    """The clock of a page over a library, asked as a browser tab would."""

    def __init__(self, browser: TestClient) -> None:
        self.browser = browser
        self.config = browser.get("/config").json()
        self.names = {part["id"]: part["props"].get("elem_id") for part in self.config["components"]}
        self.fields = {"owner": "me", "library-sort": "newest first"}
        (self.tick,) = [d for d in self.config["dependencies"] if any(of[1] == "tick" for of in d["targets"])]

    def ask(self, handler: dict[str, Any]) -> dict[int, Any]:
        """What a handler changes, by the component's number."""
        data = [self.fields.get(self.names[number]) for number in handler["inputs"]]
        body = {"data": data, "fn_index": handler["id"], "session_hash": "one"}
        answer = self.browser.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 200
        values = zip(handler["outputs"], answer.json()["data"], strict=True)
        return {number: value for number, value in values if value not in UNCHANGED}

    def fetch(self, notices: dict[int, Any]) -> dict[str, Any]:
        """What the notices stand for, by the component's name."""
        sent: dict[str, Any] = {}
        for notice in notices:
            for handler in [d for d in self.config["dependencies"] if [notice, "change"] in d["targets"]]:
                sent |= {self.names[number]: value for number, value in self.ask(handler).items()}
        self.fields |= {
            name: value["value"] for name, value in sent.items() if isinstance(value, dict) and "value" in value
        }
        return sent


@pytest.fixture
def empty_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setenv("DISTILL_LIBRARY", str(library))
    return library


@pytest.fixture
def clock(empty_library: Path, tmp_path: Path) -> Iterator[Clock]:
    app = make_app(PageState(tmp_path, any_folder=True), "127.0.0.1", 7860)
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        clock = Clock(browser)
        assert clock.fetch(clock.ask(clock.tick))
        yield clock


def test_nothing_is_sent_where_nothing_is_new(clock: Clock, empty_library: Path, tiny_model: Path) -> None:
    """Guards against a page that is built anew every second, while all other answers wait."""
    assert clock.ask(clock.tick) == {}
    shutil.copy(tiny_model, empty_library / "kit.distill")
    sent = clock.fetch(clock.ask(clock.tick))
    assert "Details of kit" in str(sent["library-cards"])
    assert "kit" in str(sent["generate-model"])
    assert not any("Details of kit" in str(value) for name, value in sent.items() if name != "library-cards")
    assert clock.ask(clock.tick) == {}
    assert len(clock.tick["outputs"]) < 30


def test_news_is_by_what_the_page_says_when_it_is_fetched(clock: Clock, empty_library: Path, tiny_model: Path) -> None:
    """Guards against a listing by an older search that comes late and replaces the newer one for good."""
    shutil.copy(tiny_model, empty_library / "kit.distill")
    notices = clock.ask(clock.tick)
    clock.fields["library-search"] = "nothing like it"
    assert "No model matches" in str(clock.fetch(notices)["library-cards"])


def test_it_notifies_until_the_news_is_fetched(clock: Clock, empty_library: Path, tiny_model: Path) -> None:
    """Guards against news that is lost because an answer was: twice the same is no change to a browser."""
    shutil.copy(tiny_model, empty_library / "kit.distill")
    first, second = clock.ask(clock.tick), clock.ask(clock.tick)
    assert first.keys() == second.keys()
    assert all(first[notice] != second[notice] for notice in first)
    assert "Details of kit" in str(clock.fetch(second)["library-cards"])
