"""What every stage does first: open the model, and see what is to be replaced or resumed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distill.errors import DistillError
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.locks import claimed
from distill.modelfile.opened import OpenedModel, open_model
from distill.places import MODEL_SUFFIX
from distill.settings.auto import Resolved
from distill.settings.knobs import AUTO, flag_name
from distill.training.stage import ModelInTraining
from distill.training.unfinished import UnfinishedRun, read_unfinished, unfinished_path, unfit

SettingsT = TypeVar("SettingsT", bound=BaseModel)


@dataclass(frozen=True)
class Opening:
    """A model that a later stage is trained for."""

    file: ModelInTraining
    opened: OpenedModel
    """Its file, read: the only time before it is written."""
    chosen: dict[str, Any]
    """What the user set."""
    resumed: UnfinishedRun | None
    """The run to go on with."""

    @property
    def card(self) -> ModelCard:
        """What its file says of itself."""
        return self.opened.card


def can_resume(path: Path, stage: str) -> bool:
    """Whether an unfinished training of this stage ("codec" or "prior") of a model can be gone on with."""
    return unfinished_path(path, stage).is_file()


@contextmanager
def open_for_stage(
    stage: str,
    model: str,
    has_own: Callable[[ModelCard], bool],
    overrides: Mapping[str, Any] | None,
    overwrite: bool,
    resume: bool,
) -> Iterator[Opening]:
    """A model that a later stage is trained for: claimed while the block runs, and read once.

    Raises:
        DistillError: it has that stage already, or an old suffix, there is nothing to resume, it is being trained, or its
            folder cannot be written.
    """
    path = find_model(model)
    if path.suffix != MODEL_SUFFIX:
        raise DistillError(f"{path} has the old suffix {path.suffix}. Rename it to {path.stem}{MODEL_SUFFIX} first.")
    chosen = given_settings(overrides, resume)
    with claimed(path, stage) as claim:
        opened = open_model(path)
        if has_own(opened.card) and not overwrite and not resume:
            raise DistillError(
                f"{path} has a {stage} already. Give --overwrite to replace it; it stays valid until the new one is saved."
            )
        resumed = read_unfinished(path, stage) if resume else None
        yield Opening(ModelInTraining(claim, opened), opened, chosen, resumed)


def given_settings(overrides: Mapping[str, Any] | None, resume: bool) -> dict[str, Any]:
    chosen = {name: value for name, value in (overrides or {}).items() if value not in (None, AUTO)}
    if resume and chosen:
        flag = flag_name(next(iter(chosen)))
        raise DistillError(f"--resume goes on with the settings the training was begun with. Leave out {flag}.")
    return chosen


def resumed_settings(settings: type[SettingsT], run: UnfinishedRun, path: Path, stage: str) -> Resolved[SettingsT]:
    """The settings a run was begun with, and where each came from then.

    Raises:
        DistillError: they are not those of this version.
    """
    try:
        return Resolved(settings(**run.settings), dict(run.origin))
    except (ValidationError, TypeError) as error:
        raise unfit(unfinished_path(path, stage)) from error
