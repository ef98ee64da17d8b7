"""The pictures in docs/page.md: every tab, from a real run on real sounds.

Taken where they are wanted: `DISTILL_SCREENSHOTS=docs/screenshots pytest tests/ui/test_screenshots.py`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from page import CHROMIUM, FLAGS, Server, choose_tab, start_server
from tiny import CORPORA

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
WANTED = os.environ.get("DISTILL_SCREENSHOTS")
TRAINING = 1_500_000
"""Milliseconds that a training may take on a busy machine."""

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.skipif(not CORPORA.is_dir(), reason="no recordings beside the checkout"),
    pytest.mark.skipif(not WANTED, reason="DISTILL_SCREENSHOTS does not say where the pictures go"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A home with an empty library."""
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("HOME", str(home))
    started = start_server(home / "distill")
    patch.undo()
    yield started
    started.end()


def test_screenshots(server: Server, tmp_path: Path) -> None:
    """Real drums through both stages; light, dark and on a phone."""
    shots = Path(WANTED or "").resolve()
    shots.mkdir(parents=True, exist_ok=True)
    epochs = os.environ.get("DISTILL_SCREENSHOT_EPOCHS", "24")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(TRAINING)

        def shoot(name: str, of: Any = page) -> None:
            of.wait_for_timeout(2500)
            of.mouse.move(0, 0)
            of.screenshot(path=shots / f"{name}.png", full_page=name != "sounds")

        page.goto(server.address)
        drums = sorted(path for path in (CORPORA / "drums").iterdir() if path.is_file())
        shutil.copy(drums[0], tmp_path / f"again {drums[0].name}")
        (tmp_path / "notes.txt").write_text("which kit, which room")
        page.get_by_label("Name of the collection").fill("drum kit")
        page.locator("#sounds-drop input[type=file]").set_input_files(
            [*drums, tmp_path / f"again {drums[0].name}", tmp_path / "notes.txt"]
        )
        page.get_by_text("usable sounds", exact=True).wait_for()
        shoot("sounds")
        page.get_by_role("button", name="Train on these sounds").click()
        page.locator("#codec-epochs").get_by_role("textbox").fill(epochs)
        page.get_by_role("button", name="Train the codec").click()
        page.locator("#codec-live").get_by_text("The codec of drum kit is ready").wait_for()
        page.locator("#prior-corpus").get_by_text("nothing to select").wait_for()
        page.get_by_role("button", name="Train the prior").click()
        page.wait_for_function("() => +(document.querySelector('#prior-live .d-chart')?.dataset.epochs || 0) > 20")
        shoot("train")
        page.locator("#prior-live").get_by_text("The prior of drum kit is ready").wait_for()
        choose_tab(page, "Generate")
        page.locator("#generate-count input").fill("6")
        page.locator("#generate-seed").get_by_role("textbox").fill("11")
        page.get_by_role("button", name="Generate", exact=True).click()
        page.locator("#generate-results audio").nth(5).wait_for()
        page.get_by_role("button", name="Keep seed 12").click()
        page.locator("#generate-results [aria-pressed=true]").wait_for()
        page.get_by_role("button", name="Start from seed 12").click()
        page.locator("#generate-from-heard h3").wait_for()
        page.locator("#reconstruct-box").get_by_role("button").first.click()
        page.locator("#reconstruct-file input[type=file]").set_input_files(drums[5])
        page.locator("#reconstruct-file").get_by_text(drums[5].stem).first.wait_for()
        page.get_by_role("button", name="Through the codec", exact=True).click()
        page.locator("#reconstruct-results").get_by_text("of 100 of the original").first.wait_for()
        page.locator("#evaluate-box").get_by_role("button").first.click()
        page.get_by_role("button", name="Measure", exact=True).click()
        page.get_by_role("region", name="Measured sounds").wait_for()
        page.locator("#generate-history-box").get_by_role("button").first.click()
        shoot("generate")
        choose_tab(page, "Library")
        page.locator("#library-cards article").wait_for()
        shoot("library")

        dark = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
        dark.goto(server.address)
        choose_tab(dark, "Train")
        dark.locator("#prior-live .d-chart").first.wait_for()
        shoot("train-dark", dark)
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(server.address)
        choose_tab(phone, "Generate")
        phone.locator("#generate-history-box").get_by_role("button").first.click()
        phone.get_by_role("button", name=re.compile("Show the sounds")).first.click()
        phone.locator("#generate-results audio").first.wait_for()
        phone.locator("#generate-history-box").get_by_role("button").first.click()
        shoot("generate-phone", phone)
        browser.close()
    for path in shots.glob("*.png"):
        Image.open(path).quantize(256).save(path, optimize=True)
        assert path.stat().st_size < 300_000, path
