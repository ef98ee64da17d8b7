"""Stage 1: the settings of the codec and of its training."""

from typing import Literal

from distill.settings.knobs import LARGEST_SEED, LEAST_RATE, Frozen, knob


class VQVAEConfig(Frozen):
    """The codec's architecture: everything that its weights depend on."""

    codebook_size: int = knob(
        128, "How many different codes each level has. More codes keep more detail and need more sound.",
        auto=True, ge=8, le=4096,
    )  # fmt: skip
    rvq_levels: int = knob(3, "How many levels of codes describe each position, from coarse to fine.", ge=2, le=4)
    codebook_dim: int = knob(32, "How many numbers stand behind each code.", advanced=True, ge=4, le=256)
    channels: int = knob(
        192, "Width of the network. Twice the width costs about four times the time.",
        advanced=True, ge=24, le=768, multiple_of=6,
    )  # fmt: skip


Preset = Literal["draft", "standard", "thorough"]
Slicing = Literal["auto", "on", "off"]


class CodecSettings(VQVAEConfig):
    """Stage 1, `distill train`: the codec's architecture and how it is trained."""

    preset: Preset = knob(
        "standard", "How much time the training gets: draft takes half of standard, thorough 4 times as much."
    )

    slice: Slicing = knob(
        "auto", "Cut recordings into pieces of 0.2 to 10 s, at silences and onsets: on, off, or auto, which does so where "
        "there are fewer than 5 files and one of them is longer than 30 s.", auto=True,
    )  # fmt: skip
    epochs: int = knob(
        40, "How often the codec goes through as many crops as the corpus holds; of a long one through a share.",
        auto=True, ge=1, le=10_000,
    )  # fmt: skip
    pretrained: bool = knob(
        True, "Start from what the program learned on sounds of its own making, instead of from nothing.", advanced=True
    )
    batch_size: int = knob(16, "How many crops are learned from at once.", advanced=True, ge=1, le=512)
    learning_rate: float = knob(
        1e-3, "The largest step size for norms and biases.", auto=True, advanced=True, ge=LEAST_RATE, le=0.1
    )
    matrix_learning_rate: float = knob(
        0.02, "The largest step size for matrices.", auto=True, advanced=True, ge=LEAST_RATE, le=1.0
    )
    commitment_weight: float = knob(
        0.05, "How strongly latents are pulled to their codes.", advanced=True, ge=0.0, le=10.0
    )
    warmup_share: float = knob(
        0.1, "Share of the training spent as a plain autoencoder before quantisation starts.",
        auto=True, advanced=True, ge=0.0, le=0.9,
    )  # fmt: skip
    level_dropout: float = knob(
        0.0, "Share of crops decoded from fewer than all levels, so that fewer levels decode well too.",
        advanced=True, ge=0.0, le=1.0,
    )  # fmt: skip
    patience: int = knob(
        0, "Stop when this many epochs have brought nothing better; 0: never.", advanced=True, ge=0, le=10_000
    )
    preview_every: int = knob(
        10, "After how many epochs a held-out sound is written as audio and picture; 0: never.",
        auto=True, ge=0, le=10_000,
    )  # fmt: skip
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=LARGEST_SEED)

    def architecture(self) -> VQVAEConfig:
        """The part of the settings that the weights depend on."""
        return VQVAEConfig(**{name: getattr(self, name) for name in VQVAEConfig.model_fields})
