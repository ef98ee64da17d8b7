"""Stage 3: fitting the neural synthesiser to the user's files, by the distance of the samples that come out of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from distill.audio.distance import MAGNITUDE_FLOOR, RESOLUTIONS, multi_resolution_stft_distance
from distill.audio.mel import log_mel, log_mel_unpadded
from distill.corpus.sounds import Corpus
from distill.events import Event, SynthesiserEpochMetrics, SynthesiserStepMetrics
from distill.modelfile.card import LossPoint
from distill.models.synthesiser import NeuralSynthesiser, SpectrumNetwork, shipped_network, waveform
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig
from distill.settings.synthesiser import SynthesiserSettings
from distill.training.muon import Muon
from distill.training.run import Best, Progressed, Validation
from distill.training.stage import LossCurve
from distill.training.synthesiser.discriminator import Adversary
from distill.training.synthesiser.waveforms import WaveformBatch, WaveformSource
from distill.weights import start_from

MAGNITUDE_WEIGHT = 0.1
"""What the magnitudes themselves count beside the samples made from them."""
TRAINING_PHASE_STEPS = 4
"""Fewer than when sounds are made: the steps cost more than the network."""
ADVERSARY_RATE = 2e-3
QUIETEST_NORM = 0.5
"""Spectral convergence divides by the crop's norm; crops of almost nothing must not dominate the gradient."""
JUDGED_SECONDS = 60.0
"""Held-out sound that is judged on in all, every file in equal parts."""
JUDGED_TIMES = 4
"""How often a sound is made and judged, at most: with another phase to begin with, one distance is up to 0.08 another."""
SHORTEST_JUDGED_SECONDS = 0.5


class HeldOut:
    """Sounds to judge by, with their mels."""

    def __init__(self, sounds: Sequence[Tensor], config: SpectrogramConfig) -> None:
        self.sounds = sounds
        self.mels = [log_mel(sound, config) for sound in sounds]
        seconds = sum(map(len, sounds)) / SAMPLE_RATE
        self.times = min(JUDGED_TIMES, max(1, int(JUDGED_SECONDS / seconds)))

    def distance(self, network: SpectrumNetwork, device: torch.device) -> float:
        """Mean STFT distance of the sounds from what `network`, run on `device`, makes of their mels."""
        synthesise = NeuralSynthesiser(network.to(device))
        distances = [
            multi_resolution_stft_distance(sound, synthesise(mel, torch.Generator().manual_seed(seed))[: len(sound)])
            for seed in range(self.times)
            for sound, mel in zip(self.sounds, self.mels, strict=True)
        ]
        return sum(distances) / len(distances)


def held_out_sounds(corpus: Corpus) -> list[Tensor]:
    """The beginnings of the held-out files, `JUDGED_SECONDS` in all if there are not too many."""
    most = round(max(SHORTEST_JUDGED_SECONDS, JUDGED_SECONDS / len(corpus.manifest.val)) * SAMPLE_RATE)
    sounds = []
    for file in corpus.manifest.val:
        blocks: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        for block in corpus.decoded(file):
            blocks.append(block)
            if sum(map(len, blocks)) >= most:
                break
        sounds.append(torch.from_numpy(np.concatenate(blocks)[:most].astype(np.float32)))
    return sounds


class SynthesiserObjective(nn.Module):
    """The loss of a batch of crops, as one forward pass (so that Fabric can wrap it)."""

    def __init__(self, network: SpectrumNetwork, adversarial_weight: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.adversarial_weight = adversarial_weight
        self.adversary = Adversary() if adversarial_weight else None
        self.magnitudes_only = False
        """True: learn magnitudes before what comes of them, at a third of the cost (pre-training begins so)."""

    def forward(self, batch: WaveformBatch) -> Tensor:
        config = self.network.spectrogram
        samples, level, seed = batch
        with torch.autocast(samples.device.type, enabled=False):
            mel = log_mel_unpadded(samples, config)
        logs = self.network(mel, level)
        with torch.autocast(samples.device.type, enabled=False):
            if self.magnitudes_only:
                return magnitude_loss(self.network, logs, samples)
            generator = torch.Generator().manual_seed(int(seed))
            with torch.no_grad():
                fixed = [log.detach() for log in logs]
                begun = waveform(self.network, fixed, generator, TRAINING_PHASE_STEPS, agreement_steps=1)
            made = self.network.agree(begun, logs)
            # At its ends a crop lacks what is beside it in the file.
            margin = config.n_fft // 4
            inside = slice(margin, made.shape[-1] - margin)
            target = samples[:, config.n_fft // 2 :][:, : made.shape[-1]]
            target, made = target[:, inside], made[:, inside]
            loss: Tensor = waveform_loss(target, made) + MAGNITUDE_WEIGHT * magnitude_loss(self.network, logs, samples)
        if self.adversary is None:
            return loss
        making, learning = self.adversary(target, made)
        contest: Tensor = self.adversarial_weight * making + learning
        return loss + contest


def waveform_loss(target: Tensor, made: Tensor) -> Tensor:
    """Multi-resolution STFT distance of samples [B, N], mean over crops, with a gradient."""
    total = target.new_zeros(())
    for size in RESOLUTIONS:
        window = torch.hann_window(size, device=target.device)
        a = torch.stft(target, size, size // 4, window=window, center=False, return_complex=True).abs()
        b = torch.stft(made, size, size // 4, window=window, center=False, return_complex=True)
        total = total + _distance(a, torch.view_as_real(b).square().sum(-1).add(1e-12).sqrt())
    return total / len(RESOLUTIONS)


def magnitude_loss(network: SpectrumNetwork, logs: Sequence[Tensor], samples: Tensor) -> Tensor:
    """The same of the network's magnitudes [B, F, T] against those of crops with margins [B, (T - 1) * hop + n_fft]."""
    config = network.spectrogram
    total = samples.new_zeros(())
    for log, size in zip(logs, network.windows, strict=True):
        window = torch.hann_window(size, device=samples.device)
        inside = samples[:, (config.n_fft - size) // 2 :]
        spectrum = torch.stft(inside, size, size // 4, window=window, center=False, return_complex=True)
        frames = min(spectrum.shape[-1], log.shape[-1])
        total = total + _distance(spectrum[:, :, :frames].abs(), log[:, :, :frames].exp())
    return total / len(network.windows)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Spectral convergence plus mean |difference of logarithms| of magnitudes [B, F, T], mean over crops."""
    convergence = (a - b).square().sum((1, 2)).add(1e-12).sqrt() / a.norm(dim=(1, 2)).clamp_min(QUIETEST_NORM)
    logarithm = (a.clamp_min(MAGNITUDE_FLOOR).log() - b.clamp_min(MAGNITUDE_FLOOR).log()).abs().mean((1, 2))
    mean: Tensor = (convergence + logarithm).mean()
    return mean


class SynthesiserTask:
    """What `fit` needs to train a synthesiser."""

    average_decay = 0.99

    def __init__(
        self,
        source: WaveformSource,
        held_out: HeldOut,
        settings: SynthesiserSettings,
        on_best: Callable[[Best], Sequence[Event] | None],
    ) -> None:
        self.source = source
        self.held_out = held_out
        self.settings = settings
        self.on_best = on_best
        self.network = SpectrumNetwork(settings.architecture(), source.config)
        if settings.pretrained:
            start_from(self.network, "synthesiser")
        self.objective = SynthesiserObjective(self.network, settings.adversarial_weight)
        self.shipped_score = held_out.distance(shipped_network(source.config) or self.network, torch.device("cpu"))
        self.epochs = settings.epochs
        self.steps_per_epoch = settings.steps_per_epoch
        self.patience = settings.patience
        self.history = LossCurve()

    def optimizers(self) -> list[Optimizer]:
        """Muon for the blocks' matrices; AdamW for the rest, since steps of equal size in all directions drown the head."""
        named = dict(self.network.named_parameters())
        inner = {name for name, p in named.items() if name.startswith("blocks.") and p.ndim == 2}
        trust = {name for name in named if name.startswith("trust.")}
        others = [p for name, p in named.items() if name not in inner | trust]
        rate = self.settings.learning_rate
        groups = [{"params": others, "lr": rate}, {"params": [named[name] for name in sorted(trust)], "lr": 50 * rate}]
        optimizers: list[Optimizer] = [
            Muon([named[name] for name in sorted(inner)], self.settings.matrix_learning_rate),
            AdamW(groups, rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        if self.objective.adversary is not None:
            optimizers.append(AdamW(self.objective.adversary.parameters(), ADVERSARY_RATE, betas=(0.5, 0.9)))
        return optimizers

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Nothing to prepare."""

    def batches(self, epoch: int) -> Iterator[WaveformBatch]:
        """Newly drawn crops."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        for _ in range(self.steps_per_epoch):
            yield self.source.draw(self.settings.batch_size, rng)

    def items(self, batch: WaveformBatch) -> int:
        """Crops."""
        return len(batch.samples)

    def validate(self, device: torch.device) -> Validation:
        """STFT distance on the held-out files."""
        return Validation(self.held_out.distance(self.network, device), {})

    def step_event(self, progressed: Progressed) -> Event:
        """One step."""
        p = progressed
        return SynthesiserStepMetrics(p.epoch, p.step, p.total_steps, p.loss, p.learning_rate, p.seconds_left)

    def epoch_events(self, progressed: Progressed, validation: Validation, best: Best | None) -> Sequence[Event]:
        """One epoch."""
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=progressed.loss, val=validation.score))
        metrics = SynthesiserEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_mrstft=validation.score,
            best_val_mrstft=best.validation.score if best else validation.score,
            shipped_val_mrstft=self.shipped_score,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            crops_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
        )
        return [metrics]

    def keep(self, best: Best) -> Sequence[Event] | None:
        """Put the best synthesiser so far on the disk, if it is better than the shipped one."""
        return self.on_best(best) if self.is_better(best) else None

    def is_better(self, best: Best) -> bool:
        """Whether it is better on the held-out files than the synthesiser that ships with the program."""
        return best.validation.score < self.shipped_score

    def progress(self) -> dict[str, Any]:
        """The curve so far."""
        return {"history": self.history.plain()}

    def restore_progress(self, progress: dict[str, Any]) -> None:
        """The inverse of `progress`."""
        self.history.restore(progress["history"])
