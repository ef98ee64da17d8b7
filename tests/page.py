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
    """Click a tab."""
    page.get_by_role("tab", name=name).click()
