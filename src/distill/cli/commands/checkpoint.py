"""`distill checkpoint`."""

from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Model
from distill.cli.running import hint


def checkpoint(
    model: Model,
    which: Annotated[
        str | None, typer.Argument(help="best or newest: put it in force.", show_default="say which is")
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose between the epochs of a prior that are kept: the best, and the newest of those that predict as well."""
    from distill import studio

    made = studio.checkpoint(model, which)
    if as_json:
        kept = None if made.newest is None else made.newest.model_dump()
        best = {"epoch": made.best_epoch, "perplexity": made.best_perplexity}
        emit(in_force=made.in_force, best=best, newest=kept)
        return
    hint(f"In force: the {made.in_force} epoch. Best: {made.best_epoch}, perplexity {made.best_perplexity:.2f}.")
    if made.newest is not None:
        hint(
            f"Newest: {made.newest.epoch}, perplexity {made.newest.perplexity:.2f}; {made.newest.copied:.0%} of a few new "
            "sounds held long stretches of the recordings."
        )
    else:
        hint("No other epoch is kept.")
