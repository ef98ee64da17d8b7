"""Packs: sounds of a model in a folder to give away, by kind, with names, a page, a licence and kits for samplers.

The folder appears whole or not at all: everything is made in a hidden folder beside it, which gets its name at the end.
"""

import json
import math
import os
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from distill import __version__
from distill.audio.notes import note_name
from distill.audio.thumbnails import picture_of
from distill.compute.device import choose_device
from distill.corpus.kinds import safe_name
from distill.errors import DistillError, Stopped
from distill.events import Event, GenerationCompleteEvent, PackWritten, Progress, SoundWritten
from distill.files import cannot_write, name_made_of, replacing, replacing_folder
from distill.instrument.heard import Heard, heard
from distill.instrument.kits import (
    KIT_FORMATS,
    READ_BY_SAMPLERS,
    SUFFIXES,
    KitFormat,
    KitSound,
    decentsampler,
    sfz,
    strokes_of,
)
from distill.instrument.naming import Described, Named, named
from distill.instrument.pack_page import Shown, pack_page
from distill.instrument.strip import strip_html
from distill.instrument.tempo import with_tempo
from distill.library.models import find_model
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.novelty.certificate import NAME as CERTIFICATE
from distill.novelty.certificate import Certificate
from distill.settings.generation import GenerationSettings
from distill.settings.knobs import LARGEST_SEED
from distill.studio.certifying import Judge, Placed, certify, judge_for
from distill.studio.generating import generate

LOOP_KIND = "loop"
PAGE, RECORD, LICENCE = "index.html", "pack.json", "LICENCE.txt"
FORMAT = "distill_pack"
LONGEST_LICENCE = 1_000
COLOURS = 64
"""Of each picture on the page."""
OLDEST_IN_A_ZIP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class PackRequest:
    """What a pack shall be."""

    folder: Path
    licence: str = ""
    """A line that stands in it; empty: nothing is said."""
    kits: tuple[KitFormat, ...] = ()
    """Kits for samplers. With some, sounds are made of every kind of the model, as many of each as are asked for."""
    zipped: bool = False
    """Whether there shall be an archive of it, beside it."""
    overwrite: bool = False
    """Whether a pack that is there is replaced. Other folders never are."""
    certificate: bool = False
    """Whether the sounds are judged, and what is found written down in it (docs/novelty.md)."""

    @property
    def archive(self) -> Path:
        """Where the archive is."""
        return self.folder.with_name(f"{self.name}.zip")

    @property
    def name(self) -> str:
        """What the pack is called."""
        return name_made_of(self.folder.name) or "pack"


@dataclass(frozen=True)
class _Packed:
    """A sound of a pack."""

    sound: SoundWritten
    """As it was written, before it had its name."""
    kind: str
    heard: Heard
    named: Named
    path: str
    """In the pack, with slashes."""


def generate_pack(
    model: str,
    wanted: PackRequest,
    settings: GenerationSettings,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """New sounds, or what the settings ask for instead of those, as a pack.

    Raises:
        DistillError: it cannot be, or something is there already.
        Stopped: `stop` was set; there is no pack then.
    """
    request = _checked(wanted, settings)
    settings, tempo = with_tempo(settings)
    if tempo is not None:
        yield tempo
    loaded = load_model(find_model(model), choose_device(device))
    settings = settings.seeded()
    kinds = loaded.card.kinds if request.kits and settings.verb is None and _wishes_kinds(loaded.card) else ()
    wishes = [settings] if not kinds or settings.kind is not None else list(_each_kind(settings, kinds))
    judge: Judge | None = None
    if request.certificate:
        judge = yield from judge_for(loaded.path, sum(one.count for one in wishes), choose_device(device), stop)
    with ExitStack() as closing:  # the archive gets its name after the folder
        archive = closing.enter_context(replacing(request.archive)) if request.zipped else None
        folder = closing.enter_context(replacing_folder(request.folder, request.overwrite))
        done: list[tuple[SoundWritten, str | None]] = []
        sampling = synthesis = 0.0
        for one in wishes:
            for event in generate(model, folder / "made", one, device, stop):
                if isinstance(event, SoundWritten):
                    done.append((event, None if one.kind is None else safe_name(one.kind)))
                    total = len(wishes) * event.total
                    yield Progress("making sounds", len(done), total, one.kind or "")
                elif isinstance(event, GenerationCompleteEvent):
                    sampling, synthesis = sampling + event.sampling_seconds, synthesis + event.synthesis_seconds
                elif not isinstance(event, Progress):
                    yield event
            if stop is not None and stop.is_set():
                raise Stopped(
                    f"Stopped: there is no pack, since one is written whole or not at all. --seed {settings.seed} makes the "
                    "same sounds again."
                )
        listened: list[tuple[SoundWritten, str, Heard]] = []
        for sound, kind in done:
            hears = heard(Path(sound.path), loaded, settings.loop)
            listened.append((sound, LOOP_KIND if settings.loop else kind or hears.kind, hears))
            yield Progress("listening", len(listened), len(done))
        if settings.verb is not None:  # variations of a sound are of one kind, whatever each is nearest to
            ((common, _),) = Counter(kind for _, kind, _ in listened).most_common(1)
            listened = [(sound, common, hears) for sound, _, hears in listened]
        packed = _placed(folder, listened, settings)
        shutil.rmtree(folder / "made", ignore_errors=True)
        kits = _write_kits(folder, request, packed, loaded.path.stem)
        certificate = None
        if judge is not None:
            certificate = yield from _certified(folder, judge, loaded, request, wishes, packed, stop)
        _write_about(folder, request, packed, settings, loaded.path.stem, kits, certificate)
        if archive is not None:
            _zip(folder, request.name, archive)
    sounds = tuple(
        replace(each.sound, path=str(request.folder / each.path), done=number, total=len(packed))
        for number, each in enumerate(packed, start=1)
    )
    yield GenerationCompleteEvent(str(loaded.path), settings.seeds()[0], sounds, sampling, synthesis)
    yield PackWritten(
        str(request.folder), len(packed), tuple(dict.fromkeys(each.kind for each in packed)),
        tuple(str(request.folder / kit) for kit in kits), str(request.archive) if request.zipped else None,
        str(request.folder / CERTIFICATE) if request.certificate else None,
    )  # fmt: skip


def _checked(request: PackRequest, settings: GenerationSettings) -> PackRequest:
    """The request with a whole path, if it can be.

    Raises:
        DistillError: it cannot; nothing has been made yet.
    """
    request = PackRequest(
        request.folder.resolve(), " ".join(request.licence.split()), request.kits, request.zipped,
        request.overwrite, request.certificate,
    )  # fmt: skip
    for kit in request.kits:
        if kit not in KIT_FORMATS:
            raise DistillError(f"--kit {kit}: choose {' or '.join(KIT_FORMATS)}.")
    if request.kits and settings.format not in READ_BY_SAMPLERS:
        raise DistillError(f"--kit and --format {settings.format}: samplers read {' and '.join(READ_BY_SAMPLERS)}.")
    if request.kits and settings.loop:
        raise DistillError("--kit and --loop: a kit is played stroke by stroke. Leave one of them out.")
    if len(request.licence) > LONGEST_LICENCE:
        raise DistillError(f"--licence: give a line of at most {LONGEST_LICENCE} characters.")
    if os.path.lexists(request.folder) and not (request.overwrite and _is_pack(request.folder)):
        what = "replace it with --overwrite, or " if _is_pack(request.folder) else ""
        raise DistillError(f"--pack {request.folder}: something of that name is there; {what}choose another place.")
    if request.zipped and os.path.lexists(request.archive) and not request.overwrite:
        raise DistillError(f"--zip: {request.archive} is there; replace it with --overwrite, or choose another place.")
    return request


def _is_pack(folder: Path) -> bool:
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("format") == FORMAT


def _wishes_kinds(card: Any) -> bool:
    """Whether a model's prior can be asked for kinds."""
    return card.prior_config is not None and card.prior_config.both_sides


def _each_kind(settings: GenerationSettings, kinds: Sequence[str]) -> Generator[GenerationSettings, None, None]:
    """The settings once for each kind, with seeds of their own."""
    assert settings.seed is not None
    most = LARGEST_SEED - len(kinds) * settings.count + 1
    if settings.seed > most:
        raise DistillError(
            f"--seed {settings.seed}: {settings.count} sounds of {len(kinds)} kinds need as many seeds; choose one of at "
            f"most {most}."
        )
    for number, kind in enumerate(kinds):
        yield settings.model_copy(update={"kind": kind, "seed": settings.seed + number * settings.count})


def _placed(
    folder: Path, sounds: Sequence[tuple[SoundWritten, str, Heard]], settings: GenerationSettings
) -> list[_Packed]:
    """The sounds under their names, in folders of their kinds, in the order of those."""
    order = sorted(range(len(sounds)), key=lambda place: (sounds[place][1], place))
    chosen = [sounds[place] for place in order]
    names = named(
        [Described(kind, it.seconds, it.loudness, it.brightness, it.note) for _, kind, it in chosen],
        settings.bpm if settings.loop else None,
    )
    packed = []
    for (sound, kind, hears), name in zip(chosen, names, strict=True):
        path = f"{name.folder}/{name.stem}.{settings.format}"
        try:
            (folder / name.folder).mkdir(exist_ok=True)
            Path(sound.path).rename(folder / path)
        except OSError as error:
            raise cannot_write(folder / path, error) from error
        packed.append(_Packed(sound, kind, hears, name, path))
    return packed


def _certified(
    folder: Path,
    judge: Judge,
    loaded: LoadedVQModel,
    request: PackRequest,
    wishes: Sequence[GenerationSettings],
    packed: Sequence[_Packed],
    stop: threading.Event | None,
) -> Generator[Event, None, Certificate]:
    """Write the certificate; the verdict is an event."""
    placed = [Placed(each.path, each.sound.seed, each.sound.seconds) for each in packed]
    certificate, report = yield from certify(judge, loaded, request.name, request.licence, wishes, folder, placed, stop)
    _write(folder / CERTIFICATE, certificate.text())
    yield report
    return certificate


def _write_kits(folder: Path, request: PackRequest, packed: Sequence[_Packed], model: str) -> list[str]:
    """Write the kits -> their names."""
    strokes = strokes_of([KitSound(each.path, each.kind, each.heard.loudness, each.heard.peak_db) for each in packed])
    written = []
    for kit in dict.fromkeys(request.kits):
        name = request.name + SUFFIXES[kit]
        _write(
            folder / name,
            sfz(strokes, f"{request.name}, of the model {model}") if kit == "sfz" else decentsampler(strokes),
        )
        written.append(name)
    return written


def _write_about(
    folder: Path,
    request: PackRequest,
    packed: Sequence[_Packed],
    settings: GenerationSettings,
    model: str,
    kits: Sequence[str],
    certificate: Certificate | None,
) -> None:
    """Write the page, the licence, and the record for programs."""
    about = [f"{len(packed)} sounds, generated by the model {model}, distill {__version__}, seed {settings.seed}."]
    if request.licence:
        about.append(f"Licence: {request.licence}")
        _write(folder / LICENCE, request.licence + "\n")
    about += [f"For samplers: {kit}" for kit in kits]
    if certificate is not None:
        about.append(
            f"Copy test: {certificate.test.verdict}. {CERTIFICATE} has what was found; `distill verify` checks it."
        )
    shown = [
        Shown(
            each.path,
            each.kind,
            _facts(each, settings),
            picture_of(each.heard.channels, COLOURS),
            strip_html(each.sound.sources or (), each.path.rpartition("/")[2]),
        )
        for each in packed
    ]
    _write(folder / PAGE, pack_page(request.name, about, shown))
    record = {
        "format": FORMAT, "version": 1, "distill": __version__, "name": request.name, "model": model,
        "licence": request.licence, "settings": json.loads(settings.model_dump_json()), "kits": list(kits),
        "sounds": [_record(each, settings) for each in packed],
    }  # fmt: skip
    if certificate is not None:
        record["certificate"] = CERTIFICATE
    _write(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=True) + "\n")


def _facts(each: _Packed, settings: GenerationSettings) -> str:
    facts = [f"{each.heard.seconds:.2f} s", f"seed {each.sound.seed}"]
    facts += [f"{settings.bpm:g} bpm"] if settings.loop and settings.bpm is not None else []
    facts += [note_name(each.heard.note)] if each.heard.note is not None else []
    facts += [f"{each.heard.loudness:.0f} LUFS"] if math.isfinite(each.heard.loudness) else ["silent"]
    return ", ".join(facts + ([each.named.word] if each.named.word else []))


def _record(each: _Packed, settings: GenerationSettings) -> dict[str, Any]:
    it = each.heard
    return {
        "file": each.path, "kind": each.kind, "nearest_kind": it.kind, "seed": each.sound.seed, "seconds": it.seconds,
        "rate": it.rate, "bpm": settings.bpm if settings.loop else None, "word": each.named.word,
        "note": None if it.note is None else round(it.note, 2),
        "loudness_lufs": round(it.loudness, 2) if math.isfinite(it.loudness) else None,
        "peak_db": round(it.peak_db, 2),
        "brightness_hz": None if it.brightness is None else round(2.0**it.brightness, 1),
    }  # fmt: skip


def _write(path: Path, text: str) -> None:
    with replacing(path) as stream:
        stream.write(text.encode(errors="replace"))


def _zip(folder: Path, name: str, stream: BinaryIO) -> None:
    """All of a folder as an archive, the same bytes for the same files."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}", OLDEST_IN_A_ZIP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while block := source.read(1 << 20):
                    target.write(block)
