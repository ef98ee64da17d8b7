"""The history of generations: one folder each, with its settings and its sounds, so that any can be made again."""

import functools
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from distill.corpus.cache import file_sha256
from distill.errors import DistillError
from distill.files import replacing, safe_file_name, unreserved, unused_path
from distill.places import history_dir, kept_dir
from distill.settings.generation import GenerationSettings
from distill.settings.knobs import LARGEST_SEED, Frozen, knobs_of

RECORD = "generation.json"
GIVEN = "given"
"""A generation's folder of the recordings that it started from."""
SOUNDS_KEPT = 100
"""Generations whose sounds, and whose given recordings, stay on the disk; of older ones the settings stay, which make the
same sounds again."""
Fate = Literal["open", "kept", "discarded"]

_changing = threading.Lock()
"""Held from reading an entry to writing it: sounds are decided on while further ones are made."""


class GeneratedSound(Frozen):
    """One sound of a generation."""

    file: str = Field(pattern=r"^[^/\\]+$")
    """Its name in the generation's folder."""
    seconds: float
    seed: int
    way: float | None = None
    """Of a morph, how far along it is."""
    fate: Fate = "open"
    kept_as: str = Field("", pattern=r"^[^/\\]*$")
    """Its name in the library's folder `kept`."""


class GivenSound(Frozen):
    """A recording that a generation started from, kept with it."""

    file: str = Field(pattern=r"^[^/\\]+$")
    """What the user calls it, and its name in the folder `given`."""
    sha256: str


class Generation(Frozen):
    """One press of the button."""

    id: str = Field(pattern=r"^[0-9TZ]+-[0-9a-f]+$")
    created: str  # ISO 8601, UTC
    model: str = Field(max_length=200)
    settings: GenerationSettings
    """With a seed; recordings by their names alone, which are those of `given`."""
    given: tuple[GivenSound, ...] = ()
    sounds: tuple[GeneratedSound, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, record: Any) -> Any:
        """Records of 0.1 keep the model among the settings, and numbers that had fewer bounds."""
        if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
            return record
        made = dict(record["settings"])
        if "model" not in made:
            return record
        model = made.pop("model")
        for knob in knobs_of(GenerationSettings):
            value = made.get(knob.name)
            if isinstance(value, int | float) and knob.low is not None and knob.high is not None:
                made[knob.name] = min(max(value, knob.low), knob.high)
        if isinstance(made.get("seed"), int) and isinstance(made.get("count"), int):
            made["count"] = min(made["count"], LARGEST_SEED - made["seed"] + 1)
        return {**record, "model": model, "settings": made}

    @property
    def folder(self) -> Path:
        """Where its sounds are."""
        return history_dir() / self.id

    def path_of(self, sound: GeneratedSound) -> Path:
        """The file of a sound; it is there unless the sound was discarded or the generation is old."""
        return self.folder / sound.file

    def given_path_of(self, given: GivenSound) -> Path:
        """The file of a given recording; it is there unless the generation is old."""
        return self.folder / GIVEN / given.file

    def request(self) -> GenerationSettings:
        """The settings with the recordings as they lie in its folder: what is made, and made again.

        Raises:
            DistillError: one is not there any more.
        """
        paths = [self.given_path_of(each) for each in self.given]
        gone = next((path.name for path in paths if not path.is_file()), None)
        if gone is not None or len(paths) < len(self.settings.files):
            name = gone or self.settings.files[len(paths)].name
            raise DistillError(f"{name}, which these sounds started from, is not kept any more. Give it again.")
        return self.settings.with_files(paths)


def begin_generation(model: str, settings: GenerationSettings) -> Generation:
    """A new entry, written before the work begins; its settings have a seed, and the recordings they name are kept with it.

    Raises:
        DistillError: a recording cannot be read, or not be kept.
    """
    now = datetime.now(UTC)
    identity = f"{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}"
    try:
        given = _kept(settings.files, history_dir() / identity / GIVEN)
    except DistillError:
        shutil.rmtree(history_dir() / identity, ignore_errors=True)
        raise
    made = Generation(
        id=identity,
        created=now.isoformat(timespec="seconds"),
        model=model,
        settings=settings.with_files([Path(each.file) for each in given]).seeded(),
        given=given,
    )
    _write(made)
    _forget_old_sounds()
    return made


def add_sound(identity: str, path: Path, seconds: float, seed: int, way: float | None = None) -> Generation:
    """The entry with one more sound, which was written into its folder."""
    sound = GeneratedSound(file=path.name, seconds=seconds, seed=seed, way=way)
    with _changing:
        generation = find_generation(identity)
        grown = generation.model_copy(update={"sounds": (*generation.sounds, sound)})
        _write(grown)
    return grown


def find_generation(identity: str) -> Generation:
    """The entry called so.

    Raises:
        DistillError: there is none.
    """
    found = _read(identity) if identity in _ids() else None
    if found is None:
        raise DistillError("This generation is not in the history any more. Generate again.")
    return found


def list_generations(most: int = 50) -> list[Generation]:
    """The newest entries, newest first; what cannot be read is left out."""
    found = (_read(identity) for identity in reversed(_ids()))
    return [entry for entry in found if entry is not None][:most]


def decide(identity: str, file: str, fate: Fate) -> Generation:
    """Keep a sound (a copy goes into the library's folder `kept`), discard it, or take either back.

    A copy that is no longer to be kept is removed unless it was changed; the sound itself stays with the generation.

    Raises:
        DistillError: there is no such sound.
    """
    with _changing:
        generation = find_generation(identity)
        sound = next((each for each in generation.sounds if each.file == file), None)
        if sound is None or not generation.path_of(sound).is_file():
            raise DistillError("This sound is not in the history any more. Make it again with its seed.")
        original, copied_as = generation.path_of(sound), sound.kept_as
        if fate == "kept" and sound.fate != "kept":
            target = unused_path(kept_dir() / sound.file)
            with original.open("rb") as stream, replacing(target) as copy:
                shutil.copyfileobj(stream, copy)
            copied_as = target.name
        elif fate != "kept" and copied_as:
            copied = kept_dir() / copied_as
            if copied.is_file() and copied.read_bytes() == original.read_bytes():
                copied.unlink()
            copied_as = ""
        changed = sound.model_copy(update={"fate": fate, "kept_as": copied_as})
        decided = generation.model_copy(
            update={"sounds": tuple(changed if each is sound else each for each in generation.sounds)}
        )
        _write(decided)
        return decided


def _kept(files: Iterable[Path], folder: Path) -> tuple[GivenSound, ...]:
    """Recordings in a folder, under the names they have; what an earlier generation has kept is not stored twice."""
    given: list[GivenSound] = []
    for file in files:
        target = unused_path(folder / (unreserved(safe_file_name(file.name)) or "sound"))
        try:
            digest = file_sha256(file)
            if not _linked(digest, target):
                with file.open("rb") as stream, replacing(target) as copy:
                    shutil.copyfileobj(stream, copy)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DistillError(f"{file.name} cannot be read ({reason}). Give it again.") from error
        given.append(GivenSound(file=target.name, sha256=digest))
    return tuple(given)


def _linked(digest: str, target: Path) -> bool:
    """Whether a recording that is kept already has `target` for one more name."""
    for generation in list_generations(SOUNDS_KEPT):
        for each in generation.given:
            kept = generation.given_path_of(each)
            if each.sha256 != digest or not kept.is_file():
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(kept, target)
            except OSError:  # a file system without links
                return False
            return True
    return False


def _ids() -> list[str]:
    if not history_dir().is_dir():
        return []
    return sorted(folder.name for folder in history_dir().iterdir() if (folder / RECORD).is_file())


def _read(identity: str) -> Generation | None:
    try:
        record = history_dir() / identity / RECORD
        found = record.stat()
        return _parsed(record, (found.st_mtime_ns, found.st_ino))
    except (OSError, ValueError):
        return None


@functools.lru_cache(maxsize=1024)
def _parsed(record: Path, _changed: tuple[int, int]) -> Generation:
    plain: dict[str, Any] = json.loads(record.read_bytes())
    return Generation.model_validate({**plain, "id": record.parent.name})


def _write(generation: Generation) -> None:
    with replacing(generation.folder / RECORD) as stream:
        stream.write(generation.model_dump_json(indent=1).encode())


def _forget_old_sounds() -> None:
    for identity in _ids()[:-SOUNDS_KEPT]:
        generation = _read(identity)
        if generation is None:
            continue
        for path in (*map(generation.path_of, generation.sounds), *map(generation.given_path_of, generation.given)):
            path.unlink(missing_ok=True)
