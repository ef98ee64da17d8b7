"""Files are replaced whole or not at all, and what prevents it is told apart."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from distill import files
from distill.errors import DistillError
from distill.files import replacing, replacing_folder


@contextmanager
def full_disk() -> Iterator[None]:
    """A disk with room for 2,000 bytes of every file, that of pytest's own output too: no longer than it has to be."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def written(path: Path, how: str) -> None:
    with replacing(path) as stream:
        if how == "torch":
            torch.save({"weights": torch.zeros(20_000)}, stream)
        elif how == "sound":
            soundfile.write(stream, np.zeros(20_000, np.float32), 48_000, format="WAV")
        else:
            for _ in range(100):
                stream.write(b"0" * 10_000)


@pytest.mark.parametrize("how", ["torch", "sound", "plain"])
def test_a_full_disk_is_one_sentence_whoever_writes(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against torch's RuntimeError, which passed as a traceback, and against libsndfile's on the screen."""
    path = tmp_path / "kept"
    path.write_bytes(b"before")
    with (
        full_disk(),
        pytest.raises(DistillError, match=r"Cannot write .*kept: there is no space left.*Free some space"),
    ):
        written(path, how)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no space"), (errno.EDQUOT, "no space"), (errno.EFBIG, "no space"), (errno.EACCES, "no permission"),
     (errno.EROFS, "no permission"), (errno.EPERM, "no permission"), (errno.EIO, "input/output error")],
)  # fmt: skip
@pytest.mark.parametrize("when", ["_StreamToDisk", "fsync", "replace"])
def test_space_and_permission_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, number: int, said: str
) -> None:
    """Guards against "free some space" where it is a permission, at the beginning, at the end and at the last step."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    where = {"_StreamToDisk": files, "fsync": files.os, "replace": Path}[when]
    monkeypatch.setattr(where, when, fail)
    with pytest.raises(DistillError, match=said) as raised, replacing(tmp_path / "x") as stream:
        stream.write(b"1")
    assert sum(word in str(raised.value) for word in ("Free some space", "permissions of")) <= 1
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a file that is empty after a power cut."""
    seen: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(files.os, "fsync", lambda number: seen.append("sync") or real_sync(number))
    monkeypatch.setattr(Path, "replace", lambda *names: seen.append("replace") or real_replace(*names))
    with replacing(tmp_path / "x") as stream:
        stream.write(b"1")
    assert seen == ["sync", "replace"]


def test_another_error_is_not_taken_for_one_of_the_disk(tmp_path: Path) -> None:
    """Guards against "cannot write" where the source could not be read."""
    with pytest.raises(OSError, match="of the source"), replacing(tmp_path / "x"):
        raise OSError(errno.EIO, "of the source")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_to_be_replaced_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a folder that was put aside for one that then could not get its name."""
    target = tmp_path / "pack"
    target.mkdir()
    (target / "a").write_text("old")
    real = Path.rename

    def rename(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(errno.EACCES, "no")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DistillError, match="no permission"), replacing_folder(target, overwrite=True) as folder:
        (folder / "a").write_text("new")
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]
