#!/usr/bin/env python3
"""How much of a stereo image is lost where several columns share its codes, and what an image adds to synthesis.

    python benchmarks/images.py MODEL ... [--columns 1 2 3 4] [--sizes 256] [--json] [--save NAME]
    python benchmarks/images.py MODEL ... --columns       # what it adds alone

Stereo models whose recordings are where they were. The recordings' own middle (10 s at most) with the image of a codebook that
was fitted to every second one of the others, in two folds.

level_db, coherence   The image's of `benchmarks/ears.py`, means over files; `mono`: the middle alone; `known`: of a codebook
            that was fitted to all of them, as a prior's is to what it draws from.
entropy   Of the codes, bits; a third of them is new where three columns share them.
adds      Percent of the processor time that the synthesis of the middle takes, one thread, the two in turn for every file (codes
            of the model's own image): median over files and ten rounds [10 %, 90 %].
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ears
from distill.audio.mel import log_mel_of
from distill.audio.reading import as_channels, read_planes
from distill.compute.threads import threads
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.file import read_card
from distill.modelfile.opened import load_model
from distill.models.image import as_heard, fit_image, image_powers, image_vectors
from distill.models.sampling import clip_generator
from distill.settings.geometry import BANDS, SAMPLE_RATE
from running import add_answer_options, give_answer, spread

MOST_SECONDS = 10.0
QUIET_SIDE = 1e-4
ROUNDS = 10


@torch.no_grad()
def adds(path: Path, sounds: list[Any]) -> dict[str, float]:
    """What an image adds to the synthesis of its middle."""
    loaded, percent = load_model(path), []
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    assert loaded.image is not None
    prepared = [
        (log_mel_of(planes[0], loaded.card.spectrogram_config), loaded.image.decode(loaded.image.encode(powers)))
        for planes, powers in sounds
    ]
    for turn in range(ROUNDS + 1):
        for mel, cells in prepared:
            with threads(1):
                begun = time.process_time()
                middle = synthesise(mel, clip_generator(0))
                between = time.process_time()
                as_heard(middle, cells)
            if turn > 0:
                percent.append(100.0 * (time.process_time() - between) / (between - begun))
    return spread(*np.quantile(percent, [0.5, 0.1, 0.9]).tolist())


def measured(path: Path, columns: list[int], sizes: list[int]) -> dict[str, Any]:
    """Everything about the recordings of one model."""
    card, sounds = read_card(path), []
    for file in card.corpus_manifest.files:
        planes = read_planes(card.corpus_manifest.place(file.source))[0][:, : round(MOST_SECONDS * SAMPLE_RATE)]
        if len(planes) == 2 and np.square(planes[1]).mean() > QUIET_SIDE * np.square(planes[0]).mean():
            sounds.append((planes, image_powers(planes[0], planes[1])))

    def error(planes: Any, made: torch.Tensor) -> tuple[float, float]:
        original, ours = (each.astype(np.float64) for each in (as_channels(planes), made.numpy()))
        return ears._image(original, ears.fitted(ours, original.shape[1]))

    def means(errors: list[tuple[float, float]]) -> dict[str, float]:
        level, coherence = np.mean(errors, axis=0)
        return {"level_db": float(level), "coherence": float(coherence)}

    mono = [error(planes, torch.from_numpy(np.stack([planes[0]] * 2))) for planes, _ in sounds]
    found: dict[str, Any] = {"files": len(sounds), "mono": means(mono), "adds": adds(path, sounds)}
    for shared in columns:
        for size in sizes:
            own = [image_vectors(powers, shared) for _, powers in sounds]
            books = [fit_image(own[1 - fold :: 2], size, 0, shared) for fold in (0, 1)]
            every = fit_image(own, size, 0, shared)
            errors, known, used = [], [], []
            for number, (planes, powers) in enumerate(sounds):
                for book, into in ((books[number % 2], errors), (every, known)):
                    codes = book.encode(powers)
                    into.append(error(planes, as_heard(torch.from_numpy(planes[0].copy()), book.decode(codes))))
                used.append(codes.view(-1, BANDS)[::shared].flatten())
            chance = torch.bincount(torch.cat(used), minlength=size).double()
            chance = chance[chance > 0] / chance.sum()
            entropy = -float((chance * chance.log2()).sum())
            found[f"{shared} columns, {size} codes"] = {**means(errors), "known": means(known), "entropy": entropy}
    return found


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--columns", type=int, nargs="*", default=[1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {}
    for path in given.models:
        answer[path.stem] = measured(path, given.columns, given.sizes)
        if not given.json:
            print(path.stem, *(f"{name}: {value}" for name, value in answer[path.stem].items()), sep="\n  ")
    give_answer(given, answer)


if __name__ == "__main__":
    main()
