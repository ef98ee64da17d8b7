"""The stereo image: for each position, how its sound lies between left and right, as one code beside those of the middle.

    middle, side ─ STFT ─▶ level difference and coherence of 16 bands every 24 frames ─ nearest vector ─▶ codes [S]
    codes [S] ─▶ level differences and coherences, interpolated ─ with the middle's own samples ─▶ side

An image changes so slowly that three columns share the codes of one, the others repeat those of the first.

A position has two bands of two cells in time, and a vector of their level differences and coherences (parametric stereo:
Breebaart et al., 2005). The side is predicted from the middle, and what is left of it is the middle through an all-pass,
without what of it is in phase with the middle (a tone through an all-pass is the same tone, turned: what is a quarter of a
turn off makes left and right as loud, and wide), in such amounts as bring the level difference and the coherence that were
coded. Left is middle + side and right middle - side,
so their mean is the middle whatever the image.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.audio.bandwidth import below_nyquist
from distill.audio.between import between
from distill.audio.loudness import HIGHEST_DB, limited, peak_db
from distill.audio.master import not_clipped
from distill.audio.mel import hz_to_mel, mel_to_hz
from distill.audio.phase import squared, to_samples, to_spectrum
from distill.models.kmeans import k_means
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE, columns

N_FFT = 2048
ROWS_PER_BAND, CELLS_PER_COLUMN = 2, 2
ROWS, CELL_FRAMES = ROWS_PER_BAND * BANDS, FRAMES_PER_COLUMN // CELLS_PER_COLUMN
IMAGE_DIM = 2 * ROWS_PER_BAND * CELLS_PER_COLUMN
"""Numbers of a position: a level difference and a coherence for each of its cells."""
LEVEL_SCALE_DB = 8.0
"""A difference of so many dB weighs as much as one of 1 in coherence."""
LARGEST_LEVEL_DB = 30.0
AUDIBLE = 1e-6
"""A position with less than this share of the energy of the loudest has the image of the one before it."""
MOST_VECTORS = 20_000
RECORDED_ROWS, RECORDED_FRAMES = 40, 2
"""Bands and frames of the cells of a recording, which no prior has to predict."""
RECORDED_LEVEL_STEP_DB, RECORDED_COHERENCE_STEP = 0.5, 0.05
FINE_ROWS, SMOOTH_FRAMES = 40, 5
"""Bands and frames in which the side is brought to what was coded."""
LARGEST_GAIN = 3.0
DELAY_SECONDS = 0.01
BLOCK_FRAMES, MARGIN_FRAMES = 2048, 32
LOW_HZ, HIGH_HZ = 20.0, 24_000.0


class Cells(NamedTuple):
    """An image on a grid of bands and moments."""

    shares: Tensor  # [2, rows, C]: how much of the side is the middle, and how much is unlike it
    frames: int
    """Of one cell."""

    @classmethod
    def of(cls, level_db: Tensor, coherence: Tensor, frames: int) -> "Cells":
        """Of level differences, left over right, and coherences [rows, C]."""
        return cls(_shares(level_db, coherence), frames)


class ImageCodebook(nn.Module):
    """The vectors behind the codes; the first is the middle itself, left and right alike."""

    vectors: Tensor  # [K, IMAGE_DIM]

    def __init__(self, size: int, shared_columns: int = 1) -> None:
        """
        Args:
            size: how many codes there are.
            shared_columns: how many columns share the codes of one.
        """
        super().__init__()
        self.shared_columns = shared_columns
        self.register_buffer("vectors", centred(size))

    def encode(self, powers: Tensor) -> Tensor:
        """Of `image_powers` [3, ROWS, T] the codes [S] of all positions, those of columns that share them alike."""
        found = self.nearest(*image_vectors(powers, self.shared_columns)).view(-1, BANDS)
        return found.repeat_interleave(self.shared_columns, dim=0)[: columns(powers.shape[-1])].flatten()

    def nearest(self, vectors: Tensor, heard: Tensor) -> Tensor:
        """What `image_vectors` gives -> codes [S]; what is not heard has the code before it."""
        codes = torch.cdist(vectors, self.vectors, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        if not len(codes):
            return codes
        by_column, known = codes.view(-1, BANDS), heard.view(-1, BANDS)
        column = torch.arange(len(by_column))[:, None].expand_as(by_column)
        last = torch.where(known, column, -1).cummax(0).values
        return torch.where(last >= 0, by_column.gather(0, last.clamp_min(0)), 0).flatten()

    def decode(self, codes: Tensor, first: int = 0) -> Cells:
        """Codes [S] -> cells of 16 bands by 8 frames.

        Args:
            first: how many columns of the sound lie before them: in which part of what they share the first one is.
        """
        count = len(codes) // BANDS
        cell = torch.arange(CELLS_PER_COLUMN * count) + CELLS_PER_COLUMN * (first % self.shared_columns)
        moment = cell // self.shared_columns % CELLS_PER_COLUMN
        shape = (count, BANDS, 2, ROWS_PER_BAND, CELLS_PER_COLUMN)
        moments = self.vectors[codes].view(shape).repeat_interleave(CELLS_PER_COLUMN, dim=0)
        cells = moments[torch.arange(len(cell)), ..., moment].permute(2, 1, 3, 0).reshape(2, ROWS, -1)
        return Cells.of(LEVEL_SCALE_DB * cells[0], cells[1], CELL_FRAMES)

    def prior_vectors(self, codebooks: Tensor) -> Tensor:
        """The codec's codebooks [Q, K, D] -> [Q + 1, K, D + IMAGE_DIM]: the image has dimensions of its own, and weighs as
        much as a level of the codec does, so that the others are to the prior what they are in a mono model."""
        grown = codebooks.new_zeros(len(codebooks) + 1, codebooks.shape[1], codebooks.shape[2] + IMAGE_DIM)
        grown[:-1, :, : codebooks.shape[2]] = codebooks
        image = self.vectors.to(codebooks)
        image = image - image.mean(0)
        size = image.square().sum(-1).mean().clamp_min(1e-12)
        grown[-1, :, codebooks.shape[2] :] = image * (codebooks.square().sum(-1).mean() / size).sqrt()
        return grown


def read_by_priors(codebooks: Tensor, image: ImageCodebook | None) -> Tensor:
    """[Q, K, D], what stands behind the codes of a model as a prior reads them: of a stereo model with those of the image."""
    return codebooks if image is None else image.prior_vectors(codebooks)


def centred(count: int) -> Tensor:
    """[count, IMAGE_DIM]: no level difference, full coherence."""
    vector = torch.zeros(2, ROWS_PER_BAND * CELLS_PER_COLUMN)
    vector[1] = 1.0
    return vector.flatten().repeat(count, 1)


def fit_image(sounds: Sequence[tuple[Tensor, Tensor]], size: int, seed: int, shared_columns: int = 1) -> ImageCodebook:
    """A codebook of `size` vectors by k-means over what is heard in `sounds`: (vectors [S, IMAGE_DIM], heard [S]).

    Args:
        shared_columns: what `image_vectors` was told.
    """
    generator = torch.Generator().manual_seed(seed)
    points = torch.cat([vectors[heard] for vectors, heard in sounds])
    if len(points) > MOST_VECTORS:
        points = points[torch.randperm(len(points), generator=generator)[:MOST_VECTORS]]
    codebook = ImageCodebook(size, shared_columns)
    if len(points):
        centres, _ = k_means(points, size - 1, generator)
        # The point nearest to each, not the mean itself: means of images are narrower than what they are means of.
        nearest = points[torch.cdist(centres, points).argmin(1)]
        codebook.vectors[1:] = nearest[torch.arange(size - 1) % len(centres)]
    return codebook


@torch.no_grad()
def image_powers(middle: npt.NDArray[np.floating], side: npt.NDArray[np.floating] | None, bands: int = ROWS) -> Tensor:
    """Samples [N], memory-mapped or not -> [3, bands, T]: power of the middle, of the side, and what they have in common."""
    frames = -(-len(middle) // HOP_LENGTH)
    rows, half, parts = _rows(bands), N_FFT // 2, []
    for first in range(0, frames, BLOCK_FRAMES):
        count = min(BLOCK_FRAMES, frames - first)
        start, stop = first * HOP_LENGTH - half, (first + count - 1) * HOP_LENGTH + half
        blocks = [
            np.pad(np.asarray(plane[max(start, 0) : stop], np.float32), (max(-start, 0), max(stop - len(plane), 0)))
            for plane in (middle, side)
            if plane is not None
        ]
        spectra = torch.stft(
            torch.from_numpy(np.stack(blocks)), N_FFT, HOP_LENGTH, window=_window(), center=False, return_complex=True
        )
        power = spectra.real.square() + spectra.imag.square()
        common = (spectra[0] * spectra[-1].conj()).real if side is not None else torch.zeros_like(power[0])
        parts.append(rows @ torch.stack([power[0], power[-1] if side is not None else common, common]))
    return torch.cat(parts, dim=2)


def image_vectors(powers: Tensor, shared_columns: int = 1) -> tuple[Tensor, Tensor]:
    """[3, ROWS, T] -> vectors [S, IMAGE_DIM] and [S] whether each is heard; S = 8 for each of so many columns.

    The two moments of a vector are the halves of what its columns share, louder frames counting for more. A half in which
    nothing is heard is like the other one.
    """
    (level, coherence), middle, side = _measured(powers, shared_columns * CELL_FRAMES)
    energy = (middle + side).view(BANDS, ROWS_PER_BAND, -1, CELLS_PER_COLUMN)
    cells = torch.stack([level / LEVEL_SCALE_DB, coherence]).view(2, *energy.shape)
    least = AUDIBLE * energy.mean((1, 3)).max()
    if shared_columns > 1:
        cells = torch.where(energy.mean(1, keepdim=True) > least, cells, cells.flip(-1))
    return cells.permute(3, 1, 0, 2, 4).reshape(-1, IMAGE_DIM), energy.mean((1, 3)).T.flatten() > least


def _measured(powers: Tensor, cell_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """[3, rows, T] -> level differences in dB and coherences [2, rows, C], and the powers of middle and side [rows, C]."""
    missing = -powers.shape[-1] % max(FRAMES_PER_COLUMN, CELLS_PER_COLUMN * cell_frames)
    middle, side, common = F.pad(powers, (0, missing)).reshape(3, powers.shape[1], -1, cell_frames).mean(-1)
    least = 1e-12 * middle.max() + 1e-20
    left, right = ((middle + side + sign * 2.0 * common).clamp_min(0.0) + least for sign in (1.0, -1.0))
    level = (10.0 * (left / right).log10()).clamp(-LARGEST_LEVEL_DB, LARGEST_LEVEL_DB)
    coherence = ((middle - side + least) / (left * right).sqrt()).clamp(-1.0, 1.0)
    return torch.stack([level, coherence]), middle, side


def recorded_cells(middle: npt.NDArray[np.floating], side: npt.NDArray[np.floating]) -> Cells:
    """Samples [N] of a recording -> its image, rounded to half a dB and 0.05: what one code leaves out, as grain is
    of the middle."""
    values, _, _ = _measured(image_powers(middle, side, RECORDED_ROWS), RECORDED_FRAMES)
    steps = torch.tensor([RECORDED_LEVEL_STEP_DB, RECORDED_COHERENCE_STEP])[:, None, None]
    level, coherence = ((values / steps).round() * steps).repeat_interleave(RECORDED_FRAMES, dim=-1)  # in steps
    return Cells.of(level, coherence, 1)


def as_heard(middle: Tensor, image: Cells | None) -> Tensor:
    """Samples [N] and the cells of their image, None for a mono sound -> [channels, N]."""
    return middle[None] if image is None else widened(middle, image)


def with_own_image(middle: Tensor, planes: npt.NDArray[np.float32], native_rate: int, stereo: bool) -> Tensor:
    """The middle [N] as it came back, safe to play, and the recording's planes -> [channels, N], safe to play.

    Args:
        planes: middle and side, [2, N], or of a mono recording the middle, [1, N].
        native_rate: what the recording was made at, in Hz.
        stereo: whether the model is; else one channel comes out.
    """
    image = recorded_cells(planes[0], planes[1]) if stereo and len(planes) == 2 else None
    heard = as_heard(middle, image)
    if peak_db(heard) <= HIGHEST_DB:
        return heard
    return not_clipped(below_nyquist(limited(heard, HIGHEST_DB), native_rate))  # a limiter makes higher frequencies


@torch.no_grad()
def widened(middle: Tensor, cells: Cells) -> Tensor:
    """Samples [N] and cells of as much sound -> left and right [2, N], whose mean is the middle."""
    side = torch.zeros_like(middle)
    frames = -(-len(middle) // HOP_LENGTH)
    for first in range(0, frames, BLOCK_FRAMES):
        start, stop = max(0, first - MARGIN_FRAMES), min(frames, first + BLOCK_FRAMES + MARGIN_FRAMES)
        made = _side(middle[start * HOP_LENGTH : stop * HOP_LENGTH], cells, start)
        wanted = slice(first * HOP_LENGTH, min((first + BLOCK_FRAMES) * HOP_LENGTH, len(middle)))
        side[wanted] = made[(first - start) * HOP_LENGTH :][: wanted.stop - wanted.start]
    return _left_and_right(middle, side)


@torch.no_grad()
def widened_part(middle: Tensor, cells: Cells, first_frame: int) -> Tensor:
    """Samples [N] of a part of a sound that begins at a frame of its image -> [2, N]; true further than `MARGIN_FRAMES` from
    where it is cut."""
    return _left_and_right(middle, _side(middle, cells, first_frame))


def _left_and_right(middle: Tensor, side: Tensor) -> Tensor:
    """[N] and [N] -> [2, N]."""
    return torch.stack([middle + side, middle - side])


def _side(middle: Tensor, cells: Cells, first_frame: int) -> Tensor:
    """The side [N] of a block that begins at a frame.

    What is unlike the middle is made twice: what overlapping frames leave of the first is measured and mended by the second.
    Spectra are [T, F] here, as they lie in memory, and what is said of rows is [T, rows].
    """
    length = -(-len(middle) // HOP_LENGTH) * HOP_LENGTH
    spectrum = _spectrum(F.pad(middle, (0, length - len(middle))))
    share, rest = _of_bins(cells, first_frame, len(spectrum))
    power = squared(spectrum)
    own, wanted = _by_row(power), _by_row(rest.square() * power)
    least = 1e-10 * float(own.max()) + 1e-20

    def mended(shared: Tensor, strange: Tensor) -> tuple[Tensor, Tensor]:
        """Of what is unlike the middle how much of the middle is to be taken off, and then how many times it is wanted."""
        common = shared / (own + least)
        left_over = (strange - common.square() * own).maximum(0.05 * strange)
        gain = (wanted / (left_over + least)).sqrt().clamp_max(LARGEST_GAIN)
        of_bin = _row_of_bin(FINE_ROWS)
        return (gain * common).index_select(1, of_bin), gain.index_select(1, of_bin)

    taken, gain = mended(_by_row(rest * _allpass().real * power), wanted)  # an all-pass changes no power
    side = _samples(torch.addcmul(share - taken, gain * rest, _allpass()) * spectrum, length)
    unlike = _spectrum(side) - share * spectrum
    taken, gain = mended(_by_row((unlike * spectrum.conj()).real), _by_row(squared(unlike)))
    side = _samples(torch.addcmul((share - taken) * spectrum, gain, unlike), length)
    return side[: len(middle)]


def _spectrum(samples: Tensor) -> Tensor:
    """[N] -> [T, F]."""
    return to_spectrum(samples[None], N_FFT)[0].T


def _samples(spectrum: Tensor, length: int) -> Tensor:
    """[T, F] -> [N]."""
    return to_samples(spectrum.T[None], N_FFT, length)[0]


def _shares(level: Tensor, coherence: Tensor) -> Tensor:
    """Level differences in dB and coherences [...] -> how much of the side is the middle, and how much is unlike it [2, ...]."""
    ratio = 10.0 ** (level / 20.0)
    squares = ratio.square()
    both, common = squares + 1.0, 2.0 * coherence.clamp(-0.98, 1.0) * ratio
    middle = ((both + common) / 4.0).clamp_min(1e-4)
    side = (both - common) / 4.0
    predicted = (squares - 1.0) / (4.0 * middle)
    return torch.stack([predicted, (side / middle - predicted.square()).clamp_min(0.0).sqrt()])


def _of_bins(cells: Cells, first_frame: int, frames: int) -> Tensor:
    """How much of the side is the middle and how much is unlike it, [2, frames, F]: of each bin what its row has, between
    the middles of cells in time."""
    time = (torch.arange(first_frame, first_frame + frames) + 0.5) / cells.frames - 0.5
    by_frame = between(cells.shares, time).transpose(1, 2).contiguous()
    return by_frame.index_select(2, _row_of_bin(cells.shares.shape[1]))


def _by_row(bins: Tensor) -> Tensor:
    """[T, F] -> the sum over the bins of each row, and the mean of that over frames around each, [T, rows]."""
    summed = (bins @ _rows(FINE_ROWS).T).T[:, None]
    return F.avg_pool1d(summed, SMOOTH_FRAMES, 1, SMOOTH_FRAMES // 2, count_include_pad=False)[:, 0].T


@lru_cache(maxsize=1)
def _window() -> Tensor:
    return torch.hann_window(N_FFT)


@lru_cache(maxsize=4)
def _row_of_bin(rows: int) -> Tensor:
    """[F]: the row of each bin; rows are equally wide in mel."""
    edges = mel_to_hz(np.linspace(hz_to_mel(LOW_HZ), hz_to_mel(HIGH_HZ), rows + 1))
    return torch.from_numpy(np.searchsorted(edges[1:-1], np.fft.rfftfreq(N_FFT, 1.0 / SAMPLE_RATE)))


@lru_cache(maxsize=4)
def _rows(rows: int) -> Tensor:
    """[rows, F]: 1 where a bin is in a row."""
    return (_row_of_bin(rows)[None] == torch.arange(rows)[:, None]).float()


@lru_cache(maxsize=1)
def _allpass() -> Tensor:
    """[F]: a filter of gain 1 whose delay goes up and down with frequency, always the same one."""
    bins = N_FFT // 2 + 1
    places = np.arange(0, bins + 16, 8)
    delays = np.interp(
        np.arange(bins), places, np.random.default_rng(0).uniform(-DELAY_SECONDS, DELAY_SECONDS, len(places))
    )
    phase = np.cumsum(2.0 * np.pi * SAMPLE_RATE / N_FFT * delays) + np.pi / 2
    return torch.polar(torch.ones(bins), torch.from_numpy(phase.astype(np.float32)))
