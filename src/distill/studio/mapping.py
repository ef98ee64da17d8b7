"""A map: all recordings of a model, and sounds it made or others, each near those that it is like."""

import os
import threading
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from torch import Tensor

from distill.audio.mel_statistics import mel_statistics, side_by_side
from distill.audio.reading import read_audio
from distill.compute.device import choose_device
from distill.corpus.kinds import Kinds, mean_mel, nearest_kind
from distill.corpus.manifest import CorpusFile
from distill.errors import DistillError
from distill.evaluation.placing import neighbours_kept, placed
from distill.events import Event, Progress, Saved, Warned
from distill.files import replacing
from distill.library.models import find_model
from distill.modelfile.opened import OpenedModel, open_model
from distill.novelty.sounds import as_decoded
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.evaluating import sounds_in
from distill.studio.judging import Material, judged_samples, material_of
from distill.studio.map_page import MARK, map_page
from distill.studio.stopping import stoppable

What = Literal["recording", "held out", "given"]
STOPPED = "Stopped before there was a map."
MOST_SOUNDS = 20_000


@dataclass(frozen=True)
class MapPoint:
    """One sound on the map."""

    name: str
    what: What
    """A recording that was learned from, one that was held out, or a sound that was given."""
    kind: str
    """The word for its group; of a sound that is none of those learned from, the nearest one's. Nothing: there are none."""
    x: float
    y: float
    """From 0 to 1: the first axis to the right, the second upwards."""
    seconds: float
    path: str
    """Its file, where there is one."""
    begins: float = 0.0
    """Where in the file it begins, in seconds."""


@dataclass(frozen=True)
class MapReport(Event):
    """Where each sound is."""

    model: str
    out: str
    """The page that shows it; nothing: none was written."""
    neighbours_kept: float
    """Share of the 5 nearest sounds that are among the 10 nearest on the map."""
    points: tuple[MapPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "points": [asdict(each) for each in self.points]}


def map_sounds(
    model: str,
    places: Sequence[Path] = (),
    out: Path | None = None,
    dataset: Path | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Place a model's recordings, and sounds beside them, on two axes; the report is the last event.

    All are heard through the model's codec, so that none is alike for being smooth.

    Args:
        places: sounds, or folders of them, to show beside the recordings.
        out: the HTML page to write; None: none.
        dataset: where the recordings are now, to be played; None: where they were. The map itself needs the codes alone.

    Raises:
        DistillError: there are neither codes nor recordings, a place is none, or `out` is something else's.
        Stopped: before there was a map.
    """
    path = find_model(model)
    if out is not None:
        check_replaceable(out)
    given = sounds_in(list(places)) if places else {}
    opened = open_model(path)
    work = _points(opened, given, dataset, device)
    points, kept = yield from stoppable(work, stop, STOPPED)
    if out is not None:
        page = map_page(path.stem, [asdict(each) | {"url": url_of(each, out)} for each in points])
        with replacing(out) as stream:
            stream.write(page.encode("ascii"))
        yield Saved(str(out), "map")
    yield MapReport(str(path), "" if out is None else str(out), kept, points)


def check_replaceable(out: Path) -> None:
    """Raise a `DistillError` where a map would take the place of something else."""
    if not os.path.lexists(out):
        return
    try:
        with out.open("rb") as stream:
            ours = MARK.encode() in stream.read(1000)
    except OSError:
        ours = False
    if not ours:
        raise DistillError(f"--out {out}: there is something that is no map. Give another name for the map.")


def url_of(point: MapPoint, page: Path) -> str:
    """What a page opens to play a sound: relative where it lies below the page, so that both may be moved together."""
    if not point.path:
        return ""
    file, folder = Path(point.path).absolute(), page.absolute().parent
    inside = file.is_relative_to(folder)
    url = "./" + quote(os.fsencode(file.relative_to(folder).as_posix())) if inside else file.as_uri()
    end = f",{point.begins + point.seconds:.3f}" if point.begins else ""
    return f"{url}#t={point.begins:.3f}{end}" if point.begins else url


def _points(
    opened: OpenedModel, given: dict[str, Path], dataset: Path | None, device: str
) -> Generator[Event, None, tuple[tuple[MapPoint, ...], float]]:
    card = opened.card
    count = len(card.corpus_manifest.files) + len(given)
    if count > MOST_SOUNDS:
        raise DistillError(f"{count} sounds are more than a map can show; give at most {MOST_SOUNDS} in all.")
    chosen = choose_device(device)
    material = yield from material_of(opened, None if card.has_codes else dataset, chosen, recorded=False)
    kinds = _KindsOf.of(opened)
    statistics, drafts = [], []
    files = {file.name: file for file in card.corpus_manifest.files}
    for number, known in enumerate((*material.train, *material.held_out)):
        file, mel = files[known.name], known.mels[0]
        learned = number < len(material.train)
        kind = kinds.learned(number) if learned else kinds.nearest(mel)
        place = _place_of(opened, file, dataset)
        begins = 0.0 if file.span is None else file.span[0] / SAMPLE_RATE
        drafts.append((file.name, "recording" if learned else "held out", kind, file.seconds, place, begins))
        statistics.append(mel_statistics(mel))
    yield from _given(opened, material, given, kinds, drafts, statistics)
    points = side_by_side(np.stack(statistics), card.spectrogram_config.n_mels)
    yield Progress("placing the sounds", 0, 1)
    shown = placed(points)
    yield Progress("placing the sounds", 1, 1)
    made = tuple(
        MapPoint(name, what, kind, round(float(x), 4), round(float(y), 4), seconds, place, begins)  # type: ignore[arg-type]
        for (name, what, kind, seconds, place, begins), (x, y) in zip(drafts, shown, strict=True)
    )
    return made, neighbours_kept(points, shown)


def _given(
    opened: OpenedModel,
    material: Material,
    given: dict[str, Path],
    kinds: "_KindsOf",
    drafts: list[tuple[str, str, str, float, str, float]],
    statistics: list[npt.NDArray[np.float64]],
) -> Generator[Event, None, None]:
    """Add sounds that were given; what cannot be read is said and left out."""
    left_out = []
    device = material.codec.typical_level_db.device
    for done, (name, path) in enumerate(given.items(), start=1):
        try:
            samples, _ = read_audio(path)
        except DistillError as error:
            left_out.append(str(error))
            continue
        judged = judged_samples(material.codec, name, samples, opened, device)
        mel = as_decoded(material.codec, judged.codes, len(judged.mel))
        drafts.append((name, "given", kinds.nearest(mel), len(samples) / SAMPLE_RATE, str(path), 0.0))
        statistics.append(mel_statistics(mel))
        yield Progress("reading sounds", done, len(given), name)
    if left_out:
        more = f" And {len(left_out) - 1} more." if len(left_out) > 1 else ""
        yield Warned(f"{len(left_out)} of {len(given)} files are left out. {left_out[0]}{more}")


def _place_of(opened: OpenedModel, file: CorpusFile, dataset: Path | None) -> str:
    """Where a recording is now; nothing: nowhere."""
    place = opened.card.corpus_manifest.place(file.source) if dataset is None else dataset / file.source
    return str(place) if place.is_file() else ""


@dataclass(frozen=True)
class _KindsOf:
    """The kinds of a model's recordings."""

    kinds: Kinds | None
    mean_mels: npt.NDArray[np.float32]

    @classmethod
    def of(cls, opened: OpenedModel) -> "_KindsOf":
        examples = opened.kind_examples()
        if examples is None:
            return cls(None, np.zeros((0, 0), np.float32))
        numbers = tuple(kind - 1 if kind else None for kind in examples.of_file.tolist())
        return cls(Kinds(opened.card.kinds, numbers, "clusters"), examples.mean_mels.numpy())

    def learned(self, number: int) -> str:
        """Of a training file, by its number."""
        kind = None if self.kinds is None or number >= len(self.kinds.of_file) else self.kinds.of_file[number]
        return "" if kind is None or self.kinds is None else self.kinds.names[kind]

    def nearest(self, mel: Tensor) -> str:
        """Of another sound [T, M]."""
        kind = None if self.kinds is None else nearest_kind(mean_mel(mel.numpy()), self.mean_mels, self.kinds)
        return "" if kind is None or self.kinds is None else self.kinds.names[kind]
