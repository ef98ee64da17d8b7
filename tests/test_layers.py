"""The layout holds: imports go down only, and what must be quick to start imports no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import distill

SOURCE = Path(distill.__file__).parent
LAYERS = {
    "errors": 0, "counting": 0, "places": 1, "files": 2, "settings": 1, "events": 1, "weights": 1, "__init__": 9,
    "compute": 3, "audio": 3, "synthetic": 4, "corpus": 4, "models": 5, "modelfile": 6, "library": 7, "training": 7,
    "evaluation": 7, "export": 7, "instrument": 7, "novelty": 7, "studio": 8, "ui": 9, "cli": 10, "__main__": 11,
}  # fmt: skip
"""What a room may import: rooms with a lower number, and itself."""
MODULES = sorted(SOURCE.rglob("*.py"))


def room(module: str) -> str:
    """`distill.audio.mel` -> `audio`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    """Guards against the library importing its faces, and against circles."""
    mine = path.relative_to(SOURCE).with_suffix("").parts[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" if node.module == "distill" else node.module for a in node.names]
        for name in names:
            if name.split(".")[0] == "distill" and name not in ("distill", "distill.__version__"):
                other = room(name) if room(name) in LAYERS else "__init__"
                assert other == mine or LAYERS[other] < LAYERS[mine], f"{mine} imports {other}"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["train"],
        ["train-prior"],
        ["train-synth"],
        ["checkpoint"],
        ["generate"],
        ["reconstruct"],
        ["evaluate"],
        ["novelty"],
        ["where"],
        ["attribute"],
        ["forget"],
        ["consent"],
        ["what"],
        ["again"],
        ["verify"],
        ["map"],
        ["info"],
        ["export"],
        ["demo"],
        ["ui"],
        ["library"],
    ],
)
def test_help_imports_no_torch(command: list[str]) -> None:
    """Guards against a --help that takes seconds."""
    program = (
        "import sys\nfrom distill.cli.app import main\n"
        f"sys.argv = ['distill', *{command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "heavy = {'torch', 'lightning_fabric', 'librosa', 'gradio', 'scipy', 'matplotlib', 'sklearn', 'soundfile', 'av'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_the_library_never_prints() -> None:
    """Guards against print calls outside the command line."""
    for path in MODULES:
        if "cli" in path.relative_to(SOURCE).parts:
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), path
