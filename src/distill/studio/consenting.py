"""Whose the recordings of a model are: lines kept in its manifest."""

from collections.abc import Sequence
from pathlib import Path

from distill.corpus.consents import with_consents
from distill.errors import DistillError
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.file import card_of, read_card, read_contents, write_model
from distill.modelfile.locks import locked, refuse_in_training


def consent(
    model: str, of: Sequence[str] = (), whose: str = "", licence: str = "", remove: bool = False
) -> tuple[Path, ModelCard]:
    """Keep a line for each recording or folder that is named, of whose it is and under which licence -> the model's card.

    Args:
        of: recordings, folders or patterns, as `distill.corpus.naming.named_files` takes them; a folder's line holds for
            what comes into it later too. None: one line for all that no other is of.
        whose, licence: at least one; neither: nothing is changed.
        remove: take the lines away.

    Raises:
        DistillError: there is no such model or recording, or it is being trained.
    """
    path = find_model(model)
    if remove and (whose or licence):
        raise DistillError("--remove takes lines away: leave out --whose and --licence.")
    if not (remove or whose or licence):
        if of:
            raise DistillError("Say whose they are: give --whose, --licence or both, or --remove.")
        return path, read_card(path)
    refuse_in_training(path)  # it would write the list that it has begun with
    with locked(path):
        contents = read_contents(path, mapped=False)
        manifest = with_consents(card_of(path, contents).corpus_manifest, of, whose.strip(), licence.strip())
        written = write_model(path, {**contents, "corpus_manifest": manifest})
    return path, card_of(path, written)
