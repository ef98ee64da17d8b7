"""Stage 3: the settings of the synthesiser and of its training."""

from pydantic import Field

from distill.settings.knobs import LARGEST_SEED, LEAST_RATE, Frozen, knob


class SynthesiserConfig(Frozen):
    """The neural synthesiser's architecture: everything that its weights depend on. Fixed, so that the shipped ones fit."""

    width: int = Field(240, ge=16, le=1024)
    blocks: int = Field(4, ge=1, le=32)


class SynthesiserSettings(SynthesiserConfig):
    """Stage 3, `distill train-synth`: how the shipped synthesiser is fitted to the user's files."""

    epochs: int = knob(6, "How often the synthesiser is judged on held-out files.", ge=1, le=1000)
    steps_per_epoch: int = knob(25, "Optimiser steps between two judgements.", advanced=True, ge=1, le=100_000)
    batch_size: int = knob(16, "How many crops are learned from at once.", advanced=True, ge=1, le=512)
    learning_rate: float = knob(
        3e-4, "The largest step size for all but the inner matrices.", advanced=True, ge=LEAST_RATE, le=0.1
    )
    matrix_learning_rate: float = knob(
        0.004, "The largest step size for the inner matrices.", advanced=True, ge=LEAST_RATE, le=1.0
    )
    adversarial_weight: float = knob(
        0.0, "How much it counts to pass for a recording with a network that learns to tell them apart; 0: no such network.",
        advanced=True, ge=0.0, le=10.0,
    )  # fmt: skip
    pretrained: bool = knob(
        True, "Start from what the program learned on sounds of its own making, instead of from nothing.", advanced=True
    )
    patience: int = knob(
        0, "Stop when this many epochs have brought nothing better; 0: never.", advanced=True, ge=0, le=10_000
    )
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=LARGEST_SEED)

    def architecture(self) -> SynthesiserConfig:
        """The part of the settings that the weights depend on."""
        return SynthesiserConfig(**{name: getattr(self, name) for name in SynthesiserConfig.model_fields})
