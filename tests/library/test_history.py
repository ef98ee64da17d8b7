"""The history of generations: kept on the disk, made again with the same settings, and no way out of its folder."""

from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.library import history
from distill.library.history import (
    Generation,
    add_sound,
    begin_generation,
    decide,
    find_generation,
    list_generations,
)
from distill.places import history_dir, kept_dir
from distill.settings.generation import GenerationSettings

SETTINGS = GenerationSettings(count=2, seconds=0.5, seed=7, temperature=1.2, top_p=0.9)


@pytest.fixture(autouse=True)
def _library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))


def made(seed: int = 7) -> Generation:
    """A generation with one sound."""
    generation = begin_generation("kit", SETTINGS)
    path = generation.folder / f"kit-seed{seed}.wav"
    path.write_bytes(b"sound")
    return add_sound(generation.id, path, 0.5, seed)


def test_it_is_read_from_the_disk_newest_first() -> None:
    """Guards against a history that ends with the process, or that one damaged entry hides."""
    first, second = made(), made(8)
    history._parsed.cache_clear()
    assert list_generations() == [second, first]
    assert find_generation(first.id).settings == SETTINGS
    (second.folder / history.RECORD).write_text("{")
    history._parsed.cache_clear()
    assert list_generations() == [first]


def test_keeping_copies_and_taking_it_back_removes_the_copy_only() -> None:
    generation = made()
    original = generation.path_of(generation.sounds[0])
    for _ in range(2):
        (kept,) = decide(generation.id, original.name, "kept").sounds
    assert kept.fate == "kept"
    assert [path.name for path in kept_dir().iterdir()] == [original.name]
    (open_again,) = decide(generation.id, original.name, "open").sounds
    assert (open_again.fate, open_again.kept_as) == ("open", "")
    assert list(kept_dir().iterdir()) == []
    assert original.read_bytes() == b"sound"


def test_a_decision_while_further_sounds_are_made_stays() -> None:
    """Guards against a job that writes back what it knew before."""
    generation = made()
    decide(generation.id, generation.sounds[0].file, "kept")
    path = generation.folder / "kit-seed8.wav"
    path.write_bytes(b"sound")
    grown = add_sound(generation.id, path, 0.5, 8)
    assert [sound.fate for sound in grown.sounds] == ["kept", "open"]


def test_a_kept_sound_that_was_changed_is_not_removed() -> None:
    """Guards against the loss of what someone made of a kept sound."""
    generation = made()
    name = generation.sounds[0].file
    decide(generation.id, name, "kept")
    (kept_dir() / name).write_bytes(b"edited")
    decide(generation.id, name, "discarded")
    assert (kept_dir() / name).read_bytes() == b"edited"


@pytest.mark.parametrize("identity", ["..", "../..", "", "/", "20260101T000000Z-ffff"])
def test_what_is_not_in_the_history_is_not_found(identity: str) -> None:
    """Guards against a name that is a path."""
    generation = made()
    with pytest.raises(DistillError, match="not in the history"):
        find_generation(identity)
    with pytest.raises(DistillError, match="not in the history"):
        decide(generation.id, f"../{generation.id}/{generation.sounds[0].file}", "kept")


def test_sounds_of_old_generations_go_and_their_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a history that fills the disk."""
    monkeypatch.setattr(history, "SOUNDS_KEPT", 2)
    generations = [made(seed) for seed in (1, 2, 3)]
    there = [each.path_of(each.sounds[0]).is_file() for each in generations]
    assert there == [False, True, True]
    assert len(list_generations()) == 3


def given(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_a_generation_started_from_is_kept_with_it(tmp_path: Path) -> None:
    """Guards against a history that needs a file which was dropped on the page, and goes with the page."""
    one, two = given(tmp_path / "a", "kick.wav", b"one"), given(tmp_path / "b", "kick.wav", b"two")
    begun = begin_generation("kit", GenerationSettings(morph=(one, two), steps=3))
    one.unlink()
    history._parsed.cache_clear()
    found = find_generation(begun.id)
    assert found.settings.morph == (Path("kick.wav"), Path("kick-2.wav"))
    assert [path.read_bytes() for path in found.request().files] == [b"one", b"two"]
    assert found.request().seed == found.settings.seed
    assert all(path.is_relative_to(found.folder) for path in found.request().files)
    again = begin_generation("kit", found.request())
    assert (again.settings, again.given) == (found.settings, found.given)
    replaced = begin_generation("kit", GenerationSettings(replace=("0.1-0.2", str(two))))
    assert replaced.settings.replace == ("0.1-0.2", "kick.wav")
    assert replaced.request().files[0].read_bytes() == b"two"
    assert begin_generation("kit", SETTINGS).request() == SETTINGS


def test_the_same_recording_is_stored_once(tmp_path: Path) -> None:
    """Guards against a library that grows by a long recording with every press of the button, and against another content
    that is taken for the same."""
    sound = given(tmp_path, "take.wav", b"long")
    places = [begin_generation("kit", GenerationSettings(vary=sound)).request().files[0] for _ in range(3)]
    assert len({path.stat().st_ino for path in places}) == 1
    sound.write_bytes(b"other")
    other = begin_generation("kit", GenerationSettings(vary=sound)).request().files[0]
    assert [path.read_bytes() for path in (*places, other)] == [b"long"] * 3 + [b"other"]


def test_a_recording_is_copied_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    sound = given(tmp_path, "take.wav", b"long")
    for _ in range(2):
        assert begin_generation("kit", GenerationSettings(like=sound)).request().files[0].read_bytes() == b"long"


def test_recordings_go_with_the_sounds_of_old_generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against recordings that fill the disk, and against new sounds that are made of nothing instead."""
    monkeypatch.setattr(history, "SOUNDS_KEPT", 2)
    sound = given(tmp_path, "take.wav", b"long")
    begun = [begin_generation("kit", GenerationSettings(vary=sound)) for _ in range(3)]
    with pytest.raises(DistillError, match=r"^take\.wav, which these sounds started from, is not kept any more"):
        find_generation(begun[0].id).request()
    assert find_generation(begun[1].id).request().files[0].read_bytes() == b"long"
    unkept = begun[0].model_copy(update={"given": ()})
    with pytest.raises(DistillError, match=r"^take\.wav, which"):
        unkept.request()


def test_a_recording_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    """Guards against an entry that can never be made, and against half a copy."""
    there = given(tmp_path, "take.wav", b"long")
    with pytest.raises(DistillError, match=r"^gone\.wav cannot be read \(no such file"):
        begin_generation("kit", GenerationSettings(bridge=(there, tmp_path / "gone.wav")))
    assert list(history_dir().iterdir()) == []


# What 0.1 wrote, before the settings of a generation were declared in one place.
RECORD_OF_0_1 = """{
 "id": "20260301T101112123456Z-0a1b2c3d",
 "created": "2026-03-01T10:11:12+00:00",
 "settings": {
  "model": "kit", "count": 2, "seconds": 0.5, "seed": 7, "temperature": 1.2, "top_k": 5000, "top_p": 0.9%s
 },
 "sounds": [{"file": "kit-seed7.wav", "seconds": 0.5, "seed": 7, "fate": "kept", "kept_as": "kit-seed7.wav"}]
}"""


@pytest.mark.parametrize("later", ["", ', "ending": "exact", "synthesiser": "griffin-lim", "texture": 0.5'])
def test_a_generation_of_version_0_1_is_still_read(later: str) -> None:
    """Guards histories that have the model among the settings, no ending or texture yet, and numbers without bounds."""
    folder = history_dir() / "20260301T101112123456Z-0a1b2c3d"
    folder.mkdir(parents=True)
    (folder / history.RECORD).write_text(RECORD_OF_0_1 % later)
    (read,) = list_generations()
    assert (read.model, read.sounds[0].kept_as) == ("kit", "kit-seed7.wav")
    expected = {"ending": "exact", "synthesiser": "griffin-lim", "texture": 0.5} if later else {}
    assert read.settings == GenerationSettings(
        count=2, seconds=0.5, seed=7, temperature=1.2, top_k=4096, top_p=0.9, **expected
    )


def test_a_generation_without_a_seed_gets_one_that_makes_it_again() -> None:
    """Guards against a record of "a new seed"."""
    begun = begin_generation("kit", GenerationSettings())
    assert begun.settings.seed is not None
    assert find_generation(begun.id).settings == begun.settings
