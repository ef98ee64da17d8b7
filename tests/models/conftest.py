"""A codec that several tests of the models share."""

import pytest
import torch

from distill.models.codec import ConvVQVAE
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import SpectrogramConfig


@pytest.fixture(scope="session")
def codec() -> ConvVQVAE:
    """A small one, not trained, that decodes unlike codes to unlike columns; tests must not change it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ConvVQVAE(VQVAEConfig(codebook_size=16, rvq_levels=2, codebook_dim=8, channels=24), SpectrogramConfig())
        made.start_codebooks(torch.randn(500, 8), 100.0, 0)
    return made.eval()
