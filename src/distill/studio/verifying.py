"""Checking a pack against its certificate, and the certificate against the model that it names."""

import tempfile
import threading
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path

from distill.audio.hashing import samples_sha256
from distill.audio.reading import UnusableSound
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import Event, Progress
from distill.library.models import find_model, model_in_library
from distill.modelfile.opened import loaded_model, open_model
from distill.novelty.certificate import Certificate, CertifiedSound, read_certificate
from distill.novelty.certificate_words import contradictions
from distill.novelty.verified import State, VerifiedSound, VerifyReport, told
from distill.places import given_path
from distill.studio.checking_again import Asked, FoundModel, judged_again, made_again
from distill.studio.given_packs import FolderPack, given_pack
from distill.studio.packing import RECORD

MOST_AGAIN = 100


def verify(
    what: Path,
    model: str | None = None,
    again: int = 0,
    dataset: Path | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Check a pack against its certificate; the report is the last event.

    Args:
        what: the folder of a pack, its archive, or a certificate beside the sounds.
        model: the model that is said to have made it: then the sounds are judged again. None: the library's, if it has one
            of that name and hash, whose hash alone is compared.
        again: so many sounds, the first ones, are made again.
        dataset: where the model's recordings are now; None: where they were.
        stop: set it to end without a report.

    Raises:
        DistillError: there is no certificate, or something given cannot be read.
        Stopped: before all was checked.
    """
    if not 0 <= again <= MOST_AGAIN:
        raise DistillError(f"--again {again}: choose from 0 to {MOST_AGAIN}.")
    if dataset is not None and model is None:
        raise DistillError(f"--dataset {dataset} is for judging again: name the model with --model.")
    path, chosen = given_path(what), choose_device(device)
    with ExitStack() as closing:
        pack = closing.enter_context(given_pack(path))
        read = read_certificate(pack.certificate(), str(path))
        if isinstance(pack, FolderPack):
            all_of_it = path.is_dir() or (pack.root / RECORD).is_file()
            pack.look([each.file for each in read.certificate.sounds], all_of_it)
        copies = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="distill-verify-")))
        yield (yield from _report(Asked(read, pack, copies, chosen, stop), path, model, again, dataset))


def _report(
    asked: Asked, path: Path, model: str | None, again: int, dataset: Path | None
) -> Generator[Event, None, VerifyReport]:
    certificate, notes, wrong = asked.read.certificate, list[str](), list[str]()
    if not asked.read.intact:
        wrong.append("The certificate was changed since it was written: it has not the hash that it says it has.")
    wrong += [f"The certificate contradicts itself: {each}." for each in contradictions(certificate)]
    sounds = yield from _sounds(asked)
    found = _model(asked, certificate, model, notes)
    same = judged = None
    if found is not None:
        same = found.loaded.digest == certificate.model.sha256
        if not same:
            wrong.append(
                f"{found.loaded.path.stem} is not the model of this certificate: it has the hash {found.loaded.digest[:12]}..., "
                f"not {certificate.model.sha256[:12]}..."
            )
    whole = all(each.state == "unchanged" for each in sounds[: len(certificate.sounds)])
    if found is not None and same:
        if again:
            sounds = yield from made_again(asked, found, sounds, again, notes)
        if found.named:
            judged = yield from judged_again(asked, found, whole, dataset, notes, wrong)
    elif again and found is None:
        raise DistillError(
            f"--again {again}: the model {certificate.model.name!r:.80} is not in the library, or is another one there. Name it "
            "with --model."
        )
    wrong += told(tuple(sounds), len(certificate.sounds))
    return VerifyReport(
        what=str(path), pack=certificate.pack, distill=certificate.distill, verdict=certificate.test.verdict,
        model=certificate.model.name, model_sha256=certificate.model.sha256, intact=asked.read.intact,
        model_is_the_one=same, judged_again=judged, sounds=tuple(sounds), disagreements=tuple(wrong), notes=tuple(notes),
    )  # fmt: skip


def _sounds(asked: Asked) -> Generator[Event, None, list[VerifiedSound]]:
    """Every sound of the certificate, then those that it does not name."""
    certified, pack = asked.read.certificate.sounds, asked.pack
    by_hash = {each.sha256: each.file for each in certified}
    names = {each.file for each in certified}
    sounds: list[VerifiedSound] = []
    for number, each in enumerate(certified, start=1):
        sounds.append(_compared(asked, each))
        yield Progress("hashing", number, len(certified), each.file)
        asked.check()
    for name in pack.files:
        if name not in names and pack.is_sound(name):
            known = by_hash.get(pack.sha256(name))
            detail = "" if known is None else f"it is {known} under another name"
            sounds.append(VerifiedSound(name, "not in the certificate", detail))
            asked.check()
    return sounds


def _compared(asked: Asked, sound: CertifiedSound) -> VerifiedSound:
    size = asked.pack.files.get(sound.file)
    if size is None:
        return VerifiedSound(sound.file, "missing")
    if size == sound.bytes and asked.pack.sha256(sound.file) == sound.sha256:
        return VerifiedSound(sound.file, "unchanged")
    state: State = "changed"
    try:
        file = asked.pack.copy(sound.file, asked.copies / "changed")
        same = samples_sha256(file) == sound.samples_sha256
        detail = "its samples are the same: what stands beside them is not" if same else ""
    except UnusableSound as error:
        detail = f"it is no sound any more ({error})"
    finally:
        (asked.copies / "changed").unlink(missing_ok=True)
    return VerifiedSound(sound.file, state, detail)


def _model(asked: Asked, certificate: Certificate, model: str | None, notes: list[str]) -> FoundModel | None:
    """The model that was named, or the library's of that name and hash."""
    if model is not None:
        opened = open_model(find_model(model))
        return FoundModel(opened, loaded_model(opened, asked.device), named=True)
    with suppress(DistillError):  # none of that name, or damaged
        opened = open_model(model_in_library(certificate.model.name))
        loaded = loaded_model(opened, asked.device)
        if loaded.digest == certificate.model.sha256:
            return FoundModel(opened, loaded, named=False)
        notes.append("The library has another model of that name.")
    notes.append("The model was not looked at: say with --model where it is.")
    return None
