"""Where a sound is from: for each second the nearest recording of a model, and both side by side."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import soxr
import torch

from distill.audio.reading import Samples, as_channels, read_audio, read_planes
from distill.audio.writing import CONTAINERS, writing_audio
from distill.compute.device import choose_device
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.events import Event, Progress, Source, Warned
from distill.library.models import find_model
from distill.modelfile.opened import OpenedModel, open_model
from distill.novelty.where import Provenance, WhereReport
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.judging import STOPPED, material_of
from distill.studio.stopping import stoppable

PAUSE_SECONDS = 0.15
"""Between a second of the sound and its recording's; as much again follows."""
FADE_SECONDS = 0.003
"""At both ends of what is cut out, so that it does not click."""
COMPARING = "comparing the recordings with each other"


def where(
    file: Path,
    model: str,
    dataset: Path | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
    out: Path | None = None,
) -> Generator[Event, None, None]:
    """For every second of a sound, which recording of the model's is nearest; the report is the last event.

    Args:
        out: a sound file to write, in which each second of the sound is followed by that of its recording.

    Raises:
        DistillError: the file is no sound, or there are neither codes nor recordings; `out` cannot be written, or no
            recording is there to be put into it.
    """
    path = find_model(model)
    chosen = choose_device(device)
    if out is not None:
        _check_out(out, file)
    opened = open_model(path)
    samples, info = read_audio(file)
    for note in info.notes:
        yield Warned(f"{file}: {note}.")
    provenance = yield from stoppable(provenance_of(opened, chosen, dataset), stop, STOPPED)
    found = tuple(provenance.sources(samples))
    if out is not None:
        yield from _write_side_by_side(file, found, opened.card.corpus_manifest, dataset, out)
    yield WhereReport(str(path), str(file), provenance.yardstick.recordings, found, None if out is None else str(out))


def provenance_of(
    opened: OpenedModel, device: torch.device, dataset: Path | None = None
) -> Generator[Event, None, Provenance]:
    """What finds a model's recordings in sounds.

    Raises:
        DistillError: there are neither codes nor recordings.
    """
    material = yield from material_of(opened, dataset, device, recorded=True)
    yield Progress(COMPARING, 0, 1)
    made = Provenance.of(material.train, material.held_out, opened.card.spectrogram_config)
    yield Progress(COMPARING, 1, 1)
    return made


def mono_of(channels: Samples, rate: int = SAMPLE_RATE) -> Samples:
    """[channels, N] at any rate -> [M] at 48 kHz, as `read_audio` reads its file."""
    mono = channels.mean(axis=0)
    return mono if rate == SAMPLE_RATE else np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), dtype=np.float32)


def place_of(manifest: CorpusManifest, name: str, dataset: Path | None = None) -> tuple[Path, float] | None:
    """The file of a recording by its name in a model, where it lies as it did, and the second of it at which it begins."""
    file = next((each for each in manifest.files if each.name == name), None)
    if file is None:
        return None
    path = manifest.place(file.source) if dataset is None else dataset / file.source
    return (path, 0.0 if file.span is None else file.span[0] / SAMPLE_RATE) if path.is_file() else None


def _check_out(out: Path, file: Path) -> None:
    if out.suffix.lower() not in CONTAINERS:
        raise DistillError(f"--out {out}: choose a name that ends with {', '.join(CONTAINERS)}.")
    if out.exists() and file.exists() and out.samefile(file):
        raise DistillError(f"--out {out} is the sound itself: choose another name.")


def _write_side_by_side(
    file: Path, found: Sequence[Source], manifest: CorpusManifest, dataset: Path | None, out: Path
) -> Generator[Event, None, None]:
    """Each second of a sound, and then its recording's."""
    places = {each.nearest: place_of(manifest, each.nearest, dataset) for each in found}
    gone = [name for name, place in places.items() if place is None]
    if not any(places.values()):
        raise DistillError(
            f"--out {out}: none of the recordings is where it was, so there is nothing to put beside {file.name}. Say with "
            "--dataset DIR where they are now."
        )
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        yield Warned(f"{gone[0]}{more} is not where it was: there the second of the sound stands alone.")
    sound = as_channels(read_planes(file)[0])
    recordings: dict[Path, Samples] = {}
    channels = len(sound)
    for place in places.values():
        if place is not None and place[0] not in recordings:
            recordings[place[0]] = as_channels(read_planes(place[0])[0])
            channels = max(channels, len(recordings[place[0]]))
    pause = np.zeros((round(PAUSE_SECONDS * SAMPLE_RATE), channels), dtype=np.float32)
    with writing_audio(out, channels) as writer:
        for done, each in enumerate(found, start=1):
            seconds = each.ends - each.begins
            writer.write(_cut(sound, each.begins, seconds, channels))
            writer.write(pause)
            place = places[each.nearest]
            if place is not None:
                writer.write(_cut(recordings[place[0]], place[1] + each.nearest_seconds, seconds, channels))
                writer.write(pause)
            writer.write(pause)
            yield Progress("writing side by side", done, len(found), each.nearest)


def _cut(sound: Samples, begins: float, seconds: float, channels: int) -> Samples:
    """[channels', N] -> [n, channels] of it, faded at both ends."""
    first = round(begins * SAMPLE_RATE)
    cut = sound[:, first : first + round(seconds * SAMPLE_RATE)].T
    cut = np.repeat(cut, channels, axis=1) if cut.shape[1] < channels else cut.copy()
    fade = min(len(cut) // 2, round(FADE_SECONDS * SAMPLE_RATE))
    if fade:
        ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)[:, None]
        cut[:fade] *= ramp
        cut[-fade:] *= ramp[::-1]
    return cut
