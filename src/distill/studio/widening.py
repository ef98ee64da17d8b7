"""How wide a prior's sounds are beside the recordings, measured when it has been trained."""

from collections.abc import Generator

import torch

from distill.corpus.sounds import Corpus
from distill.events import Event, Progress
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.card import SpreadWidths
from distill.modelfile.opened import loaded_model
from distill.models.widths import LEAST_SOUNDS, NOT_WIDE_DB, fit_apart, width_db
from distill.settings.generation import GenerationSettings
from distill.training.prior.beside import recorded_widths
from distill.training.stage import ModelInTraining

MEASURED = GenerationSettings(count=32, seconds=4.0, ending="natural", seed=2**31 - 2**10, level="match")
"""What is made to be measured, of seeds that nobody is likely to ask for."""


def widths_after_training(file: ModelInTraining, corpus: Corpus | None) -> Generator[Event, None, None]:
    """Measure how wide some sounds of a prior are that was just trained, and keep in the model's file how they are to be
    spread.

    Args:
        corpus: the recordings. Few wide ones, or None: sounds stay as wide as they are drawn.
    """
    recorded = [] if corpus is None else recorded_widths(corpus)
    if sum(width > NOT_WIDE_DB for width, _ in recorded) < LEAST_SOUNDS:
        return
    loaded = loaded_model(file.as_written())
    metadata = loaded.card.prior_metadata
    if loaded.image is None or metadata is None:
        return
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    made: list[float] = []
    for each in made_sounds(loaded, MEASURED, synthesise):
        if isinstance(each, MadeSound):
            made.append(width_db(torch.from_numpy(each.samples)))
        elif isinstance(each, Progress):
            yield Progress("measuring how wide sounds are", each.done, each.total)
    apart = fit_apart(made, [width for width, _ in recorded], max(lost for _, lost in recorded))
    if apart is not None:
        widths = SpreadWidths(**apart._asdict(), training_date=metadata.training_date)
        yield from file.write(lambda held: {**held, "widths": widths})
