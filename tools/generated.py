"""What the tools that write documents share: writing a page, or saying that it is out of date."""

import sys
from pathlib import Path


def write_or_check(page: Path, text: str, check: bool, tool: str) -> int:
    """Write `text`, or with `check` compare it with what is there -> the exit status."""
    where = f"{page.parent.name}/{page.name}"
    if not check:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8", newline="\n")
        print(f"Wrote {where}")
        return 0
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        return 0
    print(f"{where} is out of date: run `python tools/{tool}` and commit what it writes.", file=sys.stderr)
    return 1
