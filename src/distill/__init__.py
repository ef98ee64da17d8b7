"""distill: train a small generative model on your own recordings and generate new sound from it."""

__version__ = "0.2.0"
