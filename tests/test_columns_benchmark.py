"""The geometry of `benchmarks/other_columns.py`, in a process of its own: it changes the program's constants."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import torch
from other_columns import become
become(8)
from distill.models import grain
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, encode_codes, encode_mel
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import COLUMN_SECONDS, POSITIONS_PER_SECOND, SpectrogramConfig

assert (round(COLUMN_SECONDS, 4), round(POSITIONS_PER_SECOND, 2)) == (0.0853, 93.75)
torch.manual_seed(0)
codec = ConvVQVAE(VQVAEConfig(channels=24, codebook_size=16, rvq_levels=6), SpectrogramConfig()).eval()
mel = (torch.randn(2400, 128) * 15.0 - 50.0).clamp_max(0.0)  # 26 s: more than a piece
latents = codec.encode(mel.T[None, None])
assert latents.shape == (1, 2400, 32), latents.shape
assert codec.decode(latents).shape == (1, 1, 128, 2400)
cpu = torch.device("cpu")
assert torch.allclose(encode_mel(codec, mel.numpy(), 0.0, cpu), latents[0], atol=1e-4)
made = decode_codes(codec, encode_codes(codec, mel.numpy(), 0.0, cpu), 0.0)
later = latents.clone()
later[:, 800:] += 1.0  # from column 100 on, frame 800
change = (codec.decode(later) - codec.decode(latents)).abs().amax((0, 1, 2))
assert change[:700].max() == 0.0 and change[800:].min() > 0.0
patches = grain.to_patches(mel.T)
assert patches.shape == (2400, 128)
assert torch.equal(patches[8 * 3 + 2], mel.T[32:48, 24:32].flatten())
assert torch.equal(grain.from_patches(patches), mel.T)
transform = grain.cosines(cpu)
assert torch.allclose(transform.T @ transform, torch.eye(128), atol=1e-5)
quick = 20.0 * torch.randn(2400, 128)
quick[:, : grain.NUMBERS] = 0.0
smooth = torch.full((128, 2400), -40.0)
assert not grain.coded_grain(smooth + grain.from_patches(quick @ transform.T) * 0.2, smooth).any()
print("as it should be")
"""


def test_columns_of_half_the_duration_are_a_whole_program() -> None:
    """Guards against a comparison of columns in which one side is broken: positions of another place or time, seams between
    pieces, a grain that is put elsewhere than it was taken from."""
    benchmarks = Path(__file__).resolve().parents[1] / "benchmarks"
    line = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(line, capture_output=True, text=True, cwd=benchmarks, check=False)
    assert done.stdout == "as it should be\n", done.stderr
