"""A browser for the page's tests: Debian's Chromium, driven by Playwright."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from page import CHROMIUM, FLAGS, SLOW, Server, say, start_server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A library with `kit`, whose recordings are where they were; modules with another library have their own."""
    library = tmp_path_factory.mktemp("page") / "library"
    library.mkdir()
    shutil.copy(tiny_model, library / "kit.distill")
    started = start_server(library)
    yield started
    started.end()


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """Open the page in a new context; at the end no request has left the machine and no script has failed."""
    requests: list[str] = []
    failures: list[str] = []
    contexts = []

    def open_one(**how: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        begun = time.monotonic()
        page.goto(server.address)
        page.get_by_role("tab", name="Sounds").wait_for()
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        say(f"first paint {paint:.2f} s, tabs shown after {time.monotonic() - begun:.2f} s, nothing in the cache")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert requests
    assert [url for url in requests if not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", url)] == []
    assert failures == []
