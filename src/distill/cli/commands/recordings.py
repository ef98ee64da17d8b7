"""`distill forget` and `consent`: what becomes of the recordings that a model has learned from."""

import threading
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Device, Model, Novelty
from distill.cli.running import hint, last, run


def forget(
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Recordings: names as `distill info --json` has them, folders, patterns such as 'kicks/*', or the files.",
            show_default=False,
        ),
    ],
    codec: Annotated[
        bool, typer.Option("--codec", help="Train the codec anew without them too, from the recordings that are left.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo/--no-undo", help="Keep the model as it was, with what is forgotten, in the library's trash."
        ),
    ] = True,
    novelty: Novelty = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Make a model forget recordings: its prior is trained again without them, and nothing of them stays in its file."""
    from distill import studio
    from distill.novelty.forgotten import ForgetReport

    stop = threading.Event()
    report = last(run(studio.forget(model, files, codec, undo, device, stop, novelty), stop), ForgetReport)
    if as_json:
        emit(**report.to_dict())
        return
    from distill.cli.show import printable

    print(printable(report.sentence))
    for each in report.recordings:
        print(printable(f"  {each.name}: {_bits(each.bits_before)} bits a code before, {_bits(each.bits_after)} now"))
    hint(f"{report.left} recordings are left.")


def consent(
    model: Model,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recordings, folders or patterns of the model's.", show_default="all that have no other line"
        ),
    ] = None,
    whose: Annotated[str, typer.Option("--whose", help="Whose they are.", show_default=False)] = "",
    licence: Annotated[
        str, typer.Option("--licence", help="Under which licence, or on what terms.", show_default=False)
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the lines away.")] = False,
    as_json: Json = False,
) -> None:
    """Say whose the recordings of a model are and under which licence, or list what was said."""
    from distill import studio
    from distill.corpus.consents import without_consent

    path, card = studio.consent(model, files or (), whose, licence, remove)
    lines, without = card.corpus_manifest.consents, without_consent(card.corpus_manifest)
    if as_json:
        emit(model=str(path), consents=[each.model_dump() for each in lines], without=without)
        return
    from distill.cli.show import printable

    for each in lines:
        print(printable(f"{each.of or 'all others'}: {each.line}"))
    sounds = len({file.source for file in card.corpus_manifest.files})
    print(f"{len(without)} of {sounds} recordings have no line." if without else "Every recording has a line.")


def _bits(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
