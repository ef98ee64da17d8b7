"""From a corpus to sequences of codes: every file encoded through the frozen codec, once, before the prior trains."""

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from distill.audio.beat import beat_periods
from distill.audio.mel import log_mel_of
from distill.audio.traits import BRIGHTNESS, LOUDNESS, PITCH, column_traits, frame_traits, traits_of
from distill.compute.shares import gathered, share
from distill.corpus.kinds import find_kinds, mean_mel
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import Event, Progress
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, encode_codes, level_of
from distill.models.image import ImageCodebook, image_powers
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE, SpectrogramConfig

VIEW_SEMITONES = 1.0
"""A view may be this much higher and faster, or lower and slower."""
PERIOD_COLUMNS = (4, 16)
"""A sound that comes round again after so many columns has views that are in time with the columns: a little faster or slower,
so that its period is a whole number of them. Else no code ever comes back where its sound does."""
LONGEST_VIEW_SECONDS = 60.0
"""Longer files need no further views: they have windows enough."""


@dataclass(frozen=True)
class CodeView:
    """The codes of a file as it is, or as it might have been."""

    codes: Tensor  # [S, Q] int64
    from_start: bool = True
    """Whether the codes begin where the file begins."""
    frames: int | None = None
    """How many frames they describe, where that is known."""
    traits: Tensor | None = None
    """[C, 4], what each column is like, as wishes are read (`models.wishes`)."""
    whole: Tensor | None = None
    """[4], what the whole sound is like: its loudness in dB, log2 of Hz, MIDI note, onsets in a column."""
    period: int = 0
    """Columns after which the sound comes round again, of a view that is in time with them."""


@dataclass(frozen=True)
class CodeSequences:
    """The codes of whole files, on the CPU."""

    train: tuple[tuple[CodeView, ...], ...]
    """For each training file its views, the file itself first."""
    val: tuple[Tensor, ...]
    """For each held-out file [S, Q]."""
    kinds: tuple[int, ...] = ()
    """For each training file the number of its kind, from 1 on; 0: none."""
    kind_names: tuple[str, ...] = ()
    mean_mels: Tensor | None = None
    """[F, M], how each training file is spread over frequency, dB."""

    @property
    def train_codes(self) -> tuple[Tensor, ...]:
        """For each training file [S, Q], as it is."""
        return tuple(views[0].codes for views in self.train)


def extract_code_sequences(
    codec: ConvVQVAE,
    corpus: Corpus,
    device: torch.device,
    views: int = 1,
    seed: int = 0,
    image: ImageCodebook | None = None,
    known: Mapping[str, Tensor] = {},
) -> Generator[Event, None, CodeSequences]:
    """Encode every file of the corpus, in eval mode, without gradient.

    Args:
        views: how many versions of each training file: itself, then by turns a little higher or lower, and begun a
            fraction of a column later.
        image: of a stereo model, whose codes come as one more level.
        known: by name the codes of files that are encoded already; of those that are not there any more it is all there is.

    Several processes each encode a share of the files and return them all.
    """
    codec.eval()
    files = corpus.manifest.files
    mine: list[tuple[CodeView, ...]] = []
    spread: list[npt.NDArray[np.float32]] = []
    for done, file in share(list(enumerate(files, start=1))):
        further = file.split == "train" and file.seconds <= LONGEST_VIEW_SECONDS and views > 1
        if file.name in known and not corpus.has(file):
            mine.append((CodeView(known[file.name], frames=-(-file.samples // HOP_LENGTH)),))
            spread.append(_decoded_mean_mel(codec, known[file.name]))
            continue
        mel = corpus.mel(file)
        level = level_of(mel)
        powers = None if image is None else image_powers(corpus.audio(file)[0], corpus.side(file))
        codes = known.get(file.name)
        if codes is None:
            codes = _with_image(encode_codes(codec, mel, level, device).cpu(), image, powers)
        spread.append(mean_mel(mel))
        found = [CodeView(codes, frames=len(mel))]
        if file.split == "train":
            decibels = torch.from_numpy(np.asarray(mel, dtype=np.float32))
            frames = frame_traits(decibels, _samples(corpus, file), corpus.spectrogram)
            found = [_with_traits(found[0], frames)]
        if further:
            rng = np.random.default_rng((seed, done))
            for other, from_start, frame, semitones, period in _other_views(corpus, file, views - 1, rng):
                codes = encode_codes(codec, other, level, device).cpu()
                theirs = None if powers is None else powers[..., frame]
                view = CodeView(_with_image(codes, image, theirs), from_start, len(other), period=period)
                found.append(_with_traits(view, transposed(frames[frame], semitones)))
        mine.append(tuple(found))
        yield Progress("encoding sounds", done, len(files), file.name)
    every = list(zip(files, gathered(mine, len(files)), strict=True))
    learned_from = [place for place, file in enumerate(files) if file.split == "train"]
    mels = np.stack(gathered(spread, len(files)))[learned_from]
    kinds = find_kinds([files[place].name for place in learned_from], mels)
    return CodeSequences(
        tuple(found for file, found in every if file.split == "train"),
        tuple(found[0].codes for file, found in every if file.split == "val"),
        tuple(0 if kind is None else kind + 1 for kind in kinds.of_file),
        kinds.names,
        torch.from_numpy(mels),
    )


def codes_of_file(
    codec: ConvVQVAE, corpus: Corpus, file: CorpusFile, device: torch.device, image: ImageCodebook | None
) -> Tensor:
    """The codes [S, Q] of one recording that is at hand, as `extract_code_sequences` finds them."""
    mel = corpus.mel(file)
    powers = None if image is None else image_powers(corpus.audio(file)[0], corpus.side(file))
    return _with_image(encode_codes(codec, mel, level_of(mel), device).cpu(), image, powers)


@torch.no_grad()
def _decoded_mean_mel(codec: ConvVQVAE, codes: Tensor) -> npt.NDArray[np.float32]:
    """How a file that is gone is spread over frequency, as far as its codes tell."""
    middle = codes[:, : codec.config.rvq_levels].to(codec.typical_level_db.device)
    return mean_mel(decode_codes(codec, middle, float(codec.typical_level_db)).T.cpu().numpy())


def _samples(corpus: Corpus, file: CorpusFile) -> npt.NDArray[np.float32]:
    stored, peak = corpus.audio(file)
    return np.asarray(stored, dtype=np.float32) * np.float32(peak)


def _with_traits(view: CodeView, frames: Tensor) -> CodeView:
    """A view and what it is like, of its frames' traits [T, 4]."""
    count = len(view.codes) // BANDS
    sound = traits_of(frames, 0.0)
    traits = column_traits(frames, count)
    traits[:, LOUDNESS] -= sound.loudness
    whole = (sound.loudness, sound.brightness, sound.pitch, sound.onsets / max(count, 1))
    return replace(view, traits=traits, whole=torch.tensor([math.nan if each is None else each for each in whole]))


def transposed(frames: Tensor, semitones: float) -> Tensor:
    """Traits of frames [T, 4] -> those of a sound that is so much higher."""
    moved = frames.clone()
    moved[:, PITCH] += semitones
    moved[:, BRIGHTNESS] += semitones / 12.0
    return moved


class _OtherView(NamedTuple):
    """A version of a file."""

    mel: npt.NDArray[np.floating[Any]]  # [T, M], log-mel
    from_start: bool  # whether it begins where the file begins
    frame: Tensor  # [T], which frame of the file each of its frames was
    semitones: float  # how much higher it is
    period: int  # columns after which it comes round again; 0: none is known


def _other_views(corpus: Corpus, file: CorpusFile, count: int, rng: np.random.Generator) -> Iterator[_OtherView]:
    """`count` versions of a file. (An image changes so little over frequency that a semitone is nothing to it.)"""
    mel = corpus.mel(file)
    samples = _samples(corpus, file)
    in_time = tempo_ratios(mel)
    for number in range(count):
        later = int(rng.integers(1, FRAMES_PER_COLUMN))
        moved = bool(number % 2) and len(mel) > 2 * FRAMES_PER_COLUMN
        kept_in_time = bool(in_time) and number % 4 in (0, 3)
        if moved and not kept_in_time:
            yield _OtherView(mel[later:], False, torch.arange(later, len(mel)), 0.0, 0)
            continue
        ratio, period = 2.0 ** (rng.uniform(-VIEW_SEMITONES, VIEW_SEMITONES) / 12.0), 0
        if kept_in_time:
            ratio, period = in_time[int(rng.integers(len(in_time)))]
        made, frame = faster(samples, ratio, len(mel), corpus.spectrogram)
        first = later if moved else 0
        yield _OtherView(made[first:], first == 0, frame[first:], 12.0 * math.log2(ratio), period)


def faster(
    samples: npt.NDArray[np.float32], ratio: float, frames: int, config: SpectrogramConfig
) -> tuple[npt.NDArray[np.floating[Any]], Tensor]:
    """The log-mel [T, M] of a sound [N] that is played so much faster and higher, and which of its own frames each was."""
    other = soxr.resample(samples, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="MQ")
    made = log_mel_of(other, config).T.numpy()
    return made, (torch.arange(len(made)) * ratio).round().long().clamp_max(frames - 1)


def tempo_ratios(mel: npt.NDArray[np.floating[Any]]) -> list[tuple[float, int]]:
    """How much faster a sound of a log-mel [T, M] may be made so that its period is a whole number of columns, and that
    number; none where it has no period, or none that is near enough to one."""
    least, most = PERIOD_COLUMNS
    for period in beat_periods(mel, (least - 1) * FRAMES_PER_COLUMN, most * FRAMES_PER_COLUMN):
        columns = period / FRAMES_PER_COLUMN
        near = [
            (columns / whole, whole) for whole in (math.floor(columns), math.ceil(columns)) if least <= whole <= most
        ]
        if found := [each for each in near if abs(12.0 * math.log2(each[0])) <= VIEW_SEMITONES]:
            return found
    return []


def _with_image(codes: Tensor, image: ImageCodebook | None, powers: Tensor | None) -> Tensor:
    """Codes [S, Q] of the middle -> [S, Q + 1] where the model is stereo."""
    if image is None or powers is None:
        return codes
    return torch.cat([codes, image.encode(powers)[:, None]], dim=1)


def pack_codes(sequences: CodeSequences, manifest: CorpusManifest) -> dict[str, Tensor]:
    """The codes of the files as they are, by name, as small as they can be: [S, Q] int16."""
    train, val = iter(sequences.train_codes), iter(sequences.val)
    return {file.name: next(train if file.split == "train" else val).short() for file in manifest.files}


def unpack_codes(
    packed: Mapping[str, Tensor], manifest: CorpusManifest, codebook_size: int, levels: int
) -> CodeSequences:
    """The inverse of `pack_codes`, without views.

    Raises:
        DistillError: the codes are not those of the manifest's files.
    """
    train, val = [], []
    for file in manifest.files:
        codes = checked_codes(packed, file, codebook_size, levels)
        if file.split == "train":
            train.append((CodeView(codes, frames=-(-file.samples // HOP_LENGTH)),))
        else:
            val.append(codes)
    return CodeSequences(tuple(train), tuple(val))


def checked_codes(packed: Mapping[str, Tensor], file: CorpusFile, codebook_size: int, levels: int) -> Tensor:
    """The codes [S, Q] of one file.

    Raises:
        DistillError: there are none, or they are none of that file's.
    """
    codes = packed.get(file.name)
    if codes is None:
        raise DistillError(f"The model holds no codes of {file.name}. Use --dataset DIR with the sounds.")
    fits = isinstance(codes, Tensor) and codes.dtype == torch.int16 and codes.ndim == 2 and len(codes) > 0
    if not fits or codes.shape[1] != levels or len(codes) % BANDS:
        raise DistillError(f"The codes of {file.name} in the model are damaged. Use --dataset DIR with the sounds.")
    if int(codes.min()) < 0 or int(codes.max()) >= codebook_size:
        raise DistillError(f"The codes of {file.name} in the model are damaged. Use --dataset DIR with the sounds.")
    return codes.long()
