"""The documents hold: what the program writes is up to date, links lead somewhere, commands exist, decisions are complete."""

import importlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distill
from test_layers import LAYERS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
SOURCES = [path for room in ("src", "tests", "benchmarks", "tools") for path in sorted((ROOT / room).rglob("*.py"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of tools/ and benchmarks/, by name."""
    for folder in ("tools", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    return importlib.import_module


def prose(document: Path) -> str:
    """A document without its blocks and pieces of code."""
    lines = [line for line in document.read_text(encoding="utf-8").splitlines() if not line.startswith("    ")]
    return re.sub(r"`[^`]*`", "", "\n".join(lines))


def anchors(document: Path) -> set[str]:
    """What `#...` can lead to in a document, as GitHub names its headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("tool", ["cli_docs", "api_docs", "results"])
def test_what_the_program_writes_is_up_to_date(tool: str) -> None:
    """Guards against a flag that was renamed in the program and not in docs/cli.md, and results without their table."""
    line = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), "--check"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_check_notices_a_page_that_is_out_of_date(
    beside: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against a check that can only pass, or that mends what it should report."""
    write_or_check, page = beside("generated").write_or_check, tmp_path / "docs" / "page.md"
    assert write_or_check(page, "new\n", True, "tool.py") == 1
    assert write_or_check(page, "old\n", False, "tool.py") == 0
    assert write_or_check(page, "old\n", True, "tool.py") == 0
    assert write_or_check(page, "new\n", True, "tool.py") == 1
    assert page.read_text() == "old\n"
    assert "docs/page.md is out of date: run `python tools/tool.py`" in capsys.readouterr().err


def test_every_command_and_option_is_on_the_page_of_the_command_line(beside: Any) -> None:
    """Guards against a page that leaves out a group, an alias or the second name of a switch."""
    page = beside("cli_docs").page()
    for expected in (
        "## distill library empty-trash",
        "`--exact` / `--natural`",
        "`--hidden-size` INTEGER",
        "FILES...",
    ):
        assert expected in page
    assert "[0 to 65535] Default: 7860." in page
    assert not set("╭│╰") & set(page)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Guards against links to pages and headings that were moved or renamed."""
    for target in LINK.findall(prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{target} is not there"
        assert there.is_relative_to(ROOT), f"{target} is outside the repository"
        assert not anchor or anchor in anchors(there), f"{target}: no such heading"


def test_documents_that_the_code_names_are_there() -> None:
    """Guards against a comment that sends its reader to a page that was split or renamed."""
    for path in SOURCES:
        for named in re.findall(r"\bdocs/[\w./-]+\.(?:md|png)\b", path.read_text(encoding="utf-8")):
            assert (ROOT / named).is_file(), f"{path.relative_to(ROOT)} names {named}"


def shown_commands(document: Path) -> Iterator[str]:
    """Lines of code that call the program, without their comments."""
    for line in document.read_text(encoding="utf-8").splitlines():
        found = re.match(r"    (?:\S*[\\/])?(distill [a-z].*)", line)
        if found:
            yield found[1].split("#")[0].strip()


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "docs" / "page.md"], ids=lambda path: path.name)
def test_shown_commands_exist(document: Path) -> None:
    """Guards against a README whose first commands fail."""
    sections = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("\n## ")[1:]
    known = {section.splitlines()[0]: section for section in sections}
    for line in shown_commands(document):
        command = max((name for name in known if f"{line} ".startswith(f"{name} ")), key=len)
        assert command != "distill", line
        for flag in re.findall(r" (--[a-z-]+)", line):
            assert f"`{flag}`" in known[command], f"{command} has no {flag}"


def test_the_readme_shows_commands() -> None:
    """Guards against the test above going through nothing."""
    assert len(list(shown_commands(ROOT / "README.md"))) >= 5


def test_decisions_are_complete() -> None:
    """Guards against a decision without its date or figures, two with one number, one that the index leaves out, and marks
    that a merge left in it."""
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert not re.search("^(<<<<<<<|=======|>>>>>>>)", index, re.MULTILINE)
    for number, page in enumerate(DECISIONS, start=1):
        title, _, facts, *lines = page.read_text(encoding="utf-8").splitlines()
        assert page.name.startswith(f"{number:04d}-"), page.name
        assert title.startswith(f"# {number:04d}. "), page.name
        date = re.match(r"\d{4}-\d\d-\d\d", facts)
        assert date, page.name
        assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Choice", "## Figures"], (
            page.name
        )
        assert f"- [{number:04d}]({page.name}) {title[8:]} ({date[0]})" in index.splitlines(), page.name


def test_every_room_is_in_the_architecture() -> None:
    """Guards against a room that was added or moved to another level, and the picture of the house staying as it was."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.MULTILINE)
    assert {room: int(level) for room, level in rows} == {k: v for k, v in LAYERS.items() if not k.startswith("__")}


def test_the_changelog_has_this_version() -> None:
    """Guards against a release that nobody has described."""
    assert f"## [{distill.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_kept_results_say_where_they_come_from_and_nothing_private(
    beside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against figures without their commit, and paths or the machine's name in a public file."""
    running = beside("running")
    line = [
        "/home/someone/benchmarks/codec.py",
        "/home/someone/drums/",
        "--models=/home/someone/m",
        "--save",
        "codec-drums",
    ]
    monkeypatch.setattr(sys, "argv", line)
    answer = {name: {"error_db": running.spread(1.23456, 1.0, 2.0), "codes": 1125} for name in ("drums", "digits")}
    kept = running.save_result("codec-drums", {**answer, "digits": {"codes": 984}}, tmp_path)
    text = kept.read_text(encoding="utf-8")
    assert "someone" not in text
    assert platform.node() not in text
    record = json.loads(text)
    assert record["command"] == "python benchmarks/codec.py drums --models=m"
    assert {"commit", "date", "version", "machine"} <= set(record)
    table = beside("results").page(tmp_path)
    assert f"Commit {record['commit']}, {record['date']}, distill {distill.__version__}." in table
    assert "|  | drums | digits |" in table
    assert "| error db | 1.235 [1, 2] |  |" in table
    assert "| codes | 1,125 | 984 |" in table
