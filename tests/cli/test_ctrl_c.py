"""Ctrl-C at any moment: in order, with what is done kept, and without a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.corpus.cache import SoundCache
from tiny import hit, write_sounds

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("module", ["typer", "distill.settings.knobs", "numpy", "torch.nn"])
def test_while_modules_are_imported_it_ends_at_once(module: str) -> None:
    """Guards against tracebacks of imports in the first seconds, and against a Ctrl-C that an import swallows, as those
    of compiled modules may: the signal comes as a module is looked for."""
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            try:\n                os.kill(os.getpid(), signal.SIGINT)\n"
        "            except BaseException:\n                pass\n"
        "sys.meta_path.insert(0, Finder)\n"
        "sys.argv = ['distill', 'info', 'no model']\n"
        "from distill.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def at_the_nth(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, number: int) -> list[object]:
    """Press Ctrl-C during the nth call of a method -> a list that grows by one with each call."""
    calls: list[object] = []
    original = getattr(owner, name)

    def called(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)
    return calls


@pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends the process on Windows")
class TestSignals:
    """Real signals to this process, while the work is done."""

    def test_reading_stops_after_the_file(self, distill: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Guards against a stop that waits for all sounds, against a traceback, and against a model of a part of them."""
        monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
        folder = write_sounds(tmp_path / "sounds", 7)
        read = at_the_nth(monkeypatch, SoundCache, "store", 3)
        before = signal.getsignal(signal.SIGINT)
        code, out, err = distill("train", folder, "--out", tmp_path / "m.distill", "--json")
        assert (code, out, len(read)) == (130, "", 3)
        assert "Stopping after this step or file" in err
        assert "need not be read again" in err
        assert "Error" not in err
        assert not (tmp_path / "m.distill").exists()
        assert signal.getsignal(signal.SIGINT) is before

    @pytest.mark.parametrize("command", ["train-prior", "train-synth"])
    def test_later_stages_stop_while_they_read(
        self, distill: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        before = tiny_model.read_bytes()
        read = at_the_nth(monkeypatch, sys.modules["distill.corpus.scan"], "has_content", 2)
        code, out, err = distill(command, tiny_model, "--overwrite")
        assert (code, out, len(read)) == (130, "", 2), err
        assert tiny_model.read_bytes() == before

    def test_measuring_keeps_what_is_measured(
        self, distill: Run, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_the_nth(monkeypatch, sys.modules["distill.evaluation.scores"], "_score", 2)
        new = write_sounds(tmp_path / "new", 4, lambda number: hit(80 + number))
        code, out, _ = distill("evaluate", tiny_model, new, "--synthesiser", "griffin-lim", "--json")
        assert code == 0
        assert '"files": 2, "stopped_early": true' in out

    @pytest.mark.parametrize("command", ["reconstruct", "generate"])
    def test_what_is_written_stays(
        self, distill: Run, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        """The sound that is under way is finished; the next one is not begun."""
        sources = sorted(write_sounds(tmp_path / "in", 4).iterdir())
        what = sources if command == "reconstruct" else ["--count", "4"]
        module = sys.modules[f"distill.studio.{'reconstructing' if command == 'reconstruct' else 'generating'}"]
        at_the_nth(monkeypatch, module, "write_audio", 2)
        code, _, err = distill(command, tiny_model, *what, "--out", tmp_path / "out")
        assert code == 0
        assert len(list((tmp_path / "out").iterdir())) == 2
        assert "Traceback" not in err

    def test_a_second_one_quits(
        self, distill: Run, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Guards against a program that cannot be ended while one item takes its time."""
        source = write_sounds(tmp_path / "in", 1) / "hit 0.wav"
        module = sys.modules["distill.studio.reconstructing"]
        at_the_nth(monkeypatch, module, "read_planes", 1)
        at_the_nth(monkeypatch, module, "write_audio", 1)
        code, out, err = distill("reconstruct", tiny_model, source, "--out", tmp_path / "out")
        assert (code, out) == (130, "")
        assert err.splitlines()[-1] == "Stopped."
        assert not (tmp_path / "out").exists()
