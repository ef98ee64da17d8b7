"""The locks of a model's file: two never write at once, nobody waits for the dead, nothing is left behind."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from distill.errors import DistillError
from distill.modelfile import locks
from distill.modelfile.locks import Claim, claimed, locked, refuse_in_training, stage_in_training


def program(*lines: str) -> subprocess.Popen[str]:
    """Another program that holds something; it says "ready" when it does."""
    code = textwrap.dedent("\n".join(["import sys, time", "from pathlib import Path", *lines]))
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_a_training_is_seen_by_other_programs_until_it_is_killed(tmp_path: Path) -> None:
    """Guards against two trainings of one model, and against a lock that outlives its holder."""
    model = tmp_path / "mine.distill"
    other = program(
        "from distill.modelfile.locks import Claim",
        f"claim = Claim(Path({str(model)!r}), 'codec')",
        "print('ready', flush=True)",
        "time.sleep(60)",
    )
    try:
        with pytest.raises(DistillError, match="mine is being trained already: its codec"):
            Claim(model, "codec")
        with pytest.raises(DistillError, match="its codec"):  # the ground that a prior would stand on
            Claim(model, "prior")
        with pytest.raises(DistillError, match="its codec"):
            refuse_in_training(model)
    finally:
        other.kill()
        other.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".mine.distill.codec.lock"]  # what a killed program leaves
    assert stage_in_training(model) is None
    with claimed(model, "codec"):
        assert stage_in_training(model) == "codec"
    assert list(tmp_path.iterdir()) == []


def test_prior_and_synthesiser_are_trained_at_once_and_a_codec_alone(tmp_path: Path) -> None:
    model = tmp_path / "mine.distill"
    with claimed(model, "prior"), claimed(model, "synthesiser"), pytest.raises(DistillError, match="its prior"):
        Claim(model, "codec")
    assert list(tmp_path.iterdir()) == []
    with claimed(model, "codec"), claimed(tmp_path / "other.distill", "codec"):
        pass


def test_writers_take_turns(tmp_path: Path) -> None:
    """Guards against a lock that is removed under those who wait for it: each adds one, none is lost."""
    model, count = tmp_path / "mine.distill", tmp_path / "count"
    count.write_text("0", encoding="utf-8")

    def add() -> None:
        for _ in range(8):
            with locked(model):
                before = int(count.read_text(encoding="utf-8"))
                time.sleep(0.001)
                count.write_text(str(before + 1), encoding="utf-8")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.read_text(encoding="utf-8") == "32"
    assert list(tmp_path.iterdir()) == [count]


def test_two_files_are_locked_in_one_order(tmp_path: Path) -> None:
    """Guards against two renames that wait for each other for ever."""
    one, two = tmp_path / "one.distill", tmp_path / "two.distill"
    done = []

    def work(*models: Path) -> None:
        for _ in range(10):
            with locked(*models):
                pass
        done.append(models)

    threads = [threading.Thread(target=work, args=order) for order in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 2


def test_who_does_not_let_go_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    model = tmp_path / "mine.distill"
    with locked(model), pytest.raises(DistillError, match=r"Another program is writing .*mine\.distill"), locked(model):
        pass


def fails(number: int) -> Any:
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.skipif(os.name == "nt", reason="another lock of the system")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_locked_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Guards against no training at all on a network share, and against none that is seen."""
    import fcntl

    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    real = fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        if "cache" not in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            fails(number)()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    model = tmp_path / "share" / "mine.distill"
    with claimed(model, "prior"):
        assert stage_in_training(model) == "prior"
        with pytest.raises(DistillError, match="its prior"):
            Claim(model, "prior")
    assert stage_in_training(model) is None
    assert list((tmp_path / "cache" / "locks").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_known_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Guards against hours of training that cannot be saved. (Whoever runs the tests may write anywhere: so it fails.)"""
    real = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if str(path).endswith(".lock"):
            fails(number)()
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DistillError, match=r"Cannot write .*mine\.distill: there is no permission"):
        Claim(tmp_path / "mine.distill", "codec")
    assert stage_in_training(tmp_path / "mine.distill") is None  # and nobody is kept from reading


def test_processes_that_train_together_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with claimed(tmp_path / "mine.distill", "codec"):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with claimed(tmp_path / "mine.distill", "codec"):
            pass
        monkeypatch.undo()
        assert stage_in_training(tmp_path / "mine.distill") == "codec"
