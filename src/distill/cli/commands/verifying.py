"""`distill verify`: a pack against its certificate."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Dataset, Device
from distill.cli.running import last, run
from distill.errors import DistillError

if TYPE_CHECKING:
    from distill.novelty.verified import VerifyReport

LISTED = 20
"""Sounds that are listed without --json: those that are not as they were."""


def verify(
    what: Annotated[
        Path,
        typer.Argument(
            help="A pack's folder, its .zip, or its certificate.json beside the sounds.", show_default=False
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="The model that made it, by name or path: its hash is compared, and the sounds are judged again.",
            show_default="the library's, its hash alone, if it is there",
        ),
    ] = None,
    again: Annotated[
        int, typer.Option("--again", help="Make so many of the sounds again, the first ones, and compare: 0 to 100.")
    ] = 0,
    dataset: Dataset = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say whether a pack is what its certificate says; exit code 1 where anything does not agree."""
    from distill import studio
    from distill.novelty.verified import VerifyReport

    stop = threading.Event()
    report = last(run(studio.verify(what, model, again, dataset, device, stop), stop), VerifyReport)
    if as_json:
        emit(**report.to_dict())
    else:
        _show(report)
    if not report.agrees:
        raise DistillError(" ".join(report.disagreements))


def _show(report: "VerifyReport") -> None:
    from distill.cli.show import printable

    hashed = "it has the hash that it says" if report.intact else "it was changed since it was written"
    lines = [
        f"certificate of {report.pack}, by distill {report.distill}: {hashed}",
        f"copy test in it: {report.verdict}",
        "sounds: " + ", ".join(f"{count} {state}" for state, count in report.counts.items()),
    ]
    odd = [each for each in report.sounds if each.state != "unchanged"]
    lines += [f"  {each.state}: {each.file}" + (f" ({each.detail})" if each.detail else "") for each in odd[:LISTED]]
    lines += [f"  and {len(odd) - LISTED} more"] if len(odd) > LISTED else []
    made = [each.made_again for each in report.sounds if each.made_again is not None]
    if report.model_is_the_one is not None:
        lines.append(f"model: {'the one that is named' if report.model_is_the_one else 'another one'}")
    if made:
        lines.append(f"made again: {sum(made)} of {len(made)} the same")
    if report.judged_again is not None:
        lines.append(f"judged again: {'the same' if report.judged_again else 'not the same'}")
    lines += [f"note: {note}" for note in report.notes]
    for line in lines:
        print(printable(line))
