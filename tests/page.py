"""The page for tests: a server in a process of its own, and Debian's Chromium to look at it."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
START_SECONDS = 120
END_SECONDS = 40
SLOW = 120_000
"""Milliseconds that a step may take on a busy machine; all waits end as soon as they can."""


@dataclass(frozen=True)
class Server:
    """A running `distill ui`."""

    address: str
    """With a slash at the end."""
    library: Path
    process: subprocess.Popen[str]

    def end(self) -> None:
        """Ask it to end, and wait."""
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END_SECONDS)


def start_server(library: Path) -> Server:
    """Start a server and wait until it says where it is."""
    command = [sys.executable, "-m", "distill", "ui", "--port", "0", "--library", str(library)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    found: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            found.extend(re.findall(r"http://[\d.]+:\d+/", line))

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while not found:
        assert process.poll() is None, "".join(lines)
        assert time.monotonic() < deadline, "".join(lines)
        time.sleep(0.05)
    return Server(found[0], library, process)


def choose_tab(page: Any, name: str) -> None:
    """Click a tab, and wait until its fields are there to stay.

    Gradio builds a tab when it is first shown, and gives all its fields their first values once more in the next frame:
    what was filled in before that frame is lost. On a busy machine a frame is long.
    """
    page.get_by_role("tab", name=name).click()
    page.get_by_role("tab", name=name, selected=True).wait_for()
    still(page)


def still(page: Any) -> None:
    """Wait until the fields of a tab or a box that was just opened are there to stay."""
    for _ in range(2):
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


def drop(page: Any, where: str, paths: list[Path]) -> None:
    """Drag files and folders from outside the browser into an element, and let them go."""
    box = page.locator(where).bounding_box()
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}

    def drag(event: str) -> None:
        devtools.send("Input.dispatchDragEvent", {"type": event, **middle, "data": data})

    page.evaluate(TAKEN)
    drag("dragEnter")
    while not page.evaluate("window.taken"):  # as a person hovers: a page that is still starting would refuse the drop
        drag("dragOver")
        page.wait_for_timeout(50)
    drag("drop")


TAKEN = """() => document.addEventListener('dragover', event => {
  setTimeout(() => { window.taken = event.defaultPrevented; });
}, true)"""


def heard(page: Any, audio: Any) -> float:
    """Load a player's sound, play it, and say how long it is."""
    handle = audio.element_handle()
    audio.scroll_into_view_if_needed()
    page.evaluate(
        "player => { player.muted = true; player.preload = 'auto'; player.load(); return player.play(); }", handle
    )
    page.wait_for_function("player => player.currentTime > 0 || player.ended", arg=handle)
    return float(page.evaluate("player => player.duration", handle))


def answers(page: Any, count: int) -> list[float]:
    """Seconds from typing in the Library's search to what answers it; measured in the page
    itself, because what drives the browser looks only now and then."""
    taken = []
    for number in range(count):
        page.wait_for_timeout(130)
        taken.append(page.evaluate(ANSWER, ["nothing like it", ""][number % 2]) / 1000)
    return taken


ANSWER = """wanted => new Promise((answered, failed) => {
  const box = document.querySelector('#library-search textarea, #library-search input');
  const cards = document.querySelector('#library-cards');
  const begun = performance.now();
  const watch = new MutationObserver(() => {
    if (cards.innerText.includes('No model matches') !== (wanted !== '')) return;
    watch.disconnect();
    requestAnimationFrame(() => answered(performance.now() - begun));
  });
  watch.observe(cards, {childList: true, subtree: true, characterData: true});
  setTimeout(() => failed('no answer'), 30000);
  const kind = box.tagName === 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(box, wanted);
  box.dispatchEvent(new Event('input', {bubbles: true}));
})"""

UNNAMED = """() => [...document.querySelectorAll('button, input, textarea, select, audio, a[href]')]
  .filter(each => each.offsetParent !== null && each.type !== 'file')
  .filter(each => !(each.getAttribute('aria-label') || each.title || each.textContent.trim()
    || (each.labels && [...each.labels].some(label => label.textContent.trim()))
    || (each.getAttribute('aria-labelledby') || '').trim()))
  .map(each => each.outerHTML.slice(0, 200))"""
"""Controls that a screen reader has no name for."""


def say(sentence: str) -> None:
    """A figure, shown by `pytest -s`."""
    sys.stdout.write(f"\n{sentence}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")


def until(page: Any, expression: str, seconds: float = 30.0) -> None:
    """Wait for what an expression says. `wait_for_function` would build its check inside the page, which
    a page that forbids `eval` refuses unless the first look already finds it true."""
    last = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < last, f"never true: {expression}"
        page.wait_for_timeout(20)
