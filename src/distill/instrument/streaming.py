"""Long sounds, made while they are heard or written: any length in constant memory.

    codes, a column at a time ─▶ mel, some columns at a time ─▶ grain ─▶ samples ─▶ left and right ─▶ level, ends

Each step takes what comes before it as it comes and looks ahead only as far as it reaches, so what it gives is what it would
give for the whole sound at once. What can only be known of a whole sound is decided otherwise:

- The level is constant: the corpus's typical one, or as far from it as the loudness that is wished for is from the
  corpus's middle one. With "normalise" the corpus's highest peak becomes the highest there may be. Peaks over that are turned
  down for a moment.
- Loudness that is drawn over it is a fader's way: how loud the sound would have been is known only behind it.
- Wishes are followed while codes are drawn, and no sound is chosen among several: there is no second one to choose.
- Codes, end, grain and phases each have a random source of their own, which the seed decides.
"""

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.audio.bandwidth import low_pass_reach, low_passed
from distill.audio.griffin_lim import Synthesiser
from distill.audio.loudness import HIGHEST_DB, REACH_SAMPLES, limited
from distill.audio.master import FADE_IN_SECONDS, FADE_OUT_SECONDS
from distill.audio.wished import Quantiles
from distill.compute.threads import threads
from distill.errors import DistillError
from distill.events import Progress
from distill.instrument.decoding import decoded_as_drawn, grained
from distill.instrument.envelopes import faded
from distill.instrument.limiting import sounds_under_limit
from distill.instrument.unending import Course, columns_drawn
from distill.instrument.wishes import wishes_of
from distill.modelfile.opened import LoadedVQModel
from distill.models.endings import TAIL_COLUMNS
from distill.models.image import CELL_FRAMES, MARGIN_FRAMES, Cells, widened_part
from distill.models.release import RELEASE_SAMPLES, SOFTEST_DB, loudest_db, released
from distill.models.sampling import clip_generator
from distill.settings.generation import LONG_SECONDS, GenerationSettings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE, columns

Block = np.ndarray[Any, np.dtype[np.float32]]
COLUMN = FRAMES_PER_COLUMN * HOP_LENGTH
SEEN_COLUMNS = 16
"""Columns behind the end of a sound that its samples may depend on, and some more: eight that the decoder sees, and a second
for grain, synthesis, image, low-pass and limiter."""
RAISED_DB = 24.0
"""How much "normalise" makes a long sound louder at most."""


def is_long(loaded: LoadedVQModel, settings: GenerationSettings) -> bool:
    """Whether new sounds may become so long that they are made piece by piece."""
    wanted = wishes_of(loaded, settings).samples
    return (settings.seconds if wanted is None else wanted / SAMPLE_RATE) > LONG_SECONDS


class LongSound:
    """A sound that is being made; iterate over it for blocks [channels, N], safe to play."""

    def __init__(
        self,
        loaded: LoadedVQModel,
        settings: GenerationSettings,
        seed: int,
        synthesise: Synthesiser,
        endless: bool = False,
    ) -> None:
        """
        Args:
            endless: whatever `settings.seconds` says.

        Raises:
            DistillError: the model cannot follow a wish.
        """
        assert loaded.prior is not None
        self.loaded, self.settings, self.synthesise = loaded, settings, synthesise
        self.wishes = wishes_of(loaded, settings).in_time(loaded)
        if endless and self.wishes.drawn:
            raise DistillError("A curve is drawn over a sound that ends: say how long it is with --seconds.")
        self.generator = clip_generator(seed)  # of the codes: those of `sampling`
        seeds = torch.randint(2**62, (3,), generator=clip_generator(seed)).tolist()
        self.end_generator, self.grain_generator, self.phase_generator = (
            torch.Generator().manual_seed(each) for each in seeds
        )
        self.samples: int | None = None if endless else round(settings.seconds * SAMPLE_RATE)
        """How long it is, as far as that is known."""
        self.is_over = False
        """Whether it has ended by itself."""
        if self.wishes.samples is not None and self.samples is not None:
            self.samples = min(self.samples, self.wishes.samples)
        self.channels = 2 if loaded.image is not None and not settings.mono else 1
        self.sampling_seconds = 0.0
        """How long drawing its codes has taken so far."""
        self._image: Tensor | None = None
        self._image_first = 0

    @property
    def is_exact(self) -> bool:
        """Whether it is as long as was asked for, and does not end by itself."""
        return self.settings.ending != "natural" or self.wishes.samples is not None

    def __iter__(self) -> Iterator[Block]:
        level_db = float(self.loaded.codec.typical_level_db)
        made = self.synthesise.flowing(self._mels(level_db), self.phase_generator, level_db)
        rate = self.loaded.card.corpus_manifest.highest_rate
        heard: Iterator[Tensor] = (block[None] for block in made)
        if self.channels == 2:
            heard = locally(heard, MARGIN_FRAMES * HOP_LENGTH, self._widened)
        heard = _below(heard, rate)
        gain = 10.0 ** (self._gain_db() / 20.0)
        heard = locally((block * gain for block in heard), 2 * REACH_SAMPLES, _limited)
        if rate < SAMPLE_RATE:  # a limiter makes higher frequencies, and without those there are higher peaks
            heard = locally(_below(heard, rate), 2 * REACH_SAMPLES, _limited)
        finished = self._finished(heard)
        while True:
            with threads(1):  # one sound: threads would wait for each other, and for the player's
                block = next(finished, None)
            if block is None:
                return
            if block.shape[1]:
                yield np.ascontiguousarray(block.cpu().numpy())

    def followed(self, seconds: float) -> Iterator[tuple[Progress, Block]]:
        """The blocks, each with how many of `seconds` there are then."""
        done = 0
        for block in self:
            done += block.shape[1]
            yield Progress("making seconds", round(done / SAMPLE_RATE), math.ceil(seconds)), block

    def _columns(self) -> Iterator[Tensor]:
        """Columns of codes, drawn as they are needed; a thread of their own gains nothing on two cores."""
        assert self.loaded.prior is not None
        wanted = self.wishes.samples
        told = None if wanted is None else columns(self.loaded.card.spectrogram_config.frames(wanted))
        course = Course(self.settings.ending != "natural" and told is None, told)
        limited = sounds_under_limit(self.loaded, self.settings, 1)
        drawn = columns_drawn(self.loaded.prior, self.generator, self.settings, self.wishes, course, limited)
        if self.samples is not None:
            drawn = islice(drawn, columns(self.loaded.card.spectrogram_config.frames(self.samples)) + SEEN_COLUMNS)
        while True:
            begun = time.monotonic()
            with torch.no_grad():
                column = next(drawn, None)
            self.sampling_seconds += time.monotonic() - begun
            if column is None:
                return
            yield column

    def _mels(self, level_db: float) -> Iterator[Tensor]:
        """Log-mels with grain; where the sound ends by itself, up to there."""
        loaded, done = self.loaded, 0
        levels = loaded.card.vqvae_config.rvq_levels
        tail = torch.zeros(0, levels, dtype=torch.long)
        for codes, decoded, last in decoded_as_drawn(loaded, self._columns(), level_db):
            mel = grained(loaded, decoded, level_db, self.grain_generator, self.settings)
            if self.wishes.envelope is not None:
                mel = faded(
                    mel, self.wishes.envelope, done * FRAMES_PER_COLUMN, loaded.card.spectrogram_config.floor_db
                )
            if loaded.image is not None and self.channels == 2:
                cells = loaded.image.decode(codes[:, levels], done).shares
                self._image = cells if self._image is None else torch.cat([self._image, cells], dim=-1)
            tail = torch.cat([tail, codes[:, :levels]])[-TAIL_COLUMNS * BANDS :]
            done += len(codes) // BANDS
            if last and loaded.endings is not None and self.wishes.samples is None:
                point = float(torch.rand(1, generator=self.end_generator, dtype=torch.float64))
                before = done - len(tail) // BANDS
                ended = before * COLUMN + loaded.endings.samples(loaded.codec, tail, point)
                self.is_over = self.samples is None or ended <= self.samples
                self.samples = ended if self.samples is None else min(self.samples, ended)
                mel = mel[:, : loaded.card.spectrogram_config.frames(ended) - (done * FRAMES_PER_COLUMN - mel.shape[1])]
            yield mel

    def _widened(self, middle: Tensor, first: int) -> Tensor:
        """[1, N] from sample `first` on -> [2, N]."""
        assert self._image is not None
        frame = first // HOP_LENGTH
        made = widened_part(middle[0], Cells(self._image, CELL_FRAMES), frame - self._image_first * CELL_FRAMES)
        forgotten = max(0, frame // CELL_FRAMES - 1 - self._image_first)
        self._image, self._image_first = self._image[..., forgotten:].clone(), self._image_first + forgotten
        return made

    def _gain_db(self) -> float:
        loaded, loudness = self.loaded, self.loaded.loudness
        wished = self.wishes.loudness_db
        if wished is not None:
            points = torch.tensor(loaded.card.trait_quantiles["loudness"])
            return wished - float(Quantiles(points).to_value(torch.tensor(0.5)))
        if self.settings.level == "match" or loudness is None:
            return 0.0
        return min(RAISED_DB, HIGHEST_DB - float(loudness.bounds[1, 1]))

    def _finished(self, blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        """No click at either end, let go where it ends by itself, and no longer than it shall be."""
        fade_in, fade_out = (round(each * SAMPLE_RATE) for each in (FADE_IN_SECONDS, FADE_OUT_SECONDS))
        release = None if self.is_exact or self.wishes.envelope is not None else self.loaded.release
        kept = fade_out if release is None else RELEASE_SAMPLES
        done, held, loudest = 0, torch.zeros(self.channels, 0), SOFTEST_DB
        for block in blocks:
            if done < fade_in:
                places = torch.arange(done, done + block.shape[1])
                block = block * (places / (fade_in - 1)).clamp_max(1.0)
            done += block.shape[1]
            held = torch.cat([held, block], dim=1)
            if self.samples is not None and done >= self.samples + kept:
                break
            gone = max(0, held.shape[1] - kept)
            if release is not None and gone:
                loudest = max(loudest, loudest_db(held[:, :gone]))
            yield held[:, :gone]
            held = held[:, gone:]
        if self.samples is not None:
            held = held[:, : max(0, held.shape[1] - max(0, done - self.samples))]
        if self.is_over and held.shape[1]:
            held = released(held, release, max(loudest, loudest_db(held)))
        fade = min(fade_out, held.shape[1])
        yield torch.cat(
            [held[:, : held.shape[1] - fade], held[:, held.shape[1] - fade :] * torch.linspace(1, 0, fade)], 1
        )


def locally(blocks: Iterator[Tensor], reach: int, change: Callable[[Tensor, int], Tensor]) -> Iterator[Tensor]:
    """Blocks [C, any] of a sound, changed as the whole would be -> [C', any], `reach` samples late.

    Args:
        change: samples [C, N] of the sound, and which of its samples the first is -> [C', N]; each one depends on those at
            most `reach` away.
    """
    kept: Tensor | None = None
    first = done = 0
    for block in blocks:
        kept = block if kept is None else torch.cat([kept, block], dim=1)
        stop = first + kept.shape[1] - reach
        if stop <= done:
            continue
        yield change(kept, first)[:, done - first : stop - first]
        done = stop
        forgotten = max(0, done - reach) // HOP_LENGTH * HOP_LENGTH - first
        kept, first = kept[:, forgotten:].clone(), first + forgotten
    if kept is not None and first + kept.shape[1] > done:
        yield change(kept, first)[:, done - first :]


def _below(blocks: Iterator[Tensor], rate: int) -> Iterator[Tensor]:
    """Without what a sound at `rate` Hz cannot hold."""
    if rate >= SAMPLE_RATE:
        return blocks
    return locally(blocks, low_pass_reach(rate), lambda samples, _: low_passed(samples, rate))


def _limited(samples: Tensor, _first: int) -> Tensor:
    return limited(samples, HIGHEST_DB)
