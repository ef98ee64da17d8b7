"""What every later stage does first: open the model, and see what is to be replaced or resumed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distill.errors import DistillError
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.file import read_card
from distill.places import MODEL_SUFFIX
from distill.settings.knobs import AUTO, flag_name
from distill.training.unfinished import UnfinishedRun


def can_resume(path: Path, stage: str) -> bool:
    """Whether an unfinished training of this stage ("codec" or "prior") of a model can be gone on with."""
    return UnfinishedRun(path, stage, {}, resume=False).path.is_file()


def open_for_stage(
    stage: str,
    model: str,
    has_own: Callable[[ModelCard], bool],
    overrides: Mapping[str, Any] | None,
    overwrite: bool,
    resume: bool,
) -> tuple[Path, ModelCard, dict[str, Any], dict[str, Any] | None]:
    """A model that a later stage is trained for -> its file, its card, what the user set, and what a run to resume had set.

    Raises:
        DistillError: it has that stage already, or an old suffix, or there is nothing to resume.
    """
    path = find_model(model)
    card = read_card(path)
    if has_own(card) and not overwrite and not resume:
        raise DistillError(
            f"{path} has a {stage} already. Give --overwrite to replace it; it stays valid until the new one is saved."
        )
    if path.suffix != MODEL_SUFFIX:
        raise DistillError(f"{path} has the old suffix {path.suffix}. Rename it to {path.stem}{MODEL_SUFFIX} first.")
    chosen = given_settings(overrides, resume)
    kept = UnfinishedRun(path, stage, {}, resume).kept_facts()["settings"] if resume else None
    return path, card, chosen, kept


def given_settings(overrides: Mapping[str, Any] | None, resume: bool) -> dict[str, Any]:
    chosen = {name: value for name, value in (overrides or {}).items() if value not in (None, AUTO)}
    if resume and chosen:
        flag = flag_name(next(iter(chosen)))
        raise DistillError(f"--resume goes on with the settings the training was begun with. Leave out {flag}.")
    return chosen
