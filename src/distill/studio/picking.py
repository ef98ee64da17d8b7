"""A batch worth hearing: many sounds are made, and those are kept that are no copies, not faulty, and unlike each other."""

import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.compute.threads import threads
from distill.errors import DistillError
from distill.events import Event, Progress, SoundsPicked
from distill.instrument.asked import Asked
from distill.instrument.making import DrawnSound, MadeSound, drawn_sounds, side_by_side
from distill.instrument.picking import Choice, Considered, choose, considered
from distill.instrument.sampling import is_filled_up
from distill.instrument.streaming import is_long
from distill.instrument.verbs import Drawn
from distill.modelfile.opened import LoadedVQModel, open_model
from distill.models.encoding import decode_codes
from distill.models.likelihood import log_likelihood
from distill.novelty.measuring import Judged
from distill.novelty.sounds import WIDE_DB, floored
from distill.novelty.verdict import judge
from distill.settings.generation import LONG_SECONDS, GenerationSettings, Verb
from distill.settings.geometry import SAMPLE_RATE, columns
from distill.studio.judging import material_of

NEW: tuple[Verb | None, ...] = (None, "like", "more-like", "morph", "loop")
"""What begins with no recording, so that nearness to one says something."""


class _Kept(NamedTuple):
    """A sound that can be made again to the sample: its samples are not kept, so that memory does not grow with them."""

    drawn: Drawn
    state: Tensor
    """Of its generator, before anything of its samples was drawn."""
    sampling_seconds: float
    synthesis_seconds: float


@dataclass
class _Batch:
    """Everything that was made to choose from."""

    sounds: list[Considered]
    kept: dict[int, _Kept]
    judged: list[Judged]

    def add(self, sound: Considered, kept: _Kept, judged: Judged | None) -> None:
        self.sounds.append(sound)
        self.kept[sound.seed] = kept
        if judged is not None:
            self.judged.append(judged)


def picked_sounds(
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    synthesise: Synthesiser,
    stop: threading.Event | None = None,
    asked: Asked | None = None,
) -> Generator[Event | MadeSound, None, None]:
    """Make `settings.count` sounds and give the `settings.pick` of them that are worth hearing, after a `SoundsPicked`.

    Each is, to the sample, the sound that its seed alone makes.

    Raises:
        DistillError: none of them is, or the model cannot do what is asked.
    """
    assert settings.pick is not None
    if asked is None and is_long(loaded, settings):
        raise DistillError(
            f"--pick chooses among sounds of at most {LONG_SECONDS:g} seconds: give a smaller --seconds."
        )
    with threads(1):  # small networks: threads would wait for each other
        batch = yield from _made(loaded, settings, synthesise, stop, asked)
        if batch is None:
            return
        copies, not_compared = yield from _copies(loaded, settings, batch.judged)
    choice = choose(batch.sounds, copies, settings.pick, loaded.card.spectrogram_config.n_mels)
    picked = _said(settings, choice, not_compared)
    if not choice.good:
        raise DistillError(f"{picked.sentence} Train the model longer, or ask for something else.")
    yield picked
    for made in side_by_side(iter(choice.picked), int, partial(_made_again, batch.kept), loaded):
        if stop is not None and stop.is_set():
            return
        yield made


def _made_again(kept: Mapping[int, _Kept], seed: int) -> MadeSound:
    one = kept[seed]
    one.drawn.generator.set_state(one.state)
    with threads(1):  # as `made_sounds`
        samples = one.drawn.render()
    return MadeSound(seed, samples, one.sampling_seconds, one.synthesis_seconds, one.drawn.score)


def _said(settings: GenerationSettings, choice: Choice, not_compared: str) -> SoundsPicked:
    return SoundsPicked(settings.pick or 0, settings.count, choice.good, choice.picked, choice.dropped, not_compared)


def _made(
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    synthesise: Synthesiser,
    stop: threading.Event | None,
    asked: Asked | None,
) -> Generator[Event, None, _Batch | None]:
    """All sounds, listened to while the next ones are drawn; None: it was stopped."""
    batch = _Batch([], {}, [])
    ends = settings.verb is None and _recordings_end(loaded, settings)
    drawn = drawn_sounds(loaded, settings, synthesise, stop, asked)
    for each in side_by_side(drawn, DrawnSound, partial(_listened, loaded, ends), loaded):
        if isinstance(each, Progress):
            yield each
            continue
        if stop is not None and stop.is_set():
            return None
        batch.add(*each)
        yield Progress("listening to the sounds", len(batch.sounds), settings.count, f"seed {each[0].seed}")
    return batch if len(batch.sounds) == settings.count else None


def _listened(loaded: LoadedVQModel, ends: bool, each: DrawnSound) -> tuple[Considered, _Kept, Judged | None]:
    """What is known of one sound; beside others, so on one thread."""
    levels, spectrogram = loaded.card.vqvae_config.rvq_levels, loaded.card.spectrogram_config
    drawn, seed = each.drawn, each.seed
    with threads(1):
        state = drawn.generator.get_state()
        begun = time.monotonic()
        samples = drawn.render()
        kept = _Kept(drawn, state, each.seconds, time.monotonic() - begun)
        loudest, judged = -torch.inf, None
        if len(drawn.codes):
            codes = drawn.codes[:, :levels]
            mel = decode_codes(loaded.codec, codes.to(loaded.codec.typical_level_db.device), 0.0).cpu().T
            loudest = float(mel.max())
            judged = Judged(f"{seed}", floored(mel[: max(1, spectrogram.frames(samples.shape[1]))], WIDE_DB), codes)
        likely = _likelihood(loaded, drawn)
        return considered(seed, samples, loudest, likely, ends and not drawn.ended, spectrogram), kept, judged


def _recordings_end(loaded: LoadedVQModel, settings: GenerationSettings) -> bool:
    """Whether a sound that is stopped at --seconds is cut off: not where it was to fill them, nor where most recordings are
    longer."""
    assert loaded.prior is not None
    usual = loaded.card.corpus_manifest.facts().median_seconds
    wanted = columns(loaded.card.spectrogram_config.frames(round(settings.seconds * SAMPLE_RATE)))
    return usual <= settings.seconds and not is_filled_up(loaded.prior, settings, wanted)


def _likelihood(loaded: LoadedVQModel, drawn: Drawn) -> float | None:
    """How likely the prior takes a sound to be, nats a code."""
    assert loaded.prior is not None
    if drawn.score is not None:
        return drawn.score
    if not len(drawn.codes):
        return None
    found = drawn.log_likelihood if drawn.log_likelihood is not None else log_likelihood(loaded.prior, drawn.codes)
    return float(found.mean())


def _copies(
    loaded: LoadedVQModel, settings: GenerationSettings, judged: list[Judged]
) -> Generator[Event, None, tuple[dict[int, str], str]]:
    """By seed what copies are copies of, as the copy test finds them in this batch; or why it could not look."""
    if settings.verb not in NEW:
        return {}, f"each begins with the sound of --{settings.verb}"
    if not judged:
        return {}, ""
    try:
        material = yield from material_of(
            open_model(loaded.path), None, loaded.codec.typical_level_db.device, recorded=False
        )
    except DistillError:
        return {}, "the model holds no codes of them, and they are not where they were"
    yield Progress("comparing with the recordings", 0, 1)
    yardstick = material.yardstick(loaded.card.spectrogram_config)
    report = judge(str(loaded.path), yardstick, list(yardstick.measure(judged)))
    yield Progress("comparing with the recordings", 1, 1)
    return {
        int(each.name): f"{each.nearest} at {each.nearest_seconds:.2f} s" for each in report.sounds if each.copied
    }, ""
