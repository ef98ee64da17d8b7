"""The numbers that spectrograms, columns and positions are made of: the one place that says them. No torch here."""

from pydantic import Field

from distill.settings.knobs import Frozen

SAMPLE_RATE = 48_000
"""What everything is resampled to, in Hz."""
HOP_LENGTH = 512
"""Samples from one spectrogram frame to the next."""
CROP_FRAMES = 96
"""Frames of a crop (1.024 s)."""
CROP_SAMPLES = CROP_FRAMES * HOP_LENGTH
BANDS = 8
"""Latent rows: positions in one column, from low to high frequency."""
MELS_PER_BAND = 16
"""Mel bands that one position describes."""
FRAMES_PER_COLUMN = 16
"""Spectrogram frames that one column of codes describes (0.17 s)."""
COLUMN_SECONDS = FRAMES_PER_COLUMN * HOP_LENGTH / SAMPLE_RATE
"""Duration of one column of codes."""
POSITIONS_PER_SECOND = BANDS / COLUMN_SECONDS
IMAGE_COLUMNS = 3
"""Columns that share one stereo image (0.51 s), in models that are made now."""


QUANTILE_POINTS = 33
"""Points of a quantile curve: the range a corpus has of what may be wished for."""
END_POINTS = 17
"""Points of the quantile curves of how loud sounds are where they end."""
LEAST_ENDS = 8
"""Sounds that it takes for such a curve."""
MOST_END_LOGIT = 8.0
"""What is added to the logit of an end is never more."""


def columns(frames: int) -> int:
    """How many columns of codes hold `frames` frames."""
    return -(-frames // FRAMES_PER_COLUMN)


class SpectrogramConfig(Frozen):
    """The log-mel front-end: one for all models, stored with each so that a change stays readable."""

    sample_rate: int = Field(SAMPLE_RATE, ge=8_000, le=192_000)
    n_fft: int = Field(2048, ge=256, le=8192)
    hop_length: int = Field(HOP_LENGTH, ge=64, le=4096)
    n_mels: int = Field(BANDS * MELS_PER_BAND, ge=16, le=256)
    f_min_hz: float = Field(20.0, ge=0.0, le=1000.0)
    f_max_hz: float = Field(24_000.0, ge=1000.0, le=96_000.0)
    crop_frames: int = Field(CROP_FRAMES, ge=16, le=4096)
    floor_db: float = Field(-100.0, ge=-200.0, le=0.0)

    def frames(self, samples: int) -> int:
        """How many frames a sound of `samples` samples has: one for each started hop."""
        return -(-samples // self.hop_length)

    def seconds(self, frames: int) -> float:
        """The duration of `frames` frames."""
        return frames * self.hop_length / self.sample_rate
