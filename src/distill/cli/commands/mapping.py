"""`distill map`."""

import threading
from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Dataset, Device, Model
from distill.cli.running import last, run


def map_(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Sounds to show beside the recordings, or folders of them.", show_default="the recordings alone"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("map.html"),
    dataset: Dataset = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw a model's recordings, and other sounds, as a page: sounds that are alike lie near each other, a click plays one."""
    from distill import studio
    from distill.studio.mapping import MapReport

    stop = threading.Event()
    work = studio.map_sounds(model, files or [], out, dataset, device, stop)
    report = last(run(work, stop), MapReport)
    if as_json:
        emit(**report.to_dict())
    else:
        print(
            f"{len(report.points)} sounds; of the 5 that are most like each, {report.neighbours_kept:.0%} are among the 10 "
            "nearest on the map"
        )
