#!/usr/bin/env python3
"""What synthesis loses and costs: Griffin-Lim, a phase vocoder, the shipped network, and the network fitted to the corpus.

    python benchmarks/synthesis.py CORPUS... [--minutes 5] [--models DIR] [--json] [--save NAME]

For each folder, on its held-out files: STFT distance (`mrstft`) and audible mel error in dB of what each synthesiser makes
of the original's mel and, with --models, of the mel that DIR/NAME.distill reconstructs (NAME: the folder's). `fitted` has
learned for --minutes CPU-minutes from the training files (0: left out). Then, for all together, speed in times real time on
one and two threads, all synthesisers in turn, best of several rounds; and how far levels at block borders are from those of
the sound made at once. The weights that are fitted are thrown away.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from distill.audio import griffin_lim
from distill.audio.distance import audible_mel_distance, multi_resolution_stft_distance
from distill.audio.griffin_lim import GriffinLim, Synthesiser
from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import load_model
from distill.models.encoding import decode_codes, encode_codes, level_of
from distill.models.synthesiser import NeuralSynthesiser, shipped_network
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig
from distill.settings.synthesiser import SynthesiserSettings
from distill.training.fit import fit
from distill.training.run import Best
from distill.training.synthesiser.task import HeldOut, SynthesiserTask, held_out_sounds
from distill.training.synthesiser.waveforms import WaveformSource, decoded_to
from running import add_answer_options, finished, save_result

SPECTROGRAM = SpectrogramConfig()
CALIBRATION_STEPS = 12
FITTED_EPOCHS = 8
JUDGED_SEEDS = range(100, 104)
"""One alone moves the mean over a corpus by 0.003 to 0.012."""
SPEED_ROUNDS = 5
SPEED_SECONDS = 6.0
SEAM_BLOCK_FRAMES = 200

Sounds = list[Tensor]


def generator(seed: int = 0) -> torch.Generator:
    """The same randomness for everyone."""
    return torch.Generator().manual_seed(seed)


def untrained() -> dict[str, Synthesiser]:
    """Everything that is the same for all corpora."""
    network = shipped_network(SPECTROGRAM)
    assert network is not None
    return {
        "griffin-lim 64": GriffinLim(SPECTROGRAM, 64),
        "griffin-lim 32": GriffinLim(SPECTROGRAM, 32),
        "griffin-lim 8": GriffinLim(SPECTROGRAM, 8),
        "vocoder + 8": GriffinLim(SPECTROGRAM, 8, "vocoder"),
        "neural, shipped": NeuralSynthesiser(network),
    }


def fitted(corpus: Corpus, minutes: float) -> tuple[Synthesiser, float]:
    """A network that has learned from the training files -> it, and the CPU-seconds it took."""
    bests: list[Best] = []
    with tempfile.TemporaryFile() as stream:
        source = WaveformSource(decoded_to(stream, corpus), corpus.spectrogram)
        held_out = HeldOut(held_out_sounds(corpus), corpus.spectrogram)

        def run(steps: int, epochs: int) -> SynthesiserTask:
            settings = SynthesiserSettings(epochs=epochs, steps_per_epoch=steps)
            task = SynthesiserTask(source, held_out, settings, bests.append)
            finished(fit(task, launch_fabric("cpu", 0)))
            return task

        begun = time.process_time()
        run(CALIBRATION_STEPS, 1)
        per_step = (time.process_time() - begun) / CALIBRATION_STEPS
        bests.clear()
        begun = time.process_time()
        task = run(max(1, round(60.0 * minutes / FITTED_EPOCHS / per_step)), FITTED_EPOCHS)
    if bests:
        task.objective.load_state_dict(bests[-1].state)
        return NeuralSynthesiser(task.network), time.process_time() - begun
    network = shipped_network(SPECTROGRAM)
    assert network is not None
    return NeuralSynthesiser(network), time.process_time() - begun


def judged(synthesise: Synthesiser, sounds: Sounds, mels: Sounds) -> dict[str, float]:
    """Means over sounds and seeds, none of which has chosen the best epoch."""
    pairs = [
        (sound, synthesise(mel, generator(seed))[: len(sound)])
        for seed in JUDGED_SEEDS
        for sound, mel in zip(sounds, mels, strict=True)
    ]
    return {
        "mrstft": mean(multi_resolution_stft_distance(a, b) for a, b in pairs),
        "audible_mel_db": mean(audible_mel_distance(a, b, SPECTROGRAM) for a, b in pairs),
    }


def reconstructed(model: Path, mels: Sounds) -> Sounds:
    """What the codec of a model makes of mels [M, T]."""
    loaded = load_model(model)
    made = []
    for mel in mels:
        frames = mel.T.contiguous().numpy()
        level = level_of(frames)
        codes = encode_codes(loaded.codec, frames, level, torch.device("cpu"))
        made.append(decode_codes(loaded.codec, codes, level)[:, : mel.shape[1]])
    return made


def speed(synthesisers: dict[str, Synthesiser], sound: Tensor) -> dict[str, dict[str, float]]:
    """Times real time by CPU time on one thread, and by the clock on one and two threads (which other programs disturb).

    The best of rounds in which all take their turn. The network takes half the threads it is given.
    """
    mel = log_mel(sound, SPECTROGRAM)
    seconds: dict[str, dict[str, float]] = {name: {} for name in synthesisers}
    for count in (1, 2):
        with threads(count):
            for _ in range(SPEED_ROUNDS):
                for name, synthesise in synthesisers.items():
                    begun, computed = time.perf_counter(), time.process_time()
                    synthesise(mel, generator())
                    costs = {f"threads_{count}": time.perf_counter() - begun}
                    if count == 1:
                        costs["cpu_time"] = time.process_time() - computed
                    for key, took in costs.items():
                        seconds[name][key] = min(took, seconds[name].get(key, took))
    length = len(sound) / SAMPLE_RATE
    return {name: {key: length / took for key, took in both.items()} for name, both in seconds.items()}


def seam(synthesise: Synthesiser, sound: Tensor) -> dict[str, float]:
    """Blocks against the sound at once: differences in dB of levels (43 ms) at block borders and elsewhere."""
    mel = log_mel(sound, SPECTROGRAM)
    at_once = synthesise(mel, generator())
    kept, griffin_lim.BLOCK_FRAMES = griffin_lim.BLOCK_FRAMES, SEAM_BLOCK_FRAMES
    try:
        blocks = synthesise(mel, generator())
    finally:
        griffin_lim.BLOCK_FRAMES = kept
    level: Callable[[Tensor], Tensor] = lambda x: 10 * x.unfold(0, 2048, 512).square().mean(-1).add(1e-9).log10()  # noqa: E731
    off = (level(blocks) - level(at_once)).abs()
    frame = torch.arange(len(off)) + 2
    near = ((frame + griffin_lim.OVERLAP_FRAMES) % SEAM_BLOCK_FRAMES) < griffin_lim.OVERLAP_FRAMES + 4
    near &= frame > SEAM_BLOCK_FRAMES // 2
    return {
        "border_max_db": float(off[near].max()),
        "elsewhere_max_db": float(off[~near].max()),
        "border_mean_db": float(off[near].mean()),
        "elsewhere_mean_db": float(off[~near].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU-minutes of fitting for each corpus; 0: none")
    parser.add_argument("--models", type=Path, help="folder of NAME.distill, for mels out of the codec")
    add_answer_options(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"corpora": {}}
    every: Sounds = []
    for folder in given.corpora:
        corpus = finished(scan(folder))
        sounds = [torch.from_numpy(read_audio(folder / file.name)[0]) for file in corpus.manifest.val]
        every += sounds
        mels = [log_mel(sound, SPECTROGRAM) for sound in sounds]
        synthesisers = untrained()
        answer: dict[str, Any] = {"files": len(sounds)}
        if given.minutes:
            synthesisers["neural, fitted"], answer["fitting_cpu_seconds"] = fitted(corpus, given.minutes)
        answer["from_the_original"] = {name: judged(each, sounds, mels) for name, each in synthesisers.items()}
        if given.models:
            again = reconstructed(given.models / f"{folder.name}.distill", mels)
            answer["from_the_codec"] = {name: judged(each, sounds, again) for name, each in synthesisers.items()}
        results["corpora"][folder.name] = answer
        if not given.json:
            print(folder.name, json.dumps(answer, indent=1), flush=True)
    long = torch.cat(every)[: round(SPEED_SECONDS * SAMPLE_RATE)]
    results["times_real_time"] = speed(untrained(), long)
    longest = max(every, key=len)
    least = 3 * SEAM_BLOCK_FRAMES * SPECTROGRAM.hop_length  # a sound shorter than two blocks has no border
    longest = longest.repeat(-(-least // len(longest)))
    results["seams"] = {name: seam(each, longest) for name, each in untrained().items()}
    if given.json:
        print(json.dumps(results))
    else:
        print(json.dumps({"times_real_time": results["times_real_time"], "seams": results["seams"]}, indent=1))
    if given.save:
        save_result(given.save, results)


if __name__ == "__main__":
    main()
