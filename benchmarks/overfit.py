#!/usr/bin/env python3
"""Priors that are driven to memorize, beside priors of the defaults: does the copy test tell them apart, and when?

    python benchmarks/overfit.py MODEL ... [--seeds 0,1,2] [--variants default,overfit] [--whole] [--json] [--save NAME]

Models with a prior, whose recordings are where they were; each gives the size that its race chose. `overfit`: ten times
the epochs, no dropout, no masking, no other views of the recordings. Both start anew from each seed, and are judged on the
way, at shares of the default epochs. Each judgement says: bits per code on held-out files and their gap to known ones, with
its interval; the share of 16 sounds that the watch calls copied; whether the rule by perplexity alone speaks; whether the
program warns; and the copy test on 32 sounds: copy rate, p-value, verdict. A training ends when the copy test has called two
judgements running copies, unless `--whole`. Of a default training the best epoch comes last, since that is the one that
the program keeps. `watch`: processor time of the watch's listening, which a training has eight times, over that of a
default training.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads, training_threads
from distill.corpus.scan import reopen
from distill.modelfile.opened import loaded_model, open_model
from distill.novelty.power import power_of
from distill.novelty.verdict import judge
from distill.novelty.watching import CopyWatch
from distill.settings.prior import PriorSettings
from distill.studio.attributing import vectors_of
from distill.studio.judging import QUICK, _as_material, _generated
from distill.training.prior.codes import CodeSequences, extract_code_sequences
from distill.training.prior.memorization import check_memorization, judge_memorization
from distill.training.prior.task import LISTENED, PriorTask
from distill.training.prior.validation import LN2, compute_perplexity
from distill.training.run import Run
from running import add_answer_options, finished, give_answer

SHARES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
DRIVEN = {"dropout": 0.0, "token_masking": 0.0, "views": 1}
TIMES = 10
COPIES = "copies"


class Subject:
    """A model, and what its prior learns from."""

    def __init__(self, path: Path) -> None:
        self.opened = open_model(path)
        self.loaded = loaded_model(self.opened)
        self.card = card = self.opened.card
        settings = card.prior_training_config
        assert settings is not None
        self.settings: PriorSettings = settings
        self.fabric = launch_fabric("cpu", 0)
        image = self.opened.image()
        self.codec = self.loaded.codec
        corpus = finished(reopen(card.corpus_manifest, None, card.spectrogram_config))
        extracting = extract_code_sequences(self.codec, corpus, self.fabric.device, settings.views, 0, image)
        self.sequences: CodeSequences = finished(extracting)
        self.codebooks = vectors_of(self.loaded)
        self.watch = CopyWatch.of(self.codec, self.sequences.train_codes, self.sequences.val)
        self.material = finished(_as_material(self.codec, self.sequences, card.corpus_manifest, None))
        self.yardstick = self.material.yardstick(card.spectrogram_config)
        self.power = power_of(self.codec, self.yardstick, self.material.train)

    def trained(self, variant: str, seed: int, whole: bool) -> dict[str, Any]:
        """Train a prior anew, and judge it on the way."""
        settings = self.settings.model_copy(update={"seed": seed, "patience": 0})
        sequences, shares = self.sequences, [share for share in SHARES if share <= 1.0]
        if variant == "overfit":
            settings = settings.model_copy(update={**DRIVEN, "epochs": TIMES * settings.epochs})
            sequences = replace(sequences, train=tuple(views[:1] for views in sequences.train))
            shares = list(SHARES)
        self.fabric.seed_everything(seed, verbose=False)
        task = PriorTask(sequences, self.codebooks, settings, lambda _best: [])
        run, found, at = Run(task, self.fabric), [], [max(1, round(share * self.settings.epochs)) for share in shares]
        training = listening = 0.0
        best: tuple[float, int, dict[str, torch.Tensor]] | None = None
        with threads(training_threads()):
            while run.epoch < max(at):
                begun = time.process_time()
                for _ in run.train_epoch(None):
                    pass
                score = task.validate(self.fabric.device).score
                training += time.process_time() - begun
                if variant == "default" and (best is None or score < best[0]):
                    best = score, run.epoch, {name: each.clone() for name, each in task.prior.state_dict().items()}
                if run.epoch not in at:
                    continue
                begun = time.process_time()
                copied = None if self.watch is None else self.watch.copied(task.prior.eval())
                listening += time.process_time() - begun
                found.append({"share": shares[at.index(run.epoch)], **self.judged(task, copied)})
                if not whole and [each["verdict"] for each in found[-2:]] == [COPIES, COPIES]:
                    break
            if best is not None:
                task.prior.load_state_dict(best[2])
                copied = None if self.watch is None else self.watch.copied(task.prior.eval())
                found.append({"share": best[1] / self.settings.epochs, "kept": True, **self.judged(task, copied)})
        watch = LISTENED * listening / len(at) / training if variant == "default" else None
        return {"epochs": self.settings.epochs, "judgements": found, "watch": watch}

    def judged(self, task: PriorTask, copied: float | None) -> dict[str, Any]:
        """What the program would say of a prior as it is now."""
        validation = task.validate(self.fabric.device)
        gap, perplexity = tuple(validation.details["gap_interval"]), compute_perplexity(validation.score)
        size, files = self.settings.codebook_size, task.file_count
        sounds = finished(_generated(replace(self.loaded, prior=task.prior.eval()), QUICK))
        report = judge("", self.yardstick, list(self.yardstick.measure(sounds)), self.power, None)
        return {
            "bits": validation.score / LN2,
            "gap": list(gap),
            "watch_copied": copied,
            "rule_by_perplexity": check_memorization(perplexity, size, files)[0],
            "warned": judge_memorization(gap, copied, perplexity, size, files)[0],
            "copy_rate": report.copy_rate,
            "p_value": report.p_value,
            "verdict": report.verdict,
        }


def told_apart(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Of a model: in how many seeds the two kinds of prior end with different copy tests, and when they turn."""
    if set(runs) != {"default", "overfit"}:
        return {}
    pairs = list(zip(runs["default"], runs["overfit"], strict=True))
    rates = [[run["judgements"][-1]["copy_rate"] for run in pair] for pair in pairs]
    verdicts = [[run["judgements"][-1]["verdict"] for run in pair] for pair in pairs]
    turned = [next((j for j in run["judgements"] if j["verdict"] == COPIES), None) for run in runs["overfit"]]
    return {
        "copy_rates": rates,
        "verdicts": verdicts,
        "told_apart": sum(one != COPIES and other == COPIES for one, other in verdicts),
        "by_rate": sum(other > one for one, other in rates),
        "of": len(pairs),
        "turns_at": [None if each is None else each["share"] for each in turned],
        "rule_then": [None if each is None else each["rule_by_perplexity"] for each in turned],
        "warned_then": [None if each is None else each["warned"] for each in turned],
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--variants", default="default,overfit")
    parser.add_argument("--whole", action="store_true")
    add_answer_options(parser)
    given = parser.parse_args()
    answer: dict[str, Any] = {}
    for path in given.models:
        subject = Subject(path)
        runs: dict[str, list[dict[str, Any]]] = {}
        for seed in map(int, given.seeds.split(",")):
            for variant in given.variants.split(","):
                run = subject.trained(variant, seed, given.whole)
                runs.setdefault(variant, []).append(run)
                if given.json:
                    continue
                print(f"{path.stem}, {variant}, seed {seed}: default epochs {run['epochs']}, watch {run['watch']}")
                for each in run["judgements"]:
                    print(f"  {each['share']:5.2f}: {each['bits']:.2f} bits, gap {each['gap'][0]:.2f} to {each['gap'][1]:.2f}, "
                          f"watch {each['watch_copied']}, rule {each['rule_by_perplexity']}, warned {each['warned']}, "
                          f"copies {each['copy_rate']:.2f}, p {each['p_value']:.2g}, {each['verdict']}", flush=True)  # fmt: skip
        answer[path.stem] = {"runs": runs, **told_apart(runs)}
        if not given.json:
            print(f"{path.stem}: told apart {answer[path.stem].get('told_apart')} of {answer[path.stem].get('of')}, "
                  f"turns at {answer[path.stem].get('turns_at')}")  # fmt: skip
    give_answer(given, answer)


if __name__ == "__main__":
    main()
