"""In a real browser: the strip under a sound says what each second is nearest to, and plays it beside its recording."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import soundfile

from page import CHROMIUM, SLOW, UNNAMED, Server, choose_tab
from tiny import RATE

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.timeout(900),
]
PLAYED = """() => {
  window.played = [];
  document.addEventListener('play', event => window.played.push([event.target.getAttribute('aria-label'),
    event.target.currentTime]), true);
  for (const player of document.querySelectorAll('audio')) player.muted = true;
}"""


def test_a_second_is_heard_beside_its_recording(open_page: Callable[..., Any], server: Server) -> None:
    """Guards against a strip that is missing, unnamed for who does not see it, or plays another recording or nothing."""
    page = open_page()
    choose_tab(page, "Generate")
    page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    page.locator("#generate-count input").fill("1")
    page.locator("#generate-seed").get_by_role("textbox").fill("3")
    page.locator("#generate-more").get_by_role("button").first.click()
    page.locator("#generate-provenance input").click()
    page.get_by_role("option", name="on", exact=True).click()
    page.get_by_role("button", name="Generate", exact=True).click()
    strip = page.locator("#generate-results .near")
    strip.wait_for()
    parts = strip.get_by_role("button")
    assert parts.count() >= 1
    label = parts.first.get_attribute("aria-label")
    name = parts.first.get_attribute("data-name")
    assert f"nearest to {name} at" in label
    assert page.locator("#generate-results .near-words").inner_text().startswith(("No nearer", "Nearer"))
    assert page.evaluate(UNNAMED) == []
    page.evaluate(PLAYED)
    parts.first.click()
    deadline = time.monotonic() + SLOW / 1000
    while len(page.evaluate("window.played")) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    sound, recording = page.evaluate("window.played")
    assert sound[0] == "Play Seed 3"
    assert recording[0] == f"Recording {name}"
    assert recording[1] == pytest.approx(float(parts.first.get_attribute("data-seconds")), abs=0.2)
    address = parts.first.get_attribute("data-url")
    assert address.startswith("/sound/")
    where = server.library.parent / "heard.wav"
    where.write_bytes(page.request.get(f"{server.address.rstrip('/')}{address}").body())
    assert soundfile.info(where).samplerate == RATE
