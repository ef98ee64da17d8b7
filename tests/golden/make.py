"""Makes a golden file with the program of an earlier commit: `PYTHONPATH=EARLIER/src python tests/golden/make.py NAME`.

A tiny model on six rendered sounds, whose weights are rounded, and its large matrices thinned out, before they are
written, so that the file packs well. Beside it, as that program computes them: what its prior says of two sequences of
codes, what its codec makes of one, and what it draws.
"""

import json
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

HERE = Path(__file__).parent
RATE = 48_000
CODEC = {
    "epochs": 3,
    "codebook_size": 16,
    "channels": 24,
    "codebook_dim": 4,
    "rvq_levels": 2,
    "warmup_share": 0.3,
    "pretrained": False,
    "preview_every": 0,
}
PRIOR = {"epochs": 2, "hidden_size": 16, "num_layers": 1, "num_heads": 1, "context_seconds": 0.5, "views": 2}
COLUMNS = 3


def reduced(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Weights of 8 bits' precision; of a large matrix every 64th."""
    if not tensor.is_floating_point():
        return tensor
    rounded = tensor.to(torch.bfloat16).to(tensor.dtype)
    if name.endswith("mix.weight") or tensor.numel() > 40_000:
        rounded = rounded.flatten().clone()
        rounded[torch.arange(len(rounded)) % 64 != 0] = 0.0
        rounded = rounded.view_as(tensor)
    return rounded


def reduce_what_is_saved() -> None:
    real = torch.save

    def save(contents: Any, stream: Any) -> None:
        for key in ("model_state_dict", "prior_state_dict", "synthesiser_state_dict"):
            if key in contents:
                contents[key] = {name: reduced(name, tensor) for name, tensor in contents[key].items()}
        real(contents, stream)

    torch.save = save


def write_sounds(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(6):
        rng, time = np.random.default_rng(number), np.arange(RATE // 4) / RATE
        tone = np.sin(2 * np.pi * 110.0 * 2 ** (number * 5 % 24 / 12) * time)
        sound = (0.6 * tone + 0.05 * rng.standard_normal(len(time))) * np.exp(-time * (6 + number))
        soundfile.write(folder / f"hit {number}.wav", sound.astype(np.float32), RATE, subtype="PCM_24")


def known_settings(given: dict[str, Any], settings: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in settings.model_fields}


def train(model: Path, sounds: Path) -> None:
    """All stages that this program has."""
    from distill.config import CodecSettings, PriorSettings

    from distill import studio

    list(studio.train(sounds, out=model, overrides=known_settings(CODEC, CodecSettings), device="cpu"))
    list(studio.train_prior_for(str(model), overrides=known_settings(PRIOR, PriorSettings), device="cpu"))
    try:
        from distill.audio.corpus import reopen
        from distill.auto import Resolved
        from distill.bundle import read_card
        from distill.config import SynthesiserSettings

        from distill.training import synthesiser
    except ImportError:
        return
    synthesiser.SynthesiserTask.is_better = lambda self, best: True  # type: ignore[method-assign]
    opening = reopen(read_card(model).corpus_manifest)
    try:
        while True:
            next(opening)
    except StopIteration as end:
        corpus = end.value
    tiny = SynthesiserSettings(width=16, blocks=1, epochs=1, steps_per_epoch=1, batch_size=1, pretrained=False)
    list(synthesiser.train_synthesiser(model, corpus, Resolved(tiny, {}), "cpu"))


def expectations(model: Path) -> dict[str, Any]:
    from distill.bundle import load_bundle

    from distill.models.filling import sample_codes
    from distill.models.prior import BOS, MID
    from distill.models.sampling import clip_generator

    loaded = load_bundle(model)
    codes = torch.arange(2 * 24 * 2).view(2, 24, 2) * 7 % 16
    with torch.no_grad():
        logits = loaded.prior(codes, torch.tensor([BOS, MID]))
        mel = loaded.codec.codes_to_mel(codes)
        spoken = {}
        if loaded.card.model_dump().get("has_synthesiser"):
            logs = loaded.synthesiser(mel[0], mel[0].amax((1, 2)))
            spoken = {"log_magnitudes": [float(log.mean()) for log in logs]}
    drawn: list[torch.Tensor] = []
    for drawn in sample_codes(loaded.prior, [clip_generator(7)], COLUMNS, may_end=False):  # noqa: B007
        pass
    return {
        "logits": logits.log_softmax(-1)[:, ::8, :, ::5].flatten().tolist(),
        "mel_db": mel[0, 0, ::16, ::5].flatten().tolist(),
        "drawn": drawn[0].tolist(),
        **spoken,
    }


if __name__ == "__main__":
    room = Path(tempfile.mkdtemp())
    os.environ["DISTILL_CACHE"], os.environ["DISTILL_LIBRARY"] = str(room / "cache"), str(room / "library")
    sounds = Path(tempfile.gettempdir()) / "golden sounds"
    shutil.rmtree(sounds, ignore_errors=True)
    write_sounds(sounds)
    reduce_what_is_saved()
    model = room / f"{sys.argv[1]}.distill"
    train(model, sounds)
    found = expectations(model)
    (HERE / f"{sys.argv[1]}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    (HERE / f"{model.name}.xz").write_bytes(lzma.compress(model.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    shutil.rmtree(room)
    shutil.rmtree(sounds)
