"""The codec's error against its rate: the same training with other numbers of levels and codes, and without quantisation."""

import numpy as np
import torch

from distill.audio.distance import audible_difference
from distill.compute.fabric import launch_fabric
from distill.corpus.sounds import Corpus
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, encode_codes, level_of
from distill.settings.auto import codec_auto, resolve
from distill.settings.codec import CodecSettings
from distill.settings.geometry import POSITIONS_PER_SECOND
from distill.training.codec.task import CodecTask, mel_error
from distill.training.fit import fit
from distill.training.run import Best, Validation
from running import finished

CPU = torch.device("cpu")
RATES = ((2, 64), (2, 256), (3, 64), (3, 128), (3, 256), (4, 64), (4, 128), (4, 256), (3, 1024), (4, 1024))
"""Levels and codes of each."""


def keep_nothing(_best: Best) -> None:
    """The best epoch stays in memory."""


class PlainAutoencoder(CodecTask):
    """The codec's training without its quantiser."""

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Never start quantising."""

    def validate(self, device: torch.device) -> Validation:
        """Mel error on the held-out files."""
        score = mel_error(self.codec, self.corpus, self.corpus.manifest.val, device, quantising=False)
        return Validation(score, {"health": None})


def codes_error(codec: ConvVQVAE, corpus: Corpus) -> float:
    """Mean audible mel error in dB of the held-out files through their codes, without grain."""
    errors = []
    for file in corpus.manifest.val:
        mel = np.array(corpus.mel(file), dtype=np.float32)
        level = level_of(mel)
        made = decode_codes(codec, encode_codes(codec, mel, level, CPU), level)[:, : len(mel)]
        errors.append(float(audible_difference(torch.from_numpy(mel).T, made, level).mean()))
    return sum(errors) / len(errors)


def trained(kind: type[CodecTask], corpus: Corpus, preset: str, **overrides: int) -> tuple[CodecTask, float]:
    """A codec at its best epoch, and its held-out mel error there."""
    wanted = {"preview_every": 0, "preset": preset, **overrides}
    settings = resolve(CodecSettings, codec_auto(corpus.manifest.facts(), wanted), wanted).settings
    task = kind(corpus, settings, keep_nothing)
    best: Best = finished(fit(task, launch_fabric("cpu", settings.seed))).best
    task.objective.load_state_dict(best.state)
    task.objective.eval()
    return task, best.validation.score


def quantisation_cost(corpus: Corpus, preset: str) -> dict[str, float]:
    """What quantisation adds to the error of a plain autoencoder of the same size, start and training."""
    task, encoder = trained(CodecTask, corpus, preset)
    _, plain = trained(PlainAutoencoder, corpus, preset)
    quantised = codes_error(task.codec, corpus)
    return {
        "mel_l1_db": quantised,
        "encoder_mel_l1_db": encoder,
        "plain_autoencoder_mel_l1_db": plain,
        "quantisation_cost": quantised / plain,
        "encoder_quantisation_cost": encoder / plain,
    }


def rate_curve(corpus: Corpus, preset: str) -> list[dict[str, float]]:
    """Held-out mel error for every number of levels and codes in `RATES`."""
    points = []
    for levels, size in RATES:
        task, encoder = trained(CodecTask, corpus, preset, rvq_levels=levels, codebook_size=size)
        points.append(
            {
                "levels": levels,
                "codebook_size": size,
                "bits_per_second": POSITIONS_PER_SECOND * levels * float(np.log2(size)),
                "mel_l1_db": codes_error(task.codec, corpus),
                "encoder_mel_l1_db": encoder,
            }
        )
    return points
