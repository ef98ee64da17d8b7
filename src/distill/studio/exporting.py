"""A model as a folder for other hosts."""

import json
import threading
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import distill.export
from distill.compute.threads import threads
from distill.errors import DistillError, Stopped
from distill.events import Event, Progress
from distill.export.description import description
from distill.export.folder import DESCRIPTION, check_target, replacing_folder
from distill.export.parts import parts_of
from distill.export.writing import TOLERANCE, check_packages, largest_difference, write_graph
from distill.files import replacing
from distill.library.models import find_model, spoken
from distill.modelfile.migrate import lacks
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.synthesiser import SpectrumNetwork, shipped_network

PLAYER = "player.py"


@dataclass(frozen=True)
class ExportCompleteEvent(Event):
    """A model has been exported."""

    model: str
    folder: str
    files: tuple[str, ...]
    """Names within the folder."""
    largest_difference: float
    """Of any output of a graph, run by onnxruntime, from what the program computes."""
    lacks: tuple[str, ...]
    """What the model has not, and so the export neither, a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)


def export_onnx(
    model: str, folder: Path, overwrite: bool = False, stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Write a model's networks as ONNX graphs, with a description and a player that needs nothing of this program.

    Args:
        overwrite: replace a model that was exported to the same folder.
        stop: set it to end; then nothing is written.

    Raises:
        DistillError: the packages that it takes are not installed, the folder holds other things or cannot be written.
        Stopped: it was stopped.
    """
    check_packages()
    folder = folder.absolute()
    check_target(folder, overwrite)
    loaded = load_model(find_model(model))
    network = loaded.synthesiser or shipped_network(loaded.card.spectrogram_config)
    missing = _missing(loaded, network)
    parts = parts_of(loaded, network)
    differences: dict[str, float] = {}
    with replacing_folder(folder) as new, threads(1):
        for done, part in enumerate(parts):
            yield Progress("exporting", done, len(parts))
            if stop is not None and stop.is_set():
                raise Stopped(f"Stopped: nothing was written to {folder}.")
            file = new / f"{part.name}.onnx"
            write_graph(part, file)
            differences[part.name] = largest_difference(part, file, part.example)
            if not differences[part.name] <= TOLERANCE:
                raise DistillError(
                    f"The exported {part.name} differs from the model by {differences[part.name]:.1e}, more than "
                    f"{TOLERANCE:.0e}: install the packages of `distill[onnx]` in the versions that this program names."
                )
        said = description(loaded, network, parts, differences, missing)
        with replacing(new / DESCRIPTION) as stream:
            stream.write(json.dumps(said, indent=1, allow_nan=False).encode())
        with replacing(new / PLAYER) as stream:
            stream.write(Path(distill.export.__file__).with_name(PLAYER).read_bytes())
        files = tuple(sorted(each.name for each in new.iterdir()))
    yield Progress("exporting", len(parts), len(parts))
    yield ExportCompleteEvent(str(loaded.path), str(folder), files, max(differences.values()), tuple(missing))


def _missing(loaded: LoadedVQModel, network: SpectrumNetwork | None) -> list[str]:
    missing = []
    if loaded.prior is None:
        missing.append(
            f"It has no prior, so codes can be decoded and none drawn: `distill train-prior {spoken(loaded.path)}` makes one."
        )
    if network is None:
        missing.append("There is no synthesiser for its spectrogram: the host has to invert the mel by itself.")
    if loaded.image is not None:
        missing.append("Its stereo image is not exported: what is decoded is the middle, one channel.")
    return [*missing, *lacks(loaded.card)]
