"""How long and how wide a prior's sounds are and how they end, beside the recordings, measured when it has been trained."""

from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.compute.threads import threads
from distill.corpus.sounds import Corpus
from distill.events import Event, Progress
from distill.instrument.making import DrawnSound, MadeSound, drawn_sounds, rendered
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.card import LetGo, SpreadWidths
from distill.modelfile.opened import LoadedVQModel, loaded_model
from distill.models.lengths import end_log_odds, fit_end_logit
from distill.models.release import end_db, fit_release
from distill.models.widths import LEAST_SOUNDS, NOT_WIDE_DB, fit_apart, width_db
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, LEAST_ENDS, SAMPLE_RATE, columns
from distill.training.prior.beside import recorded_ends, recorded_widths
from distill.training.stage import ModelInTraining

MEASURED = GenerationSettings(count=128, seconds=4.0, ending="natural", seed=2**31 - 2**10, level="match")
"""What is made to be measured, of seeds that nobody is likely to ask for."""
WIDE_SOUNDS = 32
"""So many of them tell how wide sounds are; the others are made for their ends alone, where they have one."""
TIMES_RECORDED = 4
"""And no more than so many for each recording, whose own few say less."""
ENOUGH_COLUMNS = 1_600
"""No more are drawn beyond so many columns: of 128 one-shots all, of loops 64."""


def spread_after_training(file: ModelInTraining, corpus: Corpus | None) -> Generator[Event, None, None]:
    """Measure some sounds of a prior that was just trained, and keep in the model's file how likely ends are to be, how new
    sounds are to be spread in width, and let go at their ends.

    Twice as many are drawn: how they end can be heard only when they end as often as they should.

    Args:
        corpus: the recordings. Too few, or None: sounds are as wide as they are drawn, and end so.
    """
    loaded = loaded_model(file.as_written())
    metadata = loaded.card.prior_metadata
    if corpus is None or metadata is None:
        return
    recorded = recorded_widths(corpus)
    stereo = loaded.image is not None and sum(width > NOT_WIDE_DB for width, _ in recorded) >= LEAST_SOUNDS
    ends = recorded_ends(corpus)
    if len(ends) < LEAST_ENDS and not stereo:
        return
    count = min(MEASURED.count, max(WIDE_SOUNDS, TIMES_RECORDED * len(ends)))
    settings = MEASURED.model_copy(update={"mono": not stereo, "count": count})
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    assert loaded.prior is not None
    loaded.prior.end_logit = yield from _end_logit(loaded, corpus, settings, synthesise)

    def looked_at() -> Iterator[Progress | DrawnSound]:
        number = drawn = 0
        for each in drawn_sounds(loaded, settings, synthesise):
            if isinstance(each, DrawnSound):
                number, drawn = number + 1, drawn + len(each.drawn.codes) // BANDS
                if drawn > ENOUGH_COLUMNS and number > WIDE_SOUNDS:
                    return
                if not each.drawn.ended and not (stereo and number <= WIDE_SOUNDS):
                    continue
            yield each

    made: list[tuple[MadeSound, Tensor]] = []
    for each in rendered(looked_at(), loaded):
        if isinstance(each, MadeSound):
            made.append((each, torch.from_numpy(each.samples)))
        else:
            yield Progress("measuring how sounds end", each.done, each.total)
    found: dict[str, Any] = {}
    first = settings.seeds()[:WIDE_SOUNDS]
    widths = [width_db(channels) for each, channels in made if stereo and each.seed in first]
    if widths:
        apart = fit_apart(widths, [width for width, _ in recorded], max(lost for _, lost in recorded))
        if apart is not None:
            found["widths"] = SpreadWidths(**apart._asdict(), training_date=metadata.training_date)
    release = fit_release([end_db(channels) for each, channels in made if each.ended], ends)
    if release is not None:
        found["release"] = LetGo(
            **release._asdict(), end_logit=loaded.prior.end_logit, training_date=metadata.training_date
        )
    if found:
        yield from file.write(lambda held: {**held, **found})


def _end_logit(
    loaded: LoadedVQModel, corpus: Corpus, settings: GenerationSettings, synthesise: Synthesiser
) -> Generator[Event, None, float]:
    """What ends are to be made likelier by, from sounds as the prior draws them."""
    assert loaded.prior is not None
    config, asked = loaded.card.spectrogram_config, list[Tensor]()
    for each in drawn_sounds(loaded, settings, synthesise):
        if isinstance(each, DrawnSound):
            with threads(1):
                asked.append(end_log_odds(loaded.prior, each.drawn.codes))
        else:
            yield Progress("measuring how long sounds are", each.done, each.total)
    recorded = [columns(config.frames(file.samples)) for file in corpus.manifest.train]
    return fit_end_logit(asked, recorded, columns(config.frames(round(settings.seconds * SAMPLE_RATE))))
