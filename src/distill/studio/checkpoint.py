"""Which of the epochs that a model's file keeps of its prior makes sounds: the best, or the newest."""

from typing import Literal, get_args

from distill.errors import DistillError
from distill.library.models import find_model, spoken
from distill.modelfile.card import PriorMetadata
from distill.modelfile.file import card_of, read_contents, write_model
from distill.modelfile.locks import locked
from distill.modelfile.opened import OpenedModel

Checkpoint = Literal["best", "newest"]


def checkpoint(model: str, put_in_force: str | None = None) -> PriorMetadata:
    """Say which epochs of a prior are kept, and put one in force; the other stays in the file.

    Args:
        put_in_force: "best", or "newest": of those that predict as well as the best, the one whose sounds hold the least of
            the recordings. None: all stays as it is.

    Raises:
        DistillError: the model has no prior, or keeps no other epoch.
    """
    path = find_model(model)
    if put_in_force is not None and put_in_force not in get_args(Checkpoint):
        raise DistillError(f"{put_in_force} is no checkpoint of a prior: say best or newest.")
    with locked(path):
        contents = read_contents(path, mapped=False, checksums=True)
        card = card_of(path, contents)
        made = card.prior_metadata
        if made is None:
            raise DistillError(f"{path} has no prior yet. Run `distill train-prior {spoken(path)}` first.")
        if put_in_force in (None, made.in_force):
            return made
        if made.newest is None:
            raise DistillError(
                f"{path} keeps one epoch of its prior: no other predicted as well and held less of the recordings."
            )
        opened = OpenedModel(path, contents, card, None)
        opened.newest_prior()  # a damaged one is named before it is in force
        made = made.model_copy(update={"in_force": put_in_force})
        write_model(
            path,
            {
                **{key: value for key, value in contents.items() if key != "novelty"},  # it was about the other
                "prior_state_dict": contents["newest_prior_state_dict"],
                "newest_prior_state_dict": contents["prior_state_dict"],
                "prior_metadata": made,
            },
        )
    return made
