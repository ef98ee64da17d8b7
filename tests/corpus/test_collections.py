"""Collections of dropped sounds: folders are kept as they were, nothing is replaced, and no name leads outside."""

from pathlib import Path

import pytest

from distill.corpus.collections import DROPPED, DroppedFile, collect, collection_names, find_collection, folder_title
from distill.errors import DistillError
from distill.places import sounds_dir


@pytest.fixture(autouse=True)
def _own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


def dropped(uploads: Path, contents: dict[str, bytes]) -> list[DroppedFile]:
    """Files as the page hands them over: their content somewhere, their names apart."""
    files = []
    for name, content in contents.items():
        path = uploads / f"{len(list(uploads.iterdir()))}"
        path.write_bytes(content)
        files.append(DroppedFile(path, name))
    return files


def held(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_dropped_without_a_name_is_a_corpus_of_its_own(uploads: Path) -> None:
    """Guards against two corpora in one folder, against a file that replaces another, and against copies of copies."""
    first, second = (collect(dropped(uploads, {"kick.wav": content})) for content in (b"one", b"two"))
    assert (first.name, second.name) == (DROPPED, f"{DROPPED}-2")
    for content in (b"two", b"two", b"one"):
        collect(dropped(uploads, {"kick.wav": content}), first.name)
    assert held(first) == {"kick.wav": b"one", "kick-2.wav": b"two"}
    assert collection_names() == [DROPPED, f"{DROPPED}-2"]


def test_a_folder_is_kept_as_it_was(uploads: Path) -> None:
    """Guards against `snares/01.wav` that replaces `kicks/01.wav`, or becomes `01-2.wav`."""
    drums = {"drums/kicks/01.wav": b"kick", "drums/snäres/tief/01.wav": b"snare", "drums/02.wav": b"loose"}
    inside = {name.removeprefix("drums/"): content for name, content in drums.items()}
    folder = collect(dropped(uploads, drums))
    assert folder.name == "drums"
    assert held(folder) == inside
    assert collect(dropped(uploads, drums), "drums") == folder
    assert held(folder) == inside
    assert collect(dropped(uploads, drums)).name == "drums-2"
    named = collect(dropped(uploads, drums), "all")
    assert held(named) == drums
    collect(dropped(uploads, {"hats/01.wav": b"hat", "loose.wav": b"kick"}), "all")
    assert held(named) == {**drums, "hats/01.wav": b"hat", "loose.wav": b"kick"}
    assert collect(dropped(uploads, {"hats/01.wav": b"hat", "bells/01.wav": b"bell"})).name == DROPPED


HOSTILE = {
    "../../../out.wav": ["out.wav"],
    "/etc/cron.d/out.wav": ["etc", "cron.d", "out.wav"],
    "..\\..\\out.wav": ["....out.wav"],
    "a/../../../b.wav": ["a", "b.wav"],
    "a//./b?.wav": ["a", "b.wav"],
    "a/\udcff:b.wav": ["a", "b.wav"],
    "": ["0"],
    "..": ["0"],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_outside(uploads: Path, tmp_path: Path, name: str) -> None:
    """Guards against a script that gives a dropped file a path."""
    folder = collect(dropped(uploads, {name: b"x"}), "mine")
    assert held(folder) == {"/".join(HOSTILE[name]): b"x"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library", "uploads"]


def test_names_count_in_bytes(uploads: Path) -> None:
    """Guards against a name of 100 letters that takes 300 bytes, which no file system holds."""
    with pytest.raises(DistillError, match="folder's name"):
        collect([], "音" * 100)
    assert collect(dropped(uploads, {"a.wav": b"x"}), "音" * 50).name == "音" * 50
    long = "音" * 120
    folder = collect(dropped(uploads, {f"{long}/{long}.wav": b"1", f"{long}/{long}b.wav": b"2"}), "long")
    assert sorted(held(folder).values()) == [b"1", b"2"]
    assert all(path.name.startswith("音" * 50) for path in folder.rglob("*"))
    assert all(path.suffix == ".wav" for path in folder.rglob("*") if path.is_file())


def test_a_collection_is_found_by_its_name_alone(uploads: Path, tmp_path: Path) -> None:
    """Guards against paths that are taken for names."""
    folder = collect(dropped(uploads, {"a.wav": b"x"}), "mine")
    assert find_collection("mine") == folder == sounds_dir() / "mine"
    assert folder_title(folder) == "mine"
    assert folder_title(tmp_path) == str(tmp_path)
    for name in ("../up", "a/b", ".x", "\0", "x" * 200):
        assert find_collection(name) is None
        with pytest.raises(DistillError, match="folder's name"):
            collect([], name)


def test_an_upload_that_is_gone_is_named(uploads: Path) -> None:
    files = dropped(uploads, {"kicks/01.wav": b"x"})
    files[0].path.unlink()
    with pytest.raises(DistillError, match=r"kicks/01\.wav cannot be read .*drop it again"):
        collect(files)
