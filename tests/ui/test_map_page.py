"""A map in a real browser, from the disk."""

from pathlib import Path
from typing import Any

import pytest
import soundfile

from distill.studio.map_page import map_page
from distill.studio.mapping import MapPoint, url_of
from page import CHROMIUM, SLOW, until
from tiny import RATE, hit

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium")]


def test_a_click_plays_a_sound_and_names_stay_names(browser: Any, tmp_path: Path) -> None:
    """Guards against a page whose own rules keep its sounds from being played, scripts in names, and what only a mouse can do."""
    soundfile.write(tmp_path / "a #1.wav", hit(3), RATE, subtype="PCM_16")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    soundfile.write(elsewhere / "b.wav", hit(4, 0.5), RATE, subtype="PCM_16")
    hostile = "<img src=x onerror=document.title='caught'>.wav"
    out = tmp_path / "maps" / "map.html"
    out.parent.mkdir()
    points = [
        MapPoint("a #1.wav", "recording", "kick", 0.0, 0.0, 0.3, str(tmp_path / "a #1.wav")),
        MapPoint("b.wav", "given", "snare", 1.0, 0.5, 0.5, str(elsewhere / "b.wav")),
        MapPoint(hostile, "held out", "<b>kind</b>", 0.5, 0.2, 0.5, ""),
    ]
    data = [vars(each) | {"url": url_of(each, out)} for each in points]
    out.write_text(map_page("kit & co", data), encoding="ascii")
    (tmp_path / "map.html").write_text(
        map_page("kit", [vars(points[0]) | {"url": url_of(points[0], tmp_path / "map.html")}])
    )
    page = browser.new_context().new_page()
    page.set_default_timeout(SLOW)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri())
    page.locator(".point").click()
    until(page, "document.getElementById('player').duration > 0.2")
    page.goto(out.as_uri())
    assert page.locator(".point").count() == 3
    page.locator("rect.point").click()
    until(page, "document.getElementById('player').duration > 0.4")
    assert "b.wav" in page.locator("#name").inner_text()
    page.locator(".point.silent").focus()
    page.keyboard.press("Enter")
    assert hostile in page.locator("#name").inner_text()
    page.get_by_role("button", name="<b>kind</b> (1)").click()
    assert page.locator(".dim").count() == 2
    assert page.title() == "Map of kit & co"
    assert failures == []
    page.context.close()
