"""`distill novelty`, `where` and `attribute`."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.curves import with_curves_read
from distill.cli.flags import settings_flags
from distill.cli.options import Dataset, Device, Model, Overrides
from distill.cli.running import hint, last, run
from distill.settings.generation import NOT_OF_CODES, OF_PICKING, OF_VERBS, GenerationSettings, generation_settings

if TYPE_CHECKING:
    from distill.novelty.attribution import AttributionReport
    from distill.novelty.verdict import NoveltyReport
    from distill.novelty.where import WhereReport

LISTED = 10
"""Sounds that are listed without --json: those nearest to a recording."""


@settings_flags(GenerationSettings, without=(*NOT_OF_CODES, *OF_VERBS, *OF_PICKING), defaults={"count": 64})
def novelty(
    model: Model,
    files: Annotated[
        Path | None,
        typer.Option("--files", help="Judge the sounds of this folder, or this file.", show_default="new sounds"),
    ] = None,
    dataset: Dataset = None,
    device: Device = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Say whether what a model makes is new, or its recordings played back."""
    from distill import studio
    from distill.novelty.verdict import NoveltyReport

    stop = threading.Event()
    settings = generation_settings(**with_curves_read(overrides))
    work = studio.novelty(model, files, settings, dataset, device, stop)
    report = last(run(work, stop), NoveltyReport)
    if as_json:
        emit(**report.to_dict())
    else:
        _show(report)


def where(
    file: Annotated[Path, typer.Argument(help="A sound file.", show_default=False)],
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write this sound file, in which each second of the sound is followed by that of its recording.",
            show_default="nothing",
        ),
    ] = None,
    dataset: Dataset = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say for every second of a sound which of a model's recordings is nearest, and whether that is more than chance."""
    from distill import studio
    from distill.novelty.where import WhereReport

    stop = threading.Event()
    report = last(run(studio.where(file, model, dataset, device, stop, out), stop), WhereReport)
    if as_json:
        emit(**report.to_dict())
    else:
        _show_sources(report)
        if report.side_by_side is not None:
            hint(f"Each second, and then its recording's: {report.side_by_side}")


def attribute(
    file: Annotated[Path, typer.Argument(help="A sound file.", show_default=False)],
    model: Model,
    suspects: Annotated[
        int, typer.Option("--suspects", help="How many of the nearest recordings are left out in turn: 2 to 12.")
    ] = 4,
    dataset: Dataset = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say which of a model's recordings a sound is from, by leaving them out one after the other: a minute or two."""
    from distill import studio
    from distill.novelty.attribution import AttributionReport

    stop = threading.Event()
    report = last(run(studio.attribute(file, model, suspects, dataset, device, stop), stop), AttributionReport)
    if as_json:
        emit(**report.to_dict())
    else:
        _show_suspects(report)


def _show(report: "NoveltyReport") -> None:
    low, high = report.copy_rate_interval
    print(f"{report.verdict}. {report.sentence}")
    print(
        f"copied {report.copy_rate:.0%} of {len(report.sounds)} (95 %: {low:.0%} to {high:.0%}); nearer than unseen recordings "
        f"p {report.p_value:.2g}; farther z {report.coherence_z:.1f}; baseline of {report.recordings} recordings"
    )
    if report.power is not None:
        print(f"of copies put among the recordings the test finds {report.power:.0%}")
    nearest = sorted(report.sounds, key=lambda each: (not each.copied, each.p))[:LISTED]
    rows = [
        [
            "copied" if each.copied else "",
            each.name,
            f"{each.p:.2g}",
            f"{each.nearest} at {each.nearest_seconds:.2f} s",
            f"{each.unexplained:.0%}",
            f"{each.run_seconds:.2f} s",
        ]
        for each in nearest
    ]
    _table(["", "sound", "p", "nearest", "differs by", "verbatim"], rows)


def _show_sources(report: "WhereReport") -> None:
    rows = [
        [
            f"{each.begins:.2f} to {each.ends:.2f} s",
            f"{each.nearest} at {each.nearest_seconds:.2f} s",
            f"{each.unexplained:.0%}",
            f"{each.p:.2g}",
            "nearer than chance" if each.nearer_than_chance else "no nearer than unseen recordings",
        ]
        for each in report.sources
    ]
    _table(["of the sound", "nearest", "differs by", "p", ""], rows)


def _show_suspects(report: "AttributionReport") -> None:
    from distill.cli.show import printable

    print(printable(report.sentence))
    rows = [
        [
            each.name + (f" and {len(each.with_it)} like it" if each.with_it else ""),
            f"{each.share:.0%}",
            f"{each.low:.0%} to {each.high:.0%}",
            f"{each.bits:.1f}",
            f"{each.unexplained:.0%}",
        ]
        for each in report.suspects
    ]
    _table(["without", "share", "90 %", "bits less likely", "differs by"], rows)


def _table(titles: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from distill.cli.show import printable

    table = Table()
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console(highlight=False).print(table)
