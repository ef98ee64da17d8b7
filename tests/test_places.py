"""Paths as people write them, and names as file systems count them."""

import os
import stat
from pathlib import Path

import pytest

from distill import places
from distill.errors import DistillError
from distill.files import LONGEST_FILE_NAME, is_file_name, name_made_of, replacing, unused_path
from distill.library.models import new_model_path
from distill.places import cache_dir, given_path, library_dir, shell_quoted, typed_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/my sounds", "{home}/my sounds"),
        ("~", "{home}"),
        ("file:///a/b%20c/%C3%A9%25.wav", "/a/b c/é%.wav"),
        ("file://localhost/a/b", "/a/b"),
        ("FILE:/a/b#c?d", "/a/b#c?d"),
        ("a~b/~", "a~b/~"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("file", "file"),
        ("it's", "it's"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_path_is_taken_as_it_is_meant(home: Path, given: str, meant: str) -> None:
    """Guards against a folder called "~", and against addresses that are pasted from a file manager and not found."""
    assert given_path(given) == Path(meant.format(home=home))
    assert typed_path(f'  "{given}"\n') == typed_path(f"'{given}'") == Path(meant.format(home=home))


@pytest.mark.parametrize("given", ["file://elsewhere/share/x", "é" * 200, "a\0b", "{loop}"])
def test_what_can_be_no_path_is_a_sentence(tmp_path: Path, given: str) -> None:
    """Guards against OSError and ValueError out of the first look at a path."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DistillError):
        given_path(given.format(loop=tmp_path / "loop"))


def test_places_in_the_environment_are_paths_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_LIBRARY", "~/models")
    monkeypatch.setenv("DISTILL_CACHE", (home / "c").as_uri())
    assert (library_dir(), cache_dir()) == (home / "models", home / "c")


def test_without_a_home_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a folder called "~" in the working directory, as platformdirs gives it where there is no home."""
    monkeypatch.delenv("DISTILL_CACHE")
    monkeypatch.setattr(places.platformdirs, "user_cache_dir", lambda *_args, **_kwargs: "~/.cache/distill")
    with pytest.raises(DistillError, match="DISTILL_CACHE"):
        cache_dir()


def test_a_shown_command_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against `distill train-prior my model`, and against names that a shell makes something else of."""
    assert [shell_quoted(word) for word in ("kit", "my model", "it's", "$HOME")] == [
        "kit", "'my model'", "'it'\"'\"'s'", "'$HOME'",
    ]  # fmt: skip
    assert shell_quoted("-x.distill") == f".{os.sep}-x.distill"
    monkeypatch.setattr(places.os, "name", "nt")
    assert [shell_quoted(word) for word in ("kit", "my model", r"C:\a\b.distill", "a&b")] == [
        "kit", '"my model"', r"C:\a\b.distill", '"a&b"',
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["x" * 180, "日" * 60, "é" * 90])
def test_a_name_that_is_taken_fits_with_all_that_goes_around_it(tmp_path: Path, name: str) -> None:
    """Guards against names counted in letters, which the file system refuses once the model is trained."""
    assert is_file_name(name)
    assert not is_file_name(name + name[0])
    assert name_made_of(name + name) == name
    with replacing(tmp_path / f"20260101T000000000000Z {name}-seed2147483647.distill") as stream:
        stream.write(b"x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["😀" * 46, "a/b", "", ".hidden", "x ", "a\nb", "\udcff"])
def test_a_name_that_is_none_is_a_sentence(name: str) -> None:
    with pytest.raises(DistillError, match="cannot be a file's name"):
        new_model_path(name)


def test_the_longest_name_of_all_is_written_and_numbered(tmp_path: Path) -> None:
    """Guards against a temporary file beside it whose name is longer than any may be, and against `-2` beyond the limit."""
    first = unused_path(tmp_path / f"{'é' * 125}x.wav")
    assert len(os.fsencode(first.name)) == LONGEST_FILE_NAME
    for number in (1, 2):
        path = unused_path(first)
        assert path.suffix == ".wav"
        with replacing(path) as stream:
            stream.write(bytes([number]))
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"\1", b"\2"]


@pytest.mark.skipif(os.name == "nt", reason="devices and modes of POSIX")
def test_a_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    """Guards against `--out /dev/null` as root, after which there is none. A pipe stands for it here."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DistillError, match="no ordinary file"), replacing(pipe):
        pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="devices and modes of POSIX")
def test_new_files_have_the_permissions_of_others(tmp_path: Path) -> None:
    """Guards against files that only their owner may read, as temporary ones are."""
    (tmp_path / "plain").write_bytes(b"")
    with replacing(tmp_path / "new") as stream:
        stream.write(b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
