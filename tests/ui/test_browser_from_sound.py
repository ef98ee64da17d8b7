"""In a real browser: sounds that start from one that is dropped, or from one that was made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from page import CHROMIUM, UNNAMED, Server, choose_tab, heard, still
from tiny import RATE, hit

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.timeout(900),
]
SECONDS = 0.4


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A sound of the user's, whose name Gradio would change."""
    path = tmp_path / "kick $1 {häts}.wav"
    soundfile.write(path, hit(3, SECONDS), RATE, subtype="PCM_24")
    return path


def choose(page: Any, verb: str) -> None:
    """Choose what to do with a sound, once the box is open."""
    page.locator("#generate-from input").click()
    page.get_by_role("option", name=verb).click()


def ready(page: Any) -> None:
    """The Generate tab, with the box open."""
    choose_tab(page, "Generate")
    page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    page.locator("#generate-from-box").get_by_role("button").first.click()
    still(page)


def test_a_dropped_sound_is_varied_and_made_again(open_page: Callable[..., Any], server: Server, own: Path) -> None:
    """Guards against new sounds in place of variations, dials that do not arrive, and a history that needs what was dropped
    when the page was another one."""
    page = open_page()
    ready(page)
    assert not page.locator("#generate-amount").is_visible()
    choose(page, "Vary")
    page.locator("#generate-amount").wait_for()
    page.locator("#generate-from-sound input[type=file]").set_input_files(own)
    card = page.locator("#generate-from-heard")
    card.get_by_role("heading", name=own.name).wait_for()
    assert heard(page, card.locator("audio")) == pytest.approx(SECONDS, abs=0.02)
    page.locator("#generate-amount input[type=number]").fill("0.6")
    page.locator("#generate-count input[type=number]").fill("2")
    page.locator("#generate-seed").get_by_role("textbox").fill("7")
    page.get_by_role("button", name="Generate", exact=True).click()
    results = page.locator("#generate-results")
    results.locator("audio").nth(1).wait_for()
    made = sorted((server.library / ".history").glob("*/kit-vary-seed*.wav"))
    assert [path.name for path in made] == ["kit-vary-seed7.wav", "kit-vary-seed8.wav"]
    assert results.locator("audio").count() == 2
    for number, path in enumerate(made):
        assert soundfile.info(path).duration == pytest.approx(SECONDS, abs=1e-3)
        assert heard(page, results.locator("audio").nth(number)) == pytest.approx(SECONDS, abs=0.02)
    (kept,) = (server.library / ".history").glob("*/given/*")
    assert (kept.name, kept.read_bytes()) == (own.name, own.read_bytes())

    page.reload()
    choose_tab(page, "Generate")
    page.locator("#generate-history-box").get_by_role("button").first.click()
    history = page.locator("#generate-history")
    history.get_by_text(own.name).wait_for()
    history.get_by_role("button", name="Make again kit").click()
    page.locator("#generate-from-heard").get_by_role("heading", name=own.name).wait_for()
    page.wait_for_function("() => document.querySelectorAll('#generate-history article').length === 2")
    results.locator("audio").nth(1).wait_for()
    assert page.locator("#generate-amount input[type=number]").input_value() == "0.6"
    again = [path for path in (server.library / ".history").glob("*/kit-vary-seed7.wav") if path != made[0]]
    assert soundfile.read(again[0])[0].tolist() == soundfile.read(made[0])[0].tolist()


def test_what_was_made_is_started_from(open_page: Callable[..., Any]) -> None:
    """Guards against a button that does nothing while the box is closed, or fills the first field twice, and against steps of
    a morph that look alike."""
    page = open_page()
    choose_tab(page, "Generate")
    page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    page.locator("#generate-count input[type=number]").fill("2")
    page.locator("#generate-seconds input[type=number]").fill("0.4")
    page.locator("#generate-seed").get_by_role("textbox").fill("21")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_role("button", name="Start from seed 21", exact=True).click()
    page.locator("#generate-from-heard").get_by_role("heading", name="kit-seed21.wav").wait_for()
    page.locator("#generate-amount").wait_for()
    choose(page, "Morph")
    page.locator("#generate-from-second input[type=file]").wait_for(state="attached")
    page.get_by_role("button", name="Start from seed 22", exact=True).click()
    page.locator("#generate-from-heard").get_by_role("heading", name="kit-seed22.wav").wait_for()
    page.locator("#generate-steps input[type=number]").fill("3")
    page.get_by_role("button", name="Generate", exact=True).click()
    for share in ("0", "50", "100"):
        page.get_by_role("heading", name=f"Seed 21, {share}% of the way").wait_for()
    assert page.locator("#generate-results audio").count() == 3


def test_what_cannot_be_is_one_sentence(open_page: Callable[..., Any], own: Path, tmp_path: Path) -> None:
    """On a phone. Guards against a request that fails silently, paths of the server in what is said of it, and fields that
    are too wide or have no name."""
    page = open_page(viewport={"width": 390, "height": 844})
    ready(page)
    choose(page, "Replace")
    page.locator("#generate-from-part").wait_for()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_text("Replace: drop the sound under From a sound first.").wait_for()
    page.locator("#generate-from-sound input[type=file]").set_input_files(own)
    page.locator("#generate-from-heard").get_by_role("heading", name=own.name).wait_for()
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#generate-from-part").get_by_role("textbox").fill("5-9")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_text(f"Replace 5-9: {own.name} has 0.400 seconds; give a part of it, such as 0.16-0.24.").wait_for()
    notes = tmp_path / "notes.wav"
    notes.write_text("no sound")
    page.get_by_label("Remove this file").or_(page.locator("#generate-from-sound [aria-label=Clear]")).first.click()
    page.locator("#generate-from-heard").get_by_role("heading", name=own.name).wait_for(state="detached")
    page.locator("#generate-from-sound input[type=file]").set_input_files(notes)
    said = page.locator("#generate-from-heard").get_by_text("notes.wav cannot be used")
    said.wait_for()
    assert "/" not in said.inner_text()
    assert page.get_by_text("Traceback").count() == 0
