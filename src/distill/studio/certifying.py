"""A certificate for the sounds of a pack: they are judged together, as `distill novelty --files` would judge them."""

import hashlib
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

import distill
from distill.audio.hashing import samples_sha256
from distill.audio.reading import UnusableSound
from distill.audio.tagging import read_tags
from distill.corpus.cache import file_sha256
from distill.corpus.consents import consents_for, without_consent
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError, Stopped
from distill.events import Event, Progress
from distill.instrument.tags import source_file
from distill.library.models import spoken
from distill.modelfile.opened import LoadedVQModel, OpenedModel, open_model
from distill.novelty.certificate import (
    MOST_SOUNDS,
    NEAR,
    Certificate,
    CertifiedModel,
    CertifiedSound,
    CopyTest,
    Nearest,
    SoundVerdict,
)
from distill.novelty.certificate_words import sentences
from distill.novelty.measuring import SoundNovelty
from distill.novelty.verdict import SAID, NoveltyReport
from distill.settings.generation import GenerationSettings
from distill.studio.judging import Material, judged_files, material_of
from distill.studio.stopping import stoppable

STOPPED = "Stopped before the sounds were judged: there is no pack, since one is written whole or not at all."


@dataclass(frozen=True)
class Judge:
    """What sounds will be judged by."""

    opened: OpenedModel
    material: Material
    device: torch.device


class Placed(NamedTuple):
    """A sound in its place in a pack."""

    file: str
    """In the pack, with slashes."""
    seed: int | None
    seconds: float


def judge_for(
    model: Path, sounds: int, device: torch.device, stop: threading.Event | None
) -> Generator[Event, None, Judge]:
    """What a certificate needs, found before the first sound is made.

    Args:
        sounds: how many there will be.

    Raises:
        DistillError: there is no prior, or nothing to judge by; the sentence says what is missing.
    """
    if sounds > MOST_SOUNDS:
        raise DistillError(f"--certificate: {sounds} sounds are too many for one; {MOST_SOUNDS} are not.")
    opened = open_model(model)
    if not opened.card.has_prior:
        raise DistillError(f"{model} has a codec and no prior yet. Run `distill train-prior {spoken(model)}` first.")
    reading = material_of(opened, None, device, recorded=True, remedy="The certificate says so.")
    try:
        material = yield from stoppable(reading, stop, STOPPED)
    except Stopped:
        raise
    except DistillError as error:
        if opened.card.has_codes:
            raise
        raise DistillError(
            f"--certificate: {model} keeps no codes of its recordings, and those are not all where they were "
            f"({opened.card.corpus_manifest.folder}), so there is nothing to judge by. Put them back, or train the prior with "
            "--embed-codes."
        ) from error
    return Judge(opened, material, device)


def certify(
    judge: Judge,
    made_by: LoadedVQModel,
    pack: str,
    licence: str,
    requests: Sequence[GenerationSettings],
    folder: Path,
    sounds: Sequence[Placed],
    stop: threading.Event | None,
) -> Generator[Event, None, tuple[Certificate, NoveltyReport]]:
    """Judge the sounds of a pack and write down what was found.

    Args:
        requests: with their seeds.
        folder: where the files of the sounds are.

    Raises:
        DistillError: none of them can be judged.
        Stopped: before the verdict.
    """
    files = {each.file: folder / each.file for each in sounds}
    report = yield from judged_files(judge.opened, judge.material, files, judge.device, stop)
    found = {each.name: each for each in report.sounds}
    certified = []
    for number, each in enumerate(sounds, start=1):
        if _made_by(files[each.file]) not in ("", made_by.digest):
            raise DistillError(f"{made_by.path} was changed while its sounds were made: make the pack again.")
        certified.append(_certified(each, files[each.file], found.get(each.file)))
        yield Progress("hashing", number, len(sounds), each.file)
    model = certified_model(made_by, judge.opened.card.corpus_manifest)
    test = copy_test(report, judge.material)
    limit = requests[0].max_copy_seconds
    certificate = Certificate(
        distill=distill.__version__,
        says=sentences(pack, licence, model, limit, test, tuple(certified)),
        pack=pack,
        licence=licence,
        model=model,
        requests=tuple(each.plain() for each in requests),
        sources=tuple(source_file(file) for file in requests[0].files),
        max_copy_seconds=limit,
        test=test,
        sounds=tuple(certified),
    )
    return certificate, report


def _made_by(path: Path) -> str:
    """The hash of the model in the tags of a sound; nothing where a file is too large for tags."""
    try:
        return read_tags(path).model_sha256
    except DistillError:
        return ""


def _certified(sound: Placed, path: Path, found: SoundNovelty | None) -> CertifiedSound:
    try:
        samples = samples_sha256(path)
    except UnusableSound as error:
        raise DistillError(f"--certificate: {sound.file} cannot be read again ({error}).") from error
    whole: dict[str, Any] = {
        "file": sound.file,
        "sha256": file_sha256(path),
        "samples_sha256": samples,
        "bytes": path.stat().st_size,
        "seconds": sound.seconds,
        "seed": sound.seed,
    }
    return CertifiedSound(**whole, **figures_of(found))


def figures_of(found: SoundNovelty | None) -> dict[str, Any]:
    """What a certificate says of how new one sound is; None: it cannot be judged."""
    if found is None:
        unknown = ("copied", "p", "nearest", "unexplained", "run_seconds")
        return {"verdict": "not judged", **dict.fromkeys(unknown)}
    verdict: SoundVerdict = "copied" if found.copied else "near" if found.p <= NEAR else "not near"
    return {
        "verdict": verdict,
        "copied": found.copied,
        "p": found.p,
        "nearest": Nearest(file=found.nearest, seconds=found.nearest_seconds, at=found.at_seconds),
        "unexplained": found.unexplained,
        "run_seconds": found.run_seconds,
    }


def certified_model(loaded: LoadedVQModel, manifest: CorpusManifest) -> CertifiedModel:
    """What a certificate says of a model; recordings that were cut into pieces count once."""
    return CertifiedModel(
        name=loaded.path.stem,
        sha256=loaded.digest,
        learned_from=len({file.source for file in manifest.train}),
        held_out=len({file.source for file in manifest.val}),
        consents=consents_for(manifest),
        without_consent=len(without_consent(manifest)),
    )


def copy_test(report: NoveltyReport, material: Material) -> CopyTest:
    """What a certificate says of a copy test."""
    return CopyTest(
        verdict=report.verdict,
        meaning=SAID[report.verdict],
        reason=report.reason,
        judged=len(report.sounds),
        copied=sum(each.copied for each in report.sounds),
        copy_rate=report.copy_rate,
        copy_rate_interval=report.copy_rate_interval,
        p_value=report.p_value,
        coherence_z=report.coherence_z,
        power=report.power,
        recordings=report.recordings,
        unseen_run_seconds=report.unseen_run_seconds,
        heard="codes and recordings" if material.as_recorded else "codes",
        material_sha256=material_sha256(material),
    )


def material_sha256(material: Material) -> str:
    """SHA-256 of the codes of all recordings by name, as 16-bit numbers, little-endian: what sounds are compared with."""
    digest = hashlib.sha256()
    for each in sorted((*material.train, *material.held_out), key=lambda known: known.name):
        digest.update(f"{each.name} {tuple(each.codes.shape)}\n".encode())
        digest.update(each.codes.numpy().astype("<i2").tobytes())
    return digest.hexdigest()
