"""distill: train a small generative model on your own recordings and generate new sound from it.

Importing it takes no time: what it offers is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.studio.calls import (
        again,
        consent,
        forget,
        generate,
        make,
        train,
        train_prior,
        train_synth,
        verify,
        what,
    )  # fmt: skip
    from distill.studio.model import Model, Sounds, load

__version__ = "0.2.0"
__all__ = [
    "Model", "Sounds", "__version__", "again", "consent", "forget", "generate", "load", "make", "train", "train_prior",
    "train_synth", "verify", "what",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        from distill.studio import calls  # the model, too

        return getattr(calls, name)
    raise AttributeError(f"module 'distill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
