"""`distill library`: what is in the library, and moving models in, out and away."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.cli.answer import Json, emit
from distill.cli.words import help_where_nothing_was_said
from distill.places import shell_quoted

if TYPE_CHECKING:
    from distill.library.models import LibraryEntry

library_app = typer.Typer(
    help="The models you have: list, rename, delete, import, export.", invoke_without_command=True
)

Name = Annotated[str, typer.Argument(help="A model's name in the library.", show_default=False)]


@library_app.callback()
def _root(context: typer.Context) -> None:
    help_where_nothing_was_said(context)


@library_app.command("list")
def list_(
    deleted: Annotated[bool, typer.Option("--deleted", help="Show what is in the trash instead.")] = False,
    as_json: Json = False,
) -> None:
    """Show the models in the library."""
    from distill.library.models import entries
    from distill.library.trash import deleted_models
    from distill.places import library_dir

    if deleted:
        rows = [{"name": each.name, "deleted": each.deleted, "path": str(each.path)} for each in deleted_models()]
    else:
        rows = [_summary(entry) for entry in entries()]
    if as_json:
        emit(library=str(library_dir()), models=rows)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from distill.cli.show import printable

    console = Console(highlight=False)
    if not rows:
        console.print(escape(printable(f"{library_dir()} has no {'deleted ' if deleted else ''}models.")))
        return
    shown = (
        ["name", "deleted"] if deleted else ["name", "sounds", "minutes", "codes", "perplexity", "created", "problem"]
    )
    table = Table(title=escape(printable(str(library_dir()))), title_justify="left")
    for title in shown:
        table.add_column(title)
    for row in rows:
        table.add_row(*(escape(printable(_cell(row[title]))) for title in shown))
    console.print(table)


@library_app.command("info")
def info(name: Name, as_json: Json = False) -> None:
    """Show what a model's file says of itself."""
    from distill.cli.card import show_card
    from distill.library.models import model_in_library
    from distill.modelfile.file import read_card
    from distill.modelfile.migrate import lacks

    path = model_in_library(name)
    card = read_card(path)
    if as_json:
        emit(model=str(path), **card.model_dump(mode="json"), lacks=lacks(card))
    else:
        show_card(path, card)


@library_app.command("rename")
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Give a model another name."""
    from distill.library.models import rename_model

    path = rename_model(name, new_name)
    _answer(as_json, f"{name} is called {path.stem} now.", model=str(path), name=path.stem)


@library_app.command("delete")
def delete(name: Name, as_json: Json = False) -> None:
    """Put a model into the library's trash; `restore` brings it back."""
    from distill.library.trash import delete_model

    deleted = delete_model(name)
    sentence = f"{deleted.name} is in the trash. `distill library restore {shell_quoted(deleted.name)}` brings it back."
    _answer(as_json, sentence, name=deleted.name, deleted=deleted.deleted, trash=str(deleted.path))


@library_app.command("restore")
def restore(
    name: Annotated[str | None, typer.Argument(help="A deleted model.", show_default="the one deleted last")] = None,
    as_json: Json = False,
) -> None:
    """Undo a deletion."""
    from distill.library.trash import restore_model

    path = restore_model(name)
    _answer(as_json, f"{path.stem} is in the library again.", model=str(path), name=path.stem)


@library_app.command("empty-trash")
def empty_trash(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove all deleted models for good."""
    from distill.errors import DistillError
    from distill.library.trash import deleted_models, empty_trash

    count = len(deleted_models())
    if count and not yes:
        if not sys.stdin.isatty():
            raise DistillError(f"{count} deleted models would be gone for good. Give --yes to remove them.")
        typer.confirm(f"Remove {count} deleted models for good?", abort=True, err=True)
    removed = empty_trash()
    _answer(as_json, f"{removed} deleted models were removed for good.", removed=removed)


@library_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .distill file.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="What to call it.", show_default="as the file")] = None,
    as_json: Json = False,
) -> None:
    """Copy a .distill file into the library, once it has proved to be a whole model."""
    from distill.library.models import import_model

    path = import_model(file, name)
    _answer(as_json, f"{path.stem} is in the library.", model=str(path), name=path.stem)


@library_app.command("export")
def export(
    name: Name,
    out: Annotated[Path, typer.Argument(help="A folder, or a file to write.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Copy a model out of the library."""
    from distill.library.models import export_model

    path = export_model(name, out, overwrite)
    _answer(as_json, f"Wrote {path}", name=name, path=str(path))


def _summary(entry: "LibraryEntry") -> dict[str, Any]:
    card = entry.card
    prior = card.prior_metadata if card else None
    return {
        "name": entry.name,
        "path": str(entry.path),
        "problem": entry.problem,
        "corpus": card.corpus_manifest.folder if card else None,
        "sounds": len(card.corpus_manifest.files) if card else None,
        "minutes": round(card.corpus_manifest.seconds / 60, 2) if card else None,
        "codes": card.codebook_health_snapshot.verdict if card else None,
        "val_mel_l1_db": card.metadata.val_mel_l1_db if card else None,
        "created": card.metadata.created if card else None,
        "has_prior": card.has_prior if card else None,
        "perplexity": round(prior.best_perplexity, 3) if prior else None,
        "prior_created": prior.training_date if prior else None,
    }


def _cell(value: object) -> str:
    return "" if value is None else f"{value}"


def _answer(as_json: bool, sentence: str, **values: object) -> None:
    if as_json:
        emit(**values)
    else:
        from distill.cli.show import printable

        print(printable(sentence))
