"""What a model says to a certificate: the sounds once more by their tags, and the copy test once more."""

import shutil
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch

import distill
from distill.audio.reading import read_planes
from distill.audio.tagging import read_tags
from distill.corpus.cache import file_sha256
from distill.errors import DistillError, Stopped
from distill.events import Event, GenerationCompleteEvent, Progress
from distill.files import safe_file_name
from distill.instrument.asked import asked_of
from distill.modelfile.opened import LoadedVQModel, OpenedModel
from distill.novelty.certificate import CertifiedSound, ReadCertificate
from distill.novelty.verified import VerifiedSound, differences
from distill.studio.certifying import certified_model, copy_test, figures_of, material_sha256
from distill.studio.generating import write_sounds
from distill.studio.given_packs import GivenPack
from distill.studio.judging import judged_files, material_of
from distill.studio.repeating import repeat_of

STOPPED = "Stopped before all was checked."
SAME_SOUND = 1e-3
"""Of the highest peak: what rounding on another machine may change in a sound."""
MOST_TOLD = 10
"""Differences of a copy test that are told."""


class FoundModel(NamedTuple):
    """A model that a certificate may be of."""

    opened: OpenedModel
    loaded: LoadedVQModel
    named: bool
    """Whether the user has named it."""


class Asked(NamedTuple):
    """A certificate, and what is at hand to check it."""

    read: ReadCertificate
    pack: GivenPack
    copies: Path
    """A folder for what has to be a file of its own to be decoded."""
    device: torch.device
    stop: threading.Event | None

    def check(self) -> None:
        """End the work where that is wanted.

        Raises:
            Stopped: it is.
        """
        if self.stop is not None and self.stop.is_set():
            raise Stopped(STOPPED)


def _on_disk(asked: Asked, number: int, file: str) -> Path:
    """A sound where a decoder can read it; its name in the pack is no path here."""
    target = asked.copies / f"{number:05d}-{safe_file_name(PurePosixPath(file).name)}"
    return target if target.exists() else asked.pack.copy(file, target)


def made_again(
    asked: Asked, model: FoundModel, sounds: list[VerifiedSound], most: int, notes: list[str]
) -> Generator[Event, None, list[VerifiedSound]]:
    """The first sounds that are as they were, made once more by their tags."""
    certificate, result = asked.read.certificate, list(sounds)
    chosen = [number for number, each in enumerate(sounds) if each.state == "unchanged"][:most]
    if certificate.distill != distill.__version__:
        notes.append(f"distill {certificate.distill!r:.20} made the sounds, this is {distill.__version__}.")
    for done, number in enumerate(chosen, start=1):
        certified = certificate.sounds[number]
        path = _on_disk(asked, number, certified.file)
        try:
            same = yield from _same_again(asked, model, certified, path)
            result[number] = replace(sounds[number], made_again=same)
        except Stopped:
            raise
        except DistillError as error:
            notes.append(f"{certified.file} was not made again: {error}")
        yield Progress("making sounds again", done, len(chosen), certified.file)
        asked.check()
    return result


def _same_again(asked: Asked, model: FoundModel, sound: CertifiedSound, path: Path) -> Generator[Event, None, bool]:
    """Whether the tags of a sound are those of the certificate, and the model makes it of them."""
    tags = read_tags(path)
    if tags.model_sha256 != model.loaded.digest or tags.seed != sound.seed:
        return False
    if tags.request not in asked.read.certificate.requests:
        return False
    repeat = repeat_of(path, tags)
    out = asked.copies / "again"
    request = asked_of(repeat.found)
    made: Path | None = None
    for event in write_sounds(
        model.loaded, repeat.request, request, out, asked.device, asked.stop, repeat.seed, repeat.sources
    ):
        if isinstance(event, GenerationCompleteEvent):
            made = Path(event.sounds[0].path) if event.sounds else None
        elif isinstance(event, Progress):
            yield event
    if made is None:
        raise Stopped(STOPPED)
    same = file_sha256(made) == sound.sha256 or _nearly(path, made)
    shutil.rmtree(out, ignore_errors=True)
    return same


def _nearly(one: Path, other: Path) -> bool:
    """Whether two files hold the same sound but for rounding."""
    try:
        first, second = read_planes(one)[0], read_planes(other)[0]
    except DistillError:  # silence is no sound to read
        return False
    return first.shape == second.shape and bool(np.abs(first - second).max() <= SAME_SOUND * np.abs(first).max())


def judged_again(
    asked: Asked, model: FoundModel, whole: bool, dataset: Path | None, notes: list[str], wrong: list[str]
) -> Generator[Event, None, bool | None]:
    """Whether the copy test comes to what the certificate says; None: it was not made, and a note says why."""
    certificate = asked.read.certificate
    if not whole:
        notes.append("The sounds were not judged again: they are not all there as they were.")
        return None
    recorded = certificate.test.heard == "codes and recordings"
    material = yield from material_of(model.opened, dataset if recorded else None, asked.device, recorded)
    if model.opened.card.has_codes and material_sha256(material) != certificate.test.material_sha256:
        wrong.append("What the sounds were compared with is not what the model's file holds of its recordings.")
        return False
    if recorded and not material.as_recorded:
        notes.append(
            "The sounds were not judged again: for the certificate they were compared with the recordings themselves, which are "
            "not here. Say with --dataset DIR where they are."
        )
        return None
    files = {each.file: _on_disk(asked, number, each.file) for number, each in enumerate(certificate.sounds)}
    report = yield from judged_files(model.opened, material, files, asked.device, asked.stop)
    found = {each.name: each for each in report.sounds}
    again = {each.file: each.model_copy(update=figures_of(found.get(each.file))) for each in certificate.sounds}
    differ = list(differences(certificate, copy_test(report, material), again))
    now = certified_model(model.loaded, model.opened.card.corpus_manifest)
    if now.consents != certificate.model.consents:
        notes.append("The model's file says another thing now of whose the recordings are (`distill consent`).")
    wrong += [f"Judged again, {each}." for each in differ[:MOST_TOLD]]
    return not differ
