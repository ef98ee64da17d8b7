"""In a real browser: measuring, details, the trash, sounds that moved, and the keyboard."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from distill.modelfile.file import read_card, read_contents, write_model
from page import CHROMIUM, UNNAMED, Server, choose_tab, drop, start_server
from tiny import RATE, hit, write_sounds

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.timeout(900),
]
PRIOR = {"epochs": "2", "hidden_size": "32", "num_layers": "1", "num_heads": "2", "views": "1"}
TABS = ("Sounds", "Train", "Generate", "Library")


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A library with `kit`, and with `lost`, whose sounds are not where they were."""
    library = tmp_path_factory.mktemp("page") / "library"
    library.mkdir()
    shutil.copy(tiny_model, library / "kit.distill")
    contents = read_contents(tiny_model, mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": str(library.parent / "gone")}
    write_model(library / "lost.distill", contents)
    with few_open_files():
        started = start_server(library)
    yield started
    started.end()


@contextlib.contextmanager
def few_open_files() -> Iterator[None]:
    """What is started in the block may open no more files than macOS allows, unless it asks."""
    resource = pytest.importorskip("resource")
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


def unfold(page: Any, box: str) -> None:
    """Open an accordion."""
    page.locator(f"#{box}").get_by_role("button").first.click()


def test_a_folder_is_dropped(open_page: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    """Guards against "Failed to fetch": 300 files in folders, some of the same name, hidden ones left out."""
    drums = tmp_path / "Schlagzeug 音"
    for folder in ("kicks", "snäres/tief"):
        write_sounds(drums / folder, 3, lambda number, folder=folder: hit(number + len(folder), 0.1))
    (drums / "notes").mkdir()
    for number in range(290):
        (drums / "notes" / f"заметка {number}.txt").write_text(f"{number}")
    (drums / ".hidden").mkdir()
    shutil.copy(drums / "kicks" / "hit 0.wav", drums / ".hidden" / "hit 9.wav")
    (drums / "kicks" / ".DS_Store").write_bytes(b"x")
    page = open_page()
    page.locator("#sounds-drop input[type=file]").wait_for(state="attached")
    drop(page, "#sounds-drop", [drums])
    page.get_by_text("usable sounds", exact=True).wait_for()
    kept = server.library / "sounds" / "Schlagzeug 音"
    visible = [path.relative_to(drums) for path in drums.rglob("*") if path.is_file()]
    visible = [path for path in visible if not any(part.startswith(".") for part in path.parts)]
    assert sorted(path.relative_to(kept) for path in kept.rglob("*") if path.is_file()) == sorted(visible)
    assert all((kept / path).read_bytes() == (drums / path).read_bytes() for path in visible)
    assert page.get_by_label("Name of the collection").input_value() == "Schlagzeug 音"
    assert page.get_by_text("Failed to fetch").count() == 0


def test_every_player_can_be_clicked(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """Guards against players 50 pixels wide, without a button, beside long names and names in folders."""
    sounds = write_sounds(tmp_path / "sounds", 1, lambda number: hit(number, 0.1))
    names = ["kicks/deep/vintage/01.wav", f"{'snare_' * 19}01.wav", f"{'hat and bell ' * 9}01.wav", f"{'x' * 116}.wav"]
    for number, name in enumerate(names, start=1):
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sounds / name, hit(number, 0.1), RATE)
    soundfile.write(sounds / "z, like a long one.wav", 0.5 * hit(len(names), 0.1), RATE)
    page = open_page()
    folder = page.get_by_label("Folder of sounds").first
    folder.fill(str(sounds))
    folder.press("Enter")
    page.get_by_role("button", name="Read this folder").click()
    players = page.locator("#sounds-found audio")
    players.nth(len(names) + 1).wait_for()
    page.get_by_text(f"like {names[-1]}").wait_for()
    for width, least in ((1280, 200), (390, 160)):
        page.set_viewport_size({"width": width, "height": 844})
        for player in players.all():
            player.scroll_into_view_if_needed()
            box = player.bounding_box()
            assert box["width"] >= least
            assert box["height"] >= 30
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        page.mouse.click(box["x"] + 18, box["y"] + box["height"] / 2)
        page.wait_for_function("player => player.currentTime > 0", arg=player.element_handle())
        page.evaluate("player => { player.pause(); player.currentTime = 0; }", player.element_handle())
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_model_is_measured_and_the_table_survives_a_reload(open_page: Callable[..., Any]) -> None:
    page = open_page()
    choose_tab(page, "Generate")
    page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    unfold(page, "evaluate-box")
    page.get_by_role("button", name="Measure", exact=True).click()
    table = page.get_by_role("region", name="Measured sounds")
    table.wait_for()
    page.get_by_text("lost in the codec").wait_for()
    rows = table.locator("tbody tr").count()
    assert rows >= 2
    page.reload()
    choose_tab(page, "Generate")
    unfold(page, "evaluate-box")
    table.wait_for()
    assert table.locator("tbody tr").count() == rows


def test_details_open_and_close(open_page: Callable[..., Any]) -> None:
    page = open_page()
    choose_tab(page, "Library")
    details = page.get_by_role("button", name="Details of kit")
    details.click()
    page.get_by_role("region", name="Settings").wait_for()
    picture = page.get_by_role("img", name="Usage of the codes of kit")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    assert details.get_attribute("aria-pressed") == "true"
    details.click()
    page.get_by_role("region", name="Settings").wait_for(state="detached")


def test_sounds_that_moved_are_given_on_the_page(open_page: Callable[..., Any], server: Server, sounds: Path) -> None:
    page = open_page()
    choose_tab(page, "Train")
    assert not page.locator("#prior-dataset").is_visible()
    subject = page.locator("#prior-subject input")
    page.locator("#prior-corpus").get_by_text("nothing to select").wait_for()
    subject.click()
    page.get_by_role("option", name="lost").click()
    page.locator("#prior-corpus").get_by_text("are not there any more").wait_for()
    dataset = page.locator("#prior-dataset input")
    dataset.wait_for()
    dataset.fill(str(sounds))
    dataset.press("Enter")
    unfold(page, "prior-advanced")
    for name, value in PRIOR.items():
        page.locator(f"#prior-{name}").get_by_role("textbox").fill(value)
    page.locator("#prior-embed_codes input").uncheck()
    page.get_by_role("button", name="Train the prior").click()
    page.locator("#prior-confirm").get_by_role("button", name="Replace it").click()
    page.locator("#prior-live").get_by_text("The prior of lost is ready").wait_for()
    card = read_card(server.library / "lost.distill")
    assert not card.has_codes
    assert card.prior_metadata is not None
    assert card.prior_metadata.epochs_trained == 2


def test_the_trash_after_a_reload(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page()
    choose_tab(page, "Library")
    page.get_by_role("button", name="Delete lost").click()
    page.get_by_text("lost is deleted").wait_for()
    page.reload()
    choose_tab(page, "Library")
    unfold(page, "trash-box")
    page.get_by_role("button", name="Bring back lost").click()
    page.get_by_role("heading", name="lost", exact=True).wait_for()
    page.get_by_text("Nothing is deleted").wait_for()
    page.get_by_role("button", name="Delete lost").click()
    page.get_by_role("button", name="Remove them for good").click()
    page.get_by_text("1 deleted model will be gone for good").wait_for()
    page.get_by_role("button", name="Keep them").click()
    page.get_by_text("1 deleted model will be gone for good").wait_for(state="hidden")
    assert len(list((server.library / ".trash").iterdir())) == 1
    page.get_by_role("button", name="Remove them for good").click()
    page.get_by_role("button", name="Remove for good", exact=True).click()
    page.get_by_text("Nothing is deleted").wait_for()
    assert list((server.library / ".trash").iterdir()) == []


@pytest.mark.parametrize("tab", TABS)
def test_everything_is_named_and_reached_by_keyboard(open_page: Callable[..., Any], tab: str) -> None:
    """With every box open, on a phone: Tab gets to every control, each has a name, and nothing is too wide."""
    page = open_page(viewport={"width": 390, "height": 844})
    tabs = page.get_by_role("tab")
    tabs.first.focus()
    while page.evaluate("document.activeElement.textContent.trim()") != tab:
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    if tab == "Library":
        page.get_by_role("button", name="Details of kit").click()
        page.get_by_role("region", name="Settings").wait_for()
    if tab == "Generate":
        page.locator("#generate-note").get_by_text("Codec and prior are ready").wait_for()
    for closed in page.locator("button.label-wrap:visible").all():
        closed.click()
    page.wait_for_timeout(400)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wanted = page.evaluate(CONTROLS)
    assert wanted > 5
    page.evaluate("document.body.focus(); document.activeElement.blur()")
    for _ in range(3 * wanted):
        page.keyboard.press("Tab")
        if not page.evaluate("() => { document.activeElement.dataset.reached = '1'; return window.missed() }"):
            break
    assert page.evaluate("window.missed()") == 0, page.evaluate("window.named()")


CONTROLS = """() => {
  const all = [...document.querySelectorAll('button, input, textarea, select, audio, a[href]')]
    .filter(each => each.offsetParent !== null && !each.disabled && each.type !== 'file');
  const left = () => all.filter(each => each.isConnected && !each.dataset.reached);
  window.missed = () => left().length;
  window.named = () => left().map(each => each.outerHTML.slice(0, 220));
  return all.length;
}"""
