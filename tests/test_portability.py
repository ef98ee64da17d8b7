"""The program runs where POSIX is not: what only POSIX has is asked for, never taken for granted."""

import ast
import subprocess
import sys
from pathlib import Path

import distill

ROOT = Path(__file__).parents[1]
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "curses", "readline"}
POSIX_NAMES = {
    "os": {"fork", "forkpty", "getuid", "geteuid", "getgid", "getpgid", "killpg", "setsid", "mkfifo", "chown", "uname",
           "sched_getaffinity", "statvfs", "getloadavg", "nice", "umask"},
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "alarm", "setitimer", "pause"},
}  # fmt: skip


def test_no_module_needs_posix() -> None:
    """Every module but the page's (whose libraries look at the system themselves) is imported without POSIX's modules."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(POSIX_MODULES)!r}))\n"  # None: importing it is an ImportError
        "import importlib, pkgutil, distill\n"
        "names = [each.name for each in pkgutil.walk_packages(distill.__path__, 'distill.', onerror=print)]\n"
        "names = [name for name in names if not name.startswith('distill.ui')]\n"
        "for name in names:\n    importlib.import_module(name)\n"
        "assert len(names) > 80, names\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_what_only_posix_has_stands_in_no_line() -> None:
    """Guards against a call that fails only when it is reached: also on the page and in the benchmarks."""
    found = []
    for path in [*Path(distill.__file__).parent.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tried = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import) and id(node) not in tried:
                names = [alias.name for alias in node.names if alias.name in POSIX_MODULES]
            elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES and id(node) not in tried:
                names = [str(node.module)]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = [node.attr] if node.attr in POSIX_NAMES.get(node.value.id, ()) else []
            found += [f"{path.name}:{node.lineno} {name}" for name in names]
    assert found == []
