"""The page in a real browser, the whole way by clicks on a tiny corpus: Debian's Chromium, driven by Playwright."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distill.modelfile.file import read_card
from page import CHROMIUM, SLOW, UNNAMED, Server, answers, choose_tab, heard, say, start_server
from tiny import RATE, hit, write_sounds

CODEC = {"epochs": "6", "codebook_size": "16", "channels": "24", "codebook_dim": "8", "warmup_share": "0.2"}
PRIOR = {"epochs": "5000", "hidden_size": "32", "num_layers": "1", "num_heads": "2", "views": "1"}

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An empty library."""
    started = start_server(tmp_path_factory.mktemp("page") / "library")
    yield started
    started.end()


def set_knobs(page: Any, stage: str, values: dict[str, str]) -> None:
    for name, value in values.items():
        page.locator(f"#{stage}-{name}").get_by_role("textbox").fill(value)


def test_the_whole_way_by_clicks(open_page: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    """Sounds, both trainings, a reload in the middle, the banner, generating, keeping, and the history."""
    page = open_page()

    corpus = write_sounds(tmp_path / "in", 8, lambda number: hit(number, 0.25))
    (corpus / "notes.txt").write_text("no sound")
    soundfile.write(corpus / "copy.wav", 0.5 * hit(3, 0.25), RATE, subtype="PCM_24")
    page.get_by_text("No folder chosen yet").wait_for()
    page.get_by_label("Name of the collection").fill("hits")
    page.locator("#sounds-drop input[type=file]").set_input_files(sorted(corpus.iterdir()))
    found = page.locator("#sounds-found")
    found.get_by_text("usable sounds", exact=True).wait_for()
    assert found.get_by_role("region", name="Usable sounds").locator("tbody tr").count() == 9
    assert "notes.txt" in found.get_by_role("region", name="Skipped files").inner_text()
    assert "not a sound" in found.inner_text()
    assert found.get_by_text("like copy.wav").count() == 1
    assert heard(page, found.locator("audio").first) == pytest.approx(0.25, abs=0.02)
    shown = found.locator("img").first
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=shown.element_handle())

    page.get_by_role("button", name="Train on these sounds").click()
    page.locator("#codec-corpus").get_by_text("9 sounds").wait_for()
    assert page.get_by_label("Codebook size").get_attribute("placeholder") == "auto: 16"
    page.locator("#codec-advanced").get_by_role("button").first.click()
    set_knobs(page, "codec", CODEC)
    page.get_by_role("button", name="Train the codec").click()
    live = page.locator("#codec-live")
    live.locator(".d-chart").wait_for()
    page.get_by_role("button", name="Train the prior").wait_for()
    live.get_by_text("The codec of hits is ready").wait_for()
    assert live.get_by_text(re.compile("Level [123]: (well|partly|hardly) used")).count() == 3
    heat = live.get_by_role("img", name=re.compile("Usage of the codes"))
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=heat.element_handle())
    card = read_card(server.library / "hits.distill")
    assert card.training_config.epochs == 6
    assert {name for name, origin in card.settings_origin["codec"].items() if origin == "set"} == set(CODEC)

    page.locator("#prior-corpus").get_by_text("nothing to select").wait_for()
    page.locator("#prior-advanced").get_by_role("button").first.click()
    set_knobs(page, "prior", PRIOR)
    page.get_by_role("button", name="Train the prior").click()
    chart = page.locator("#prior-live .d-chart")
    chart.wait_for()
    before = int(chart.get_attribute("data-epochs"))
    page.reload()
    choose_tab(page, "Train")
    chart.wait_for()
    page.wait_for_function(f"() => +document.querySelector('#prior-live .d-chart').dataset.epochs > {before}")
    assert page.get_by_role("button", name="Train the codec").is_disabled()

    second = open_page()
    choose_tab(second, "Train")
    second.locator("#prior-live .d-chart").wait_for()
    assert "best:" in second.locator("#prior-live .d-chart").text_content()
    measure(second)

    banner = page.locator("#prior-banner")
    banner.get_by_text("Memorization is likely").wait_for()
    assert re.search(r"Validation perplexity [\d.]+ is very low|Since epoch \d+ it gets better", banner.inner_text())
    banner.get_by_role("button", name="Stop and use best checkpoint").click()
    page.locator("#prior-live").get_by_text("stopped early; the best epoch is kept").wait_for()
    second.locator("#prior-live").get_by_text("is ready").wait_for()
    banner.wait_for(state="hidden")
    card = read_card(server.library / "hits.distill")
    assert card.prior_metadata is not None
    assert card.prior_metadata.epochs_trained < 5000

    page.get_by_role("button", name="Go on with the unfinished training").last.click()
    page.locator("#prior-live").get_by_text("epoch").first.wait_for()
    page.get_by_role("button", name="Stop and keep the best").click()
    page.locator("#prior-live").get_by_text("stopped early; the best epoch is kept").wait_for()

    page.get_by_role("button", name="Train the prior").click()
    page.get_by_text("It will be replaced when").wait_for()
    page.get_by_role("button", name="Keep what is there").click()
    page.get_by_text("It will be replaced when").wait_for(state="hidden")

    choose_tab(page, "Generate")
    page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    count = page.locator("#generate-count input")
    count.fill("3")
    page.wait_for_timeout(300)
    assert count.input_value() == "3"
    page.locator("#generate-seed").get_by_role("textbox").fill("7")
    assert count.input_value() == "3"
    page.get_by_role("button", name="Generate", exact=True).click()
    results = page.locator("#generate-results")
    results.locator("audio").nth(2).wait_for()
    made = sorted((server.library / ".history").glob("*/*.wav"))
    assert [path.name for path in made] == [f"hits-seed{seed}.wav" for seed in (7, 8, 9)]
    for number, path in enumerate(made):
        length = soundfile.info(path).duration
        assert heard(page, results.locator("audio").nth(number)) == pytest.approx(length, abs=0.02)
    page.get_by_role("button", name="Keep seed 7").click()
    page.locator("#generate-results [aria-pressed=true]").wait_for()
    (kept,) = (server.library / "kept").iterdir()
    assert kept.read_bytes() == made[0].read_bytes()
    page.get_by_role("button", name="Discard seed 8").click()
    page.get_by_role("button", name="Bring back seed 8").wait_for()
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Download seed 7 as FLAC").click()
    np.testing.assert_array_equal(soundfile.read(fetched.value.path())[0], soundfile.read(made[0])[0])
    assert fetched.value.suggested_filename == "hits-seed7.flac"
    assert second.locator("#generate-results audio").count() == 0

    page.reload()
    choose_tab(page, "Generate")
    results.locator("audio").nth(1).wait_for()
    page.locator("#generate-history-box").get_by_role("button").first.click()
    history = page.locator("#generate-history")
    assert "3 of 3, 1 kept" in history.inner_text()
    history.get_by_role("button", name=re.compile("Make again hits")).click()
    deadline = time.monotonic() + SLOW / 1000
    while len(list((server.library / ".history").glob("*/*.wav"))) < 6 and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    (again,) = [path for path in (server.library / ".history").glob("*/hits-seed7.wav") if path != made[0]]
    np.testing.assert_allclose(soundfile.read(again)[0], soundfile.read(made[0])[0], atol=1e-4)

    page.locator("#reconstruct-box").get_by_role("button").first.click()
    page.locator("#reconstruct-file input[type=file]").set_input_files(corpus / "hit 1.wav")
    page.locator("#reconstruct-file").get_by_text("hit 1").first.wait_for()
    page.get_by_role("button", name="Through the codec", exact=True).click()
    through = page.locator("#reconstruct-results")
    through.get_by_text("of 100 of the original").wait_for()
    assert heard(page, through.locator("audio").nth(1)) == pytest.approx(0.25, abs=0.02)


def test_the_library_by_clicks(open_page: Callable[..., Any], server: Server, tiny_model: Path, tmp_path: Path) -> None:
    """Import, search, sort, rename, delete, undo, download; what is no model is refused in a sentence."""
    page = open_page()
    choose_tab(page, "Library")
    cards = page.locator("#library-cards article")
    (tmp_path / "broken.distill").write_text("no model")
    shutil.copy(tiny_model, tmp_path / "kit.distill")
    page.locator("#library-import input[type=file]").set_input_files(
        [tmp_path / "broken.distill", tmp_path / "kit.distill"]
    )
    page.get_by_text("broken.distill is not a distill model").wait_for()
    kit = cards.filter(has=page.get_by_role("heading", name="kit", exact=True))
    kit.wait_for()
    assert "9 sounds" in kit.inner_text()
    page.get_by_label("Search").fill("nothing like it")
    page.get_by_text("No model matches").wait_for()
    page.get_by_label("Search").fill("kit")
    kit.wait_for()
    kit.get_by_role("button", name="Rename kit").click()
    page.get_by_label("New name of kit").fill("kit renamed")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("heading", name="kit renamed").wait_for()
    page.get_by_role("button", name="Delete kit renamed").click()
    page.get_by_text("kit renamed is deleted").wait_for()
    page.get_by_text("No model matches").or_(page.get_by_text("The library is empty")).first.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="kit renamed").wait_for()
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Download kit renamed").click()
    assert Path(fetched.value.path()).read_bytes() == tiny_model.read_bytes()


def test_mistakes_are_sentences_on_the_page(open_page: Callable[..., Any]) -> None:
    page = open_page()
    folder = page.get_by_label("Folder of sounds").first
    folder.fill("/nowhere/at/all")
    folder.press("Enter")
    page.get_by_role("button", name="Read this folder").click()
    page.get_by_text("There is no folder /nowhere/at/all: check the name.").wait_for()
    choose_tab(page, "Train")
    page.get_by_label("Codebook size").fill("many")
    page.locator("#codec-subject input").fill("/nowhere/at/all")
    page.locator("#codec-subject input").press("Enter")
    page.get_by_role("button", name="Train the codec").click()
    page.get_by_text("Codebook size 'many': give a whole number").wait_for()
    assert page.get_by_text("Traceback").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_it_fits_and_every_control_is_labelled(open_page: Callable[..., Any], width: int, scheme: str) -> None:
    """Guards against overflow on a phone, and against controls that a screen reader cannot name or a keyboard reach."""
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    for name in ("Sounds", "Train", "Generate", "Library"):
        choose_tab(page, name)
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        unnamed = page.evaluate(UNNAMED)
        assert unnamed == [], name
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(number) for number in re.findall(r"\d+", dark)[:3])
    assert (lightness < 200) == (scheme == "dark"), dark


def measure(page: Any) -> None:
    """How soon the page answers while a training runs: within half a second, where nothing much else runs."""
    choose_tab(page, "Library")
    page.get_by_role("heading", name="hits").wait_for()
    taken = sorted(answers(page, 30))
    choose_tab(page, "Train")
    middle, late = taken[len(taken) // 2], sum(seconds > 0.5 for seconds in taken)
    say(
        f"while a training runs, {len(taken)} answers take {taken[0]:.2f} to {taken[-1]:.2f} s, {middle:.2f} s the median, "
        f"{late} of them above 0.5 s"
    )
    if os.getloadavg()[0] <= 2 * (os.cpu_count() or 1):  # else the machine is busy with much else
        assert middle < 0.5
