#!/usr/bin/env python3
"""Small faults, put into the program one at a time: the tests named beside each must fail.

    python tools/mutants.py                 # all of them, in a copy of the tree
    python tools/mutants.py --some 12       # a dozen, another one for every commit
    python tools/mutants.py --only seed     # those with "seed" in their name
    python tools/mutants.py --list

A mutation that survives means that a promise is not tested. One whose text is not found any more, or that keeps the
program from being imported, is an error of this list. Before the mutations the named tests run on the tree as it is.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "tests", "docs", "tools", "benchmarks")
LONGEST_SECONDS = 240.0
"""A mutation that makes the tests go on for ever is noticed too."""
FAILED = 1
"""pytest's exit status where tests failed; others mean that they could not run."""


class Mutant(NamedTuple):
    """One fault."""

    name: str
    file: str
    """Under `src/distill`."""
    old: str
    """Stands there exactly once."""
    new: str
    tests: str
    """What notices: pytest's arguments, under `tests`."""


CODEC = "training/codec/task.py"
PRIOR = "training/prior/task.py"
RACE = "training/prior/race.py"
VERBS = "instrument/test_verbs.py"
WIRING = "training/test_wiring.py"
STREAMING = "instrument/test_streaming.py"
MUTANTS = (
    Mutant("codec validated on training files", CODEC, "self.corpus.manifest.val, device", "self.corpus.manifest.train, device", WIRING),
    Mutant("codec trained on held-out files", "training/codec/crops.py", "self.files = corpus.manifest.train", "self.files = corpus.manifest.files", WIRING),
    Mutant("typical level of nothing", CODEC, "self.codec.typical_level_db.fill_(statistics.median(self.source.levels))", "pass", WIRING),
    Mutant("commitment without weight", CODEC, "return loss + self.commitment_weight * output.commitment_loss", "return loss + output.commitment_loss", WIRING),
    Mutant("codebooks not started", CODEC, "self.codec.start_codebooks(torch.cat(latents), found / crops * self.settings.batch_size, self.settings.seed)", "pass", WIRING),
    Mutant("quantising never begins", CODEC, "self.objective.quantising = True", "self.objective.quantising = False", WIRING),
    Mutant("codec without averaging", CODEC, "average_decay = 0.99", "average_decay = 0.0", WIRING),
    Mutant("codec's crops ignore the seed", CODEC, "rng = np.random.default_rng((self.settings.seed, epoch))", "rng = np.random.default_rng((0, epoch))", WIRING),
    Mutant("every epoch the same crops", CODEC, "rng = np.random.default_rng((self.settings.seed, epoch))", "rng = np.random.default_rng((self.settings.seed, 0))", "training/test_codec.py"),
    Mutant("padding counts in the loss", CODEC, "per_crop = weighed_difference(mel, made, valid)", "per_crop = weighed_difference(mel, made, valid | True)", "training/test_codec.py -k padding"),
    Mutant("best epoch by another order", "training/run.py", "validation.score < self.best.validation.score", "validation.score > self.best.validation.score", "training/test_fit.py"),
    Mutant("epochs that are not eligible are kept", "training/run.py", "if validation.eligible and", "if", "training/test_fit.py"),
    Mutant("gradients not clipped", "training/run.py", "nn.utils.clip_grad_norm_(self.task.objective.parameters(), GRADIENT_NORM)", "pass", WIRING),
    Mutant("average not taken for validation", "training/run.py", "        self.average.swap()\n        self.task.objective.eval()", "        self.task.objective.eval()", "training/test_fit.py"),
    Mutant("validation in training mode", "training/run.py", "        self.task.objective.eval()\n", "        self.task.objective.train()\n", WIRING),
    Mutant("learning rate stays", "training/run.py", 'group["lr"] = learning_rate_at(self.step, self.total_steps, highest)', "pass", "training/test_fit.py"),
    Mutant("average without its start", "training/averaging.py", "min(self.decay, self.steps / (self.steps + 9.0))", "self.decay", "training/test_fit.py"),
    Mutant("a stop is not heard", "training/run.py", "self.stopped = any_process(stop is not None and stop.is_set(), self.fabric.device)", "self.stopped = False", "training/test_fit.py"),
    Mutant("resume forgets the best epoch", "training/run.py", 'self.best = None if best is None else', "self.best = None if True else", WIRING),
    Mutant("resume forgets the randomness", "training/run.py", 'torch.set_rng_state(state["randomness"])', "pass", "training/test_prior.py -k resumed"),
    Mutant("Fabric without a seed", "compute/fabric.py", "fabric.seed_everything(seed, verbose=False)", "fabric.seed_everything(0, verbose=False)", WIRING),
    Mutant("batches rounded to bfloat16", "compute/fabric.py", "        return data", "        return super().convert_input(data)", "training/test_fit.py -k batch"),
    Mutant("size of the prior for nothing", RACE, "each.bits() + WORTH_BITS * number", "each.bits()", "training/test_race.py -k worth"),
    Mutant("the worst size stays", RACE, "key=lambda each: scores[each])[stay:]", "key=lambda each: -scores[each])[stay:]", "training/test_race.py -k leaves"),
    Mutant("sizes share their randomness", RACE, "torch.set_rng_state(self.randomness)", "pass", "training/test_race.py -k alone"),
    Mutant("sizes race without a seed", RACE, "fabric.seed_everything(of_size.seed, verbose=False)", "pass", "training/test_race.py -k alone"),
    Mutant("the winner begins anew", "training/prior/train.py", "return replace(winning, resumed=UnfinishedRun(**winning.checkpoints().about, state=raced.state)), raced", "return winning, raced", "training/test_race.py -k count_through"),
    Mutant("a race that is not put down", "training/prior/train.py", "yield from checkpoints.save({IN_RACE: True})", "pass", "training/test_race.py -k stopped"),
    Mutant("always the same share of a long corpus", PRIOR, "order = rng.permutation(len(windows))[: self.windows_per_epoch]", "order = np.arange(len(windows))[: self.windows_per_epoch]", "training/test_long_corpus.py"),
    Mutant("all of a long corpus", PRIOR, "rng.permutation(len(windows))[: self.windows_per_epoch]", "rng.permutation(len(windows))", "training/test_long_corpus.py"),
    Mutant("new sounds are never held out", "corpus/split.py", "round(VAL_SHARE * (old + len(ranked))) - old_held_out", "0 - old_held_out", "corpus/test_joining.py studio/test_retraining.py -k second_folder"),
    Mutant("new copies on a side of their own", "corpus/joining.py", "place = min(sides[number])", 'place = next_group, "train"', "studio/test_retraining.py -k near_copies"),
    Mutant("training again writes on the way", "training/prior/train.py", "if at_the_end or best.validation.score >= lowest:", "if best.validation.score >= lowest:", "studio/test_retraining.py -k all_or_nothing"),
    Mutant("training again forgets who is gone", "studio/retraining.py", "if each.name in opened.codes and each in before.corpus_manifest.files", "if False", "studio/test_retraining.py -k gone"),
    Mutant("a codec that goes on begins anew", "training/codec/task.py", "self.codec.load_state_dict(dict(start))", "pass", "studio/test_retraining.py -k goes_on"),
    Mutant("prior validated on training codes", PRIOR, "found = validate_prior_epoch(self.prior, self.judged, device)", "found = validate_prior_epoch(self.prior, self.known, device)", WIRING),
    Mutant("known loss of held-out codes", PRIOR, "judged_by(sequences.train_codes[:COMPARED_FILES], settings.bands)", "judged_by(sequences.val[:COMPARED_FILES], settings.bands)", WIRING),
    Mutant("no token masking", PRIOR, "yield made._replace(hidden=torch.from_numpy(masked))", "yield made", WIRING),
    Mutant("one view only", PRIOR, "view = views[int(rng.integers(len(views)))]", "view = views[0]", WIRING),
    Mutant("prior's windows ignore the seed", PRIOR, "rng = np.random.default_rng((self.settings.seed, epoch))", "rng = np.random.default_rng((0, epoch))", WIRING),
    Mutant("every window begins a sound", PRIOR, "BOS if view.from_start else MID", "BOS", "training/test_prior.py"),
    Mutant("windows never reach the end", PRIOR, "yield Window(view.codes, first, min(self.window, columns - first), MID)", "yield Window(view.codes, first, min(self.window, columns - first) - 1, MID)", "training/test_prior.py"),
    Mutant("an end after every window", "training/prior/windows.py", "if last == len(window.codes) and in_time", "if in_time", "training/test_prior.py"),
    Mutant("no end behind a hole that nothing follows", "training/prior/windows.py", "window.hole is None or window.hole[1] == window.columns", "window.hole is None", "training/test_asking.py"),
    Mutant("ends behind full windows alone", PRIOR, "first = columns - int(rng.integers(max(1, kept_columns(self.window)), self.window + 1))", "first = columns - self.window", "training/test_prior.py"),
    Mutant("views out of time", "training/prior/codes.py", "ratio, period = in_time[int(rng.integers(len(in_time)))]", "period = in_time[0][1]", "training/test_in_time.py"),
    Mutant("the place a period ago is not known yet", "models/reading.py", "known & again & (number < here)", "again & (number < here)", "models/test_canvas.py"),
    Mutant("one period for all seeds", "instrument/wishes.py", "(generator.initial_seed() >> 40) % len(self.periods)", "0", "instrument/test_unending.py"),
    Mutant("views are copies", "training/prior/codes.py", "_other_views(corpus, file, views - 1, rng)", "_other_views(corpus, file, 0, rng)", WIRING),
    Mutant("views ignore the seed", "training/prior/codes.py", "rng = np.random.default_rng((seed, done))", "rng = np.random.default_rng((0, done))", WIRING),
    Mutant("training codes of another view", "training/prior/codes.py", "return tuple(views[0].codes for views in self.train)", "return tuple(views[-1].codes for views in self.train)", WIRING),
    Mutant("hidden codes are seen", "models/prior.py", "seen = codes if hidden is None else codes.masked_fill(hidden, self.hidden)", "seen = codes", WIRING),
    Mutant("no dropout of the embedding", "models/prior.py", "        return F.dropout(x, self.config.dropout, self.training)", "        return x", WIRING),
    Mutant("no dropout in blocks", "models/prior.py", "return x + self._drop(fed)", "return x + fed", WIRING),
    Mutant("attention sees the future", "models/prior.py", "F.scaled_dot_product_attention(q, k, v, is_causal=True)", "F.scaled_dot_product_attention(q, k, v, is_causal=False)", "models/test_prior.py models/test_sampling.py"),
    Mutant("an end inside a column", "models/prior.py", "may_not_end = inside if level == 0 else torch.ones_like(inside)", "may_not_end = torch.zeros_like(inside)", "models/test_prior.py models/test_sampling.py"),
    Mutant("cache of another length", "models/stepping.py", "cache.keys[:, : at + 1].transpose(1, 2)", "cache.keys[:, : at + 1].transpose(1, 2) * 0.9", "models/test_prior.py models/test_sampling.py"),
    Mutant("a slide keeps the oldest columns", "models/canvas.py", "first = 0 if column < window else column - kept", "first = 0 if column < window else column - 1", "instrument/test_wiring.py"),
    Mutant("a slide begins the sound again", "models/filling.py", "[BOS if canvas.begins and first == 0 else MID for", "[BOS if canvas.begins else MID for", "instrument/test_wiring.py"),
    Mutant("a seed for all", "models/sampling.py", "mixed = ((seed + 1) * 0x9E3779B97F4A7C15)", "mixed = ((0 + 1) * 0x9E3779B97F4A7C15)", "instrument/test_wiring.py"),
    Mutant("top-k ignored", "models/sampling.py", "if 0 < settings.top_k < logits.shape[-1]:", "if False:", "models/test_sampling.py"),
    Mutant("rounding decides a draw", "models/filling.py", "if left_open is not None and bool(left_open.any()):", "if False:", "models/test_sampling.py"),
    Mutant("rounding decides top-k", "models/sampling.py", "left_open = best.values[:, -2] - best.values[:, -1] <= 2.0 * shift", "left_open = None", "models/test_sampling.py"),
    Mutant("exact logits of level 0", "models/stepping.py", "levels.send(codes[:, state.place, below])", "levels.send(codes[:, state.place, 0])", "models/test_sampling.py"),
    Mutant("a shorter sound draws on beside a longer one", "instrument/sampling.py", "for count in missing", "for count in [max(missing)] * len(missing)", "instrument/test_sampling.py"),
    Mutant("one thread is what others begin with", "compute/threads.py", "if count != _of_process:", "if False:", "compute/test_threads.py"),
    Mutant("threads while something is in use", "compute/threads.py", "return _of_process if _in_use else _here().number()", "return torch.get_num_threads()", "compute/test_threads.py"),
    Mutant("the first use to end ends all", "compute/threads.py", "_set(here.uses[-1].count if here.uses else here.before)", "_set(here.before)", "compute/test_threads.py"),
    Mutant("tags with another sound's seed", "settings/generation.py", 'return self.model_copy(update={"seed": seed, "count": 1, **one_way})', 'return self.model_copy(update={"count": 1, **one_way})', "settings/test_generation.py"),
    Mutant("tags with the user's home folder", "settings/generation.py", 'return "~" / file.relative_to(Path.home())', "return file", "settings/test_generation.py"),
    Mutant("tags of the first sound on all", "instrument/tags.py", "        seed=seed,\n", "        seed=request.seed,\n", "cli/test_tags.py"),
    Mutant("tags with a time in them", "audio/tagging.py", "            stream.write(bytes(4))\n", "", "audio/test_tagging.py"),
    Mutant("tags in a stream of another number each time", "audio/tagging.py", "        page.serial = OGG_SERIAL\n", "", "audio/test_tagging.py"),
    Mutant("tags that are unpacked", "audio/tag_blocks.py", "                    raise ID3JunkFrameError\n", "                    pass\n", "audio/test_tagging.py"),
    Mutant("tags of any size", "audio/headers.py", "and size <= most_bytes", "", "audio/test_tagging.py"),
    Mutant("tags of a loop one sample too long", "audio/riff.py", "max(frames - 1, 0)", "frames", "audio/test_tagging.py"),
    Mutant("tags of any depth", "audio/tags.py", "if depth > DEEPEST:", "if False:", "audio/test_tagging.py"),
    Mutant("tags of any model of that name", "studio/repeating.py", "    if named is not None and named.digest == tags.model_sha256:", "    if named is not None:", "cli/test_tags.py"),
    Mutant("tags of any recording of that name", "studio/repeating.py", "if source_file(each).sha256 == source.sha256)", "if each)", "cli/test_tags.py"),
    Mutant("tags whose hash knows no prior", "modelfile/digest.py", "        if isinstance(network, nn.Module):", '        if isinstance(network, nn.Module) and field.name != "prior":', "cli/test_tags.py"),
    Mutant("tags whose hash knows verdicts", "modelfile/digest.py", "include=set(OF_THE_CARD)", "exclude=set()", "cli/test_tags.py"),
    Mutant("splices are never found", "novelty/stretches.py", "changed = float(self.cost.min()) + CHANGE", "changed = FAR", "novelty/test_stretches.py"),
    Mutant("soft parts under the floor of loud ones", "novelty/stretches.py", "loudest[:, None] - NEAR_RANGE_DB", "mel.max() - NEAR_RANGE_DB", "novelty/test_stretches.py"),
    Mutant("a soft part in the range of its loud neighbour", "novelty/nearest.py", "loudest[:, None] - NEAR_RANGE_DB", "mel.max() - NEAR_RANGE_DB", "novelty/test_nearest.py"),
    Mutant("each passage begins at nothing", "novelty/where.py", "        self._begins += len(samples)\n", "", "cli/test_provenance.py"),
    Mutant("tags of seconds without end", "audio/nearest_tags.py", "len(json.dumps(made.model_dump())) <= MOST_CHARACTERS", "True", "audio/test_nearest_tags.py"),
    Mutant("a name in tags is markup", "instrument/strip.py", "<span>{escape(source.nearest)}</span>", "<span>{source.nearest}</span>", "instrument/test_strip.py"),
    Mutant("a record of 0.1 loses its model", "library/history.py", 'return {**record, "model": model, "settings": made}', "return record", "library/test_history.py"),
    Mutant("padded latents decoded", "models/codec.py", "return self.decode(latents * valid[..., None])", "return self.decode(latents)", WIRING),
    Mutant("louder than the level", "models/encoding.py", ".clamp_max(0.0)", "", "models/test_codec.py"),
    Mutant("pieces without context", "models/encoding.py", "OVERLAP_COLUMNS = 8", "OVERLAP_COLUMNS = 0", "models/test_codec.py"),
    Mutant("bytes not synced", "files.py", "            os.fsync(disk.fileno())\n", "", WIRING),
    Mutant("unfinished run unpickled", "training/unfinished.py", "weights_only=True", "weights_only=False", WIRING),
    Mutant("model unpickled", "modelfile/file.py", "weights_only=True, mmap", "weights_only=False, mmap", "modelfile/test_file.py"),
    Mutant("resume with other sounds", "training/stage.py", '"corpus": self.corpus.digest,', '"corpus": "",', WIRING),
    Mutant("resume with another codec", "training/stage.py", '"codec": None if self.model.opened is None else self.model.codec_digest,', '"codec": "",', "training/test_prior.py -k resume"),
    Mutant("history without its lock", "library/history.py", "    with _changing:\n        generation = find_generation(identity)\n        grown", "    if True:\n        generation = find_generation(identity)\n        grown", "instrument/test_wiring.py"),
    Mutant("synthesiser judged on training files", "training/synthesiser/task.py", "for file in corpus.manifest.val:", "for file in corpus.manifest.train:", WIRING),
    Mutant("synthesiser trained on all files", "training/synthesiser/waveforms.py", "for file in corpus.manifest.train:", "for file in corpus.manifest.files:", WIRING),
    Mutant("synthesiser's crops ignore the seed", "training/synthesiser/task.py", "rng = np.random.default_rng((self.settings.seed, epoch))", "rng = np.random.default_rng((0, epoch))", WIRING),
    Mutant("a worse synthesiser is kept", "training/synthesiser/task.py", "return best.validation.score < self.shipped_score", "return True", "training/test_synthesiser.py"),
    Mutant("near-copies on both sides", "corpus/split.py", "    for one, other in zip(*np.nonzero", "    for one, other in () and zip(*np.nonzero", "corpus/test_fingerprint.py corpus/test_scan.py"),
    Mutant("the gap beside a held-out stretch is learned from", "corpus/split.py", "        if start < last + gap and stop > first - gap:\n            return None\n", "", "corpus/test_pieces.py"),
    Mutant("inverted channels averaged", "audio/mixing.py", "if not (counts & (self._lost > LOST_SHARE * self._power)).any():", "if True:", "audio/test_mixing.py"),
    Mutant("a model is written over another", "training/stage.py", "        if codec_digest(found.contents) != self.codec_digest:\n            return False\n", "", "training/test_model_in_training.py"),
    Mutant("resume calls every setting default", "studio/opening.py", "dict(run.origin)", "{}", "training/test_unfinished.py"),
    Mutant("a file replaced while it is read is damaged", "modelfile/file.py", "            if stamp(path) == before:\n                raise\n", "            raise\n", "modelfile/test_file.py"),
    Mutant("a file replaced while it is read is believed", "modelfile/file.py", "            if stamp(path) == before:\n                return contents", "            return contents", "modelfile/test_file.py"),
    Mutant("a model file without checksums", "modelfile/opened.py", "checksums=True", "checksums=False", "modelfile/test_damage.py modelfile/test_file.py"),
    Mutant("a sound of the page's own seed", "studio/model.py", "count=count, seconds=seconds, seed=seed, **settings", "count=count, seconds=seconds, seed=0, **settings", "studio/test_model.py"),
    Mutant("a pitch an octave low", "audio/pitch.py", "return Pitch(rate / period,", "return Pitch(rate / period / 2,", "audio/test_pitch.py"),
    Mutant("an epoch is the whole of a long corpus", "settings/auto.py", "return min(crops, CODEC_CROPS[preset] // LEAST_EPOCHS)", "return crops", "settings/test_settings.py"),
    Mutant("commitment of one level only", "models/quantizer.py", "loss = loss + F.mse_loss(vectors, residual)", "loss = F.mse_loss(vectors, residual)", "models/test_quantizer.py"),
    Mutant("dead codes stay dead", "models/quantizer.py", "        if len(dead):\n", "        if False:\n", "models/test_quantizer.py"),
    Mutant("ends of whole columns", "instrument/rendering.py", "wanted = min(wanted, length)", "pass", "instrument/test_rendering.py"),
    Mutant("every sound ends in its last column", "instrument/rendering.py", "length is None and sampled.ended and", "length is None and", "instrument/test_rendering.py"),
    Mutant("nobody asks whether it ends at the limit", "instrument/sampling.py", "\"may\" if filling else \"asked\"", "\"may\"", "instrument/test_sampling.py"),
    Mutant("ends of another frame", "training/prior/codes.py", "from_start, len(other), period=period)", "from_start, len(mel), period=period)", "training/test_beside.py"),
    Mutant("all sounds equally loud", "instrument/rendering.py", "return loaded.loudness.applied(samples, loaded.loudness.wanted(loaded.codec, codes, point))", "return samples", "instrument/test_rendering.py"),
    Mutant("loudness of the levelled sounds in the cache", "training/prior/beside.py", "dtype=np.float32)) * peak", "dtype=np.float32))", "training/test_beside.py"),
    Mutant("a reconstruction as loud as it comes", "audio/returning.py", "as_loud(samples, rms_db(original))", "samples", "studio/test_reconstructing.py"),
    Mutant("a limiter without a limit", "audio/loudness.py", "gain_db = min(gain_db, room_db + most_db)", "pass", "audio/test_loudness.py"),
    Mutant("nothing is too high for a corpus of 8 kHz", "corpus/manifest.py", "max(file.native_rate for file in self.train)", "max(file.native_rate for file in self.files)", "instrument/test_rendering.py"),
    Mutant("silence has fidelity", "audio/distance.py", "(mel.double().clamp_min(floor_db) - floor_db)) - 1.0", "(mel.double().clamp_min(floor_db) - floor_db))", "audio/test_distance.py"),
    Mutant("grain of another band", "models/grain.py", ".permute(2, 0, 1, 3).reshape(-1, PATCH)", ".permute(0, 2, 1, 3).reshape(-1, PATCH)", "models/test_grain.py"),
    Mutant("a reconstruction without its grain", "models/grain.py", "made = with_grain(decoded, grain)", "made = decoded", "studio/test_reconstructing.py"),
    Mutant("grain in silence", "models/grain.py", "return torch.where(decoded > DEEPEST_DB, grained, decoded)", "return grained", "models/test_grain.py"),
    Mutant("attacks taken for grain", "models/grain.py", "within = around.cumsum(-1) < QUANTILE * total", "within = around.cumsum(-1) < 0.999 * total", "models/test_grain.py"),
    Mutant("white grain whatever was measured", "models/grain.py", "PATCH) * self.shape", "PATCH)", "models/test_grain.py"),
    Mutant("grain compared with other files", "training/prior/beside.py", "stored = corpus.mel(file)\n", "stored = corpus.mel(corpus.manifest.train[0])\n", "training/test_grain.py"),
    Mutant("texture 0 is texture 1", "instrument/decoding.py", "generator, settings.texture)", "generator)", "cli/test_cli.py"),
    Mutant("left is right", "models/image.py", "return torch.stack([middle + side, middle - side])", "return torch.stack([middle - side, middle + side])", "models/test_image.py"),
    Mutant("nothing is unlike the middle", "models/image.py", "torch.addcmul((share - taken) * spectrum, gain, unlike)", "share * spectrum", "models/test_image.py"),
    Mutant("a recording has the image of another band", "models/image.py", "_row_of_bin(cells.shares.shape[1])", "_row_of_bin(ROWS)", "models/test_image.py"),
    Mutant("what frames leave of the side is not mended", "models/image.py", "side = _samples(torch.addcmul((share - taken) * spectrum, gain, unlike), length)", "pass", "models/test_image.py"),
    Mutant("the mix of a wide sound changes", "models/widths.py", "torch.stack([middle + gain * side, middle - gain * side])", "gain * channels", "models/test_widths.py"),
    Mutant("a wide sound loses what it likes in the mix", "models/widths.py", "gain = min(gain, max(1.0", "gain = max(gain, max(1.0", "models/test_widths.py"),
    Mutant("widths of another prior count", "modelfile/card.py", "found if found.training_date == self.prior_metadata.training_date else None", "found", "models/test_widths.py models/test_release.py"),
    Mutant("sounds end as loud as they are drawn", "instrument/rendering.py", "made = released(made[None], loaded.release)[0]", "pass", "models/test_release.py"),
    Mutant("ends as often as the prior says", "models/filling.py", "wanted[:, prior.eos] + prior.end_logit", "wanted[:, prior.eos]", "instrument/test_unending.py"),
    Mutant("the odds of ends stay in the file", "modelfile/opened.py", "0.0 if ends is None else ends.end_logit", "0.0", "models/test_release.py"),
    Mutant("a player ends as often as the prior says", "export/player.py", 'prior["end_logit"] if may_end', "0.0 if may_end", "export/test_export.py"),
    Mutant("a long recording counts with all its columns", "models/lengths.py", "sum(min(columns, most) for columns in recorded)", "sum(recorded)", "models/test_lengths.py"),
    Mutant("what is cut is let go", "instrument/rendering.py", "if is_whole and wishes", "if wishes", "models/test_release.py"),
    Mutant("images are drawn anew in every column", "models/filling.py", "if is_shared and level == levels - 1:", "if False:", "models/test_canvas.py"),
    Mutant("images are counted from where a canvas begins", "models/filling.py", "(group.first + column) %", "column %", "models/test_canvas.py instrument/test_unending.py"),
    Mutant("images are learned where they repeat themselves", "training/prior/windows.py", "targets[row, : len(found)][repeated, -1] = IGNORED", "pass", "training/test_prior.py"),
    Mutant("new sounds are as wide as they are drawn", "instrument/rendering.py", "set_apart(as_heard(middle, image), loaded.apart)", "as_heard(middle, image)", "models/test_widths.py"),
    Mutant("a model of two channels makes one", "models/image.py", "return middle[None] if image is None else widened(middle, image)", "return middle[None]", "models/test_image.py"),
    Mutant("traits: bands without their widths", "audio/traits.py", "power = (edges[2:] - edges[:-2]) / 2.0 * bin_hz**2", "power = 100.0 * np.ones(config.n_mels) * bin_hz**2", "audio/test_traits.py"),
    Mutant("traits: high notes an octave lower", "audio/traits.py", "HIGHEST_HZ = 4_500.0", "HIGHEST_HZ = 2_200.0", "audio/test_traits.py"),
    Mutant("traits: the first onset is missed", "audio/traits.py", "constant_values=float(floored.min()))[: len(floored)]", "mode=\"edge\")[: len(floored)]", "audio/test_traits.py"),
    Mutant("traits: vibrato is many onsets", "audio/traits.py", "before = ndimage.maximum_filter1d(before, 3, axis=1)", "pass", "audio/test_traits.py"),
    Mutant("traits: columns count onsets apart", "audio/traits.py", "begun[places[places < len(begun)]] = 1.0", "begun[places[places < len(begun)] // 2] = 1.0", "audio/test_traits.py"),
    Mutant("traits: blocks of pitch without what is around", "audio/traits.py", "margin = PITCH_MARGIN_FRAMES * hop", "margin = 0", "audio/test_traits.py"),
    Mutant("shares of the range, not of the corpus", "audio/wished.py", "ordered = known.sort().values", "ordered = torch.linspace(float(known.min()), float(known.max()), len(known), dtype=torch.float64)", "audio/test_wished.py"),
    Mutant("kinds: folders of a few files", "corpus/kinds.py", "counts[path[:length]] >= LEAST_FILES", "counts[path[:length]] >= 2", "corpus/test_kinds.py"),
    Mutant("kinds by loudness", "corpus/kinds.py", "np.maximum(levels - mean_db, -RANGE_DB)", "np.maximum(levels, -RANGE_DB)", "corpus/test_kinds.py"),
    Mutant("kinds by running numbers", "corpus/kinds.py", "return max(useful, key=lambda each: _told(each, mean_mels))", "return useful[-1]", "corpus/test_kinds.py"),
    Mutant("a channel that is too high turns the whole sound down", "instrument/rendering.py", "heard = below_nyquist(_limited(heard), rate)", "pass", "instrument/test_rendering.py"),
    Mutant("a limiter adds what the corpus cannot hold", "instrument/rendering.py", "heard = below_nyquist(_limited(heard), rate)", "heard = _limited(heard)", "instrument/test_rendering.py"),
    Mutant("the image of a preview is lost", "training/codec/preview.py", "self.file.native_rate, stereo=True", "self.file.native_rate, stereo=False", "models/test_image.py"),
    Mutant("evaluate judges the mix's image", "evaluation/scores.py", "with_own_image(wave, planes, native_rate, stereo=True)", "wave.expand(2, -1)", "models/test_image.py"),
    Mutant("a mono reader pays for the side", "audio/reading.py", "range(1 + (two and with_side))", "range(1 + two)", "audio/test_stereo.py"),
    Mutant("right is drawn above left", "audio/pictures.py", "in reversed(channels)", "in channels", "audio/test_pictures.py"),
    Mutant("a picked sound with other noise", "studio/picking.py", "one.drawn.generator.set_state(one.state)", "pass", "instrument/test_picking.py"),
    Mutant("copies are picked", "instrument/picking.py", 'dropped.setdefault(seed, SoundDropped(seed, "like a recording", nearest))', "pass", "instrument/test_picking.py"),
    Mutant("the first good sounds are picked", "audio/mel_statistics.py", "chosen.append(int(away.argmax()))", "chosen.append(len(chosen))", "instrument/test_picking.py"),
    Mutant("a name ends the map's script", "studio/map_page.py", 'for character in "<>&":', 'for character in "":', "studio/test_mapping.py"),
    Mutant("a map over another page", "studio/mapping.py", "if not ours:", "if False:", "studio/test_mapping.py"),
    Mutant("unlikely ways come first", "instrument/making.py", "key=lambda one: -(one[1].score or 0.0)", "key=lambda one: (one[1].score or 0.0)", VERBS),
    Mutant("what follows a gap does not count", "instrument/gaps.py", "torch.cat([drawn, after]).mean()", "drawn.mean()", VERBS),
    Mutant("a gap is not in phase", "instrument/gaps.py", "in_phase(wave, _anchors(gap, first, first + samples, len(wave)))", "wave", VERBS),
    Mutant("a gap is not stretched", "instrument/gaps.py", "stretched(grained(loaded, drawn, gap.level_db, generator, settings), frames)", "grained(loaded, drawn, gap.level_db, generator, settings)", VERBS),
    Mutant("a loop does not lead to its beginning", "instrument/canvases.py", "again = begun[: window * bands]", "again = begun[:0]", VERBS),
    Mutant("a morph that stays where it begins", "instrument/canvases.py", "torch.lerp(vectors, stood_for(prior, second), way)", "vectors", "instrument/test_morphing.py"),
    Mutant("every step of a morph has another seed", "instrument/making.py", "seeds = settings.seeds()[:1] * len(ways) if ways else", "seeds = settings.seeds() if ways else", "instrument/test_morphing.py"),
    Mutant("a curve begins again in every window", "instrument/unending.py", "wishes.of(asked, settings.strength, known - done, generator)", "wishes.of(asked, settings.strength, known, generator)", "instrument/test_curves.py"),
    Mutant("drawn loudness is not beside the mean", "instrument/wishes.py", "traits[:, LOUDNESS] = loudness - mean", "traits[:, LOUDNESS] = loudness", "instrument/test_curves.py"),
    Mutant("the name of a curve's file in the tags", "cli/curves.py", "found[name] = read_curve(path, flag_name(name), name in SHARES).text", "pass", "cli/test_curves.py"),
    Mutant("the loop drawn last is kept", "instrument/looping.py", "best[place] = min(best[place], (rank, loop), key=lambda each: each[0])", "best[place] = (rank, loop)", "instrument/test_tempo_from.py"),
    Mutant("grain has an edge at the seam", "instrument/looping.py", "once = grained(loaded, once.roll(turn, 1), level_db, generator, settings).roll(-turn, 1)", "once = grained(loaded, once, level_db, generator, settings)", "instrument/test_seams.py"),
    Mutant("a loop begins after its beat", "instrument/seams.py", "_changes(loop, -earlier)", "_changes(loop, earlier)", "instrument/test_seams.py"),
    Mutant("the image of a loop jumps", "audio/between.py", "share = (places - under).to(values.dtype)", "share = 0.0", "instrument/test_seams.py"),
    Mutant("a recording ends in a kink", "instrument/gaps.py", "if left > edge:", "if left > 999:", "instrument/test_seams.py"),
    Mutant("the end of a gap is fitted backwards", "instrument/gaps.py", "share.flip(0)", "share", "instrument/test_seams.py"),
    Mutant("tempi are rounded to frames", "audio/tempo.py", "finer = best.bpm * np.linspace(0.985, 1.015, 121)", "finer = np.array([best.bpm * 1.02])", "audio/test_tempo.py"),
    Mutant("bars that were asked for are read", "instrument/tempo.py", "generation_settings(**{**read, **given})", "generation_settings(**{**given, **read})", "instrument/test_tempo_from.py"),
    Mutant("the length of a loop is nothing", "instrument/tempo.py", "grid = find_grid(samples)", "grid = find_grid(samples[:-9000])", "instrument/test_tempo_from.py"),
    Mutant("a loop is not in phase", "instrument/looping.py", "wave = in_phase(wave, [(begin, again), (end, again)])", "pass", VERBS),
    Mutant("columns before a gap from elsewhere", "instrument/recordings.py", "return codes[(heard - count) * BANDS : heard * BANDS]", "return codes[: count * BANDS]", VERBS),
    Mutant("variations without what codes leave out", "instrument/varying.py", "mel = torch.where(anew, drawn, kept)", "mel = drawn", VERBS),
    Mutant("every window that is judged begins a sound", "models/likelihood.py", "BOS if begins and first == 0 else MID", "BOS", VERBS),
    Mutant("a hole is read before what is known", "models/reading.py", "rank = torch.arange(columns, device=known.device) + columns * (~known).long()", "rank = torch.arange(columns, device=known.device) + columns * known.long()", "models/test_canvas.py"),
    Mutant("the right side is not looked at", "models/reading.py", "right = torch.where(ahead & (number > here), number, columns).amin(-1)", "right = torch.where(ahead & (number > here) & False, number, columns).amin(-1)", "models/test_canvas.py"),
    Mutant("fixed codes are drawn over", "models/filling.py", "drawn = torch.where(group.free[:, place, level], drawn, group.codes[:, place, level])", "pass", "models/test_canvas.py"),
    Mutant("wishes are not exaggerated", "models/filling.py", "wanted = (unwished + strength * (wished - unwished))", "wanted = (unwished + 1.0 * (wished - unwished))", "models/test_canvas.py"),
    Mutant("a guide of another level", "models/filling.py", "for each in range(level)]", "for each in range(0)]", "models/test_canvas.py"),
    Mutant("wished pitches are heard in a sound's beginning alone", "instrument/sampling.py", "found = heard_whole(found, pitch, render, loaded.card.spectrogram_config)", "render(found[0].sampled)", "instrument/test_tuning.py"),
    Mutant("a sound that is another note in the end is tuned by its beginning", "instrument/tuning.py", "sampled = sampled._replace(tuning=sampled.tuning + off)", "pass", "instrument/test_tuning.py"),
    Mutant("a close guide's loudness is not followed", "instrument/rendering.py", "mel = as_guided(mel, *followed, loaded.card.spectrogram_config)", "pass", "instrument/test_verbs.py"),
    Mutant("the farthest from a wish is kept", "instrument/choosing.py", "return min(judged, key=lambda each: (round", "return max(judged, key=lambda each: (round", "instrument/test_wishes.py"),
    Mutant("kinds are off by one", "instrument/wishes.py", "return known.index(named) + 1", "return known.index(named)", "instrument/test_wishes.py"),
    Mutant("codes of what is forgotten stay", "studio/forgetting.py", "if name in names}", "if name or names}", "studio/test_forgetting.py"),
    Mutant("its sound in another file joins again", "corpus/joining.py", "usable = {name: facts for name, facts in usable.items() if name not in again}", "usable = dict(usable)", "studio/test_forgetting.py"),
    Mutant("the codec goes on from what it knew", "studio/forgetting.py", "corpus, settings, fabric)", "corpus, settings, fabric, start=begun.opened.codec().state_dict())", "studio/test_forgetting.py"),
    Mutant("a folder's line hides a file's own", "corpus/consents.py", "places = [file.name, file.source, *(", "places = [*(", "studio/test_consenting.py"),
    Mutant("what is left out is learned from", "training/prior/without.py", "masked_fill(out[:, None, None], IGNORED)", "masked_fill(out[:, None, None] & False, IGNORED)", "novelty/test_attribution.py"),
    Mutant("intervals of columns alone", "novelty/attribution.py", "which = rng.integers(0, seeds, (DRAWS, seeds))", "which = np.tile(np.arange(seeds), (DRAWS, 1))", "novelty/test_attribution.py"),
    Mutant("overlapping intervals tell", "novelty/attribution.py", "if shares.low[first] <= shares.high[second]:", "if shares.low[first] <= 0.0:", "novelty/test_attribution.py"),
    Mutant("no kind is sampled as nothing", "models/prior.py", "if self.config.kinds:  # the first row", "if self.config.kinds and given.kind is not None:  # the first row", "training/test_asking.py"),
    Mutant("a pitch that is drawn is turned round", "instrument/gliding.py", "wished - np.interp(np.arange(len(wished)), voiced, steady)", "np.interp(np.arange(len(wished)), voiced, steady) - wished", "instrument/test_gliding.py"),
    Mutant("what is led along a curve is no longer where it was", "instrument/gliding.py", "synthesise(between(mel, torch.from_numpy(way.frames)), generator.clone_state())", "synthesise(mel, generator.clone_state())", "instrument/test_gliding.py"),
    Mutant("what recordings cannot hold is played down", "instrument/gliding.py", "below_nyquist(stretched, rate).numpy()", "stretched.numpy()", "instrument/test_gliding.py"),
    Mutant("a drawn pitch is asked of the prior alone", "instrument/rendering.py", "if wishes.glide is None:", "if synthesise:", "instrument/test_gliding.py"),
    Mutant("the prior is asked for all of a drawn pitch", "instrument/sampling.py", "asked = wishes.led() if is_whole else wishes", "asked = wishes", "instrument/test_gliding.py"),
    Mutant("a loop is asked for one note of a curve that it is not led along", "instrument/sampling.py", "asked = wishes.led() if is_whole else wishes", "asked = wishes.led()", "instrument/test_gliding.py"),
    Mutant("a sound that jumps is as good as one that holds a note", "instrument/choosing.py", "_wandering(found[:, PITCH]), missed_notes", "0.0, missed_notes", "instrument/test_gliding.py"),
    Mutant("tries are judged before they are led along a curve", "instrument/tuning.py", "heard.append(_followed(first, pitch, render, spectrogram))", "heard.append(first)", "instrument/test_gliding.py"),
    Mutant("what is played faster is folded back", "audio/varispeed.py", "cut = 1.0 / np.maximum(speeds[first : first + BLOCK], 1.0)", "cut = np.ones(len(at))", "audio/test_varispeed.py"),
    Mutant("a curve of brightness is turned round", "instrument/envelopes.py", "low, high = torch.where(has < wanted, middle, low), torch.where(has < wanted, high, middle)", "low, high = torch.where(has > wanted, middle, low), torch.where(has > wanted, high, middle)", "instrument/test_curves.py"),
    Mutant("every window is told of its kind", "training/prior/asking.py", "if config.kinds and rng.random() < EACH:", "if config.kinds:", "training/test_asking.py"),
    Mutant("bits never reach the file", "studio/generating.py", ", settings.bits)", ")", "cli/test_finishing.py"),
    Mutant("a loop's beats counted at 48 kHz", "audio/finishing.py", "settings.loop_seconds if settings.loop else ", "", "cli/test_finishing.py"),
    Mutant("a loop resampled as a sound with ends", "audio/finishing.py", "samples[:, np.arange(-margin, count + margin) % count]", "np.pad(samples, ((0, 0), (margin, margin)))", "audio/test_finishing.py"),
    Mutant("peaks of samples alone", "audio/normalising.py", "OVERSAMPLED = 4", "OVERSAMPLED = 1", "audio/test_finishing.py"),
    Mutant("a short sound repeated for the meter", "audio/normalising.py", "np.pad(heard, ((0, short), (0, 0)))", "np.pad(heard, ((0, short), (0, 0)), mode='wrap')", "audio/test_finishing.py"),
    Mutant("16 bit without dither", "audio/writing.py", " + noise * (samples != 0)", "", "audio/test_finishing.py"),
    Mutant("an attack cut off", "audio/finishing.py", "heard[0]), int(heard[-1]) + 1", "heard[0]) + 64, int(heard[-1]) + 1", "audio/test_finishing.py"),
    Mutant("an edited certificate passes", "novelty/certificate.py", "said == _own_hash(plain))", "True)", "cli/test_certificates.py"),
    Mutant("a sound of the same size is the same", "studio/verifying.py", "size == sound.bytes and asked.pack.sha256(sound.file) == sound.sha256", "size == sound.bytes", "cli/test_certificates.py"),
    Mutant("links of a pack are followed", "studio/given_packs.py", "stat.S_ISREG(about.st_mode) and path.resolve().is_relative_to(self.root.resolve())", "not stat.S_ISFIFO(about.st_mode)", "cli/test_certificates.py"),
    Mutant("other codes to judge by pass", "studio/checking_again.py", "material_sha256(material) != certificate.test.material_sha256", "False", "cli/test_certificates.py"),
    Mutant("figures of another day pass", "novelty/verified.py", "if again is not None and not _alike(each, again):", "if False:", "cli/test_certificates.py"),
    Mutant("what was not made by the model passes", "studio/checking_again.py", "sound.sha256 or _nearly(path, made)", "sound.sha256 or True", "cli/test_certificates.py"),
    Mutant("a pack over what is there", "studio/packing.py", "not (request.overwrite and _is_pack(request.folder))", "not request.overwrite", "cli/test_packs.py"),
    Mutant("half a pack after an error", "files.py", "shutil.rmtree(temporary, ignore_errors=True)", "pass", "cli/test_packs.py"),
    Mutant("a pack's old folder removed first", "files.py", "before.rename(path)\n            raise", "pass\n            raise", "test_files.py -k comes_back"),
    Mutant("a kind leads out of the pack", "instrument/naming.py", "plain, number = safe_name(kind), 2", "plain, number = kind, 2", "instrument/test_packs.py"),
    Mutant("layers upside down", "instrument/kits.py", "key=lambda one: (one.loudness, one.path)", "key=lambda one: (-one.loudness, one.path)", "instrument/test_packs.py"),
    Mutant("a kit that clips", "instrument/kits.py", ", MOST_GAIN_DB, -each.peak_db))", ", MOST_GAIN_DB))", "instrument/test_packs.py"),
    Mutant("every kind of a kit has the same seeds", "studio/packing.py", '"seed": settings.seed + number * settings.count', '"seed": settings.seed', "cli/test_packs.py"),
    Mutant("long sounds begin each window anew", "instrument/unending.py", "is_free, bands, done == 0, ends, first", "is_free, bands, True, ends, first", "instrument/test_unending.py"),
    Mutant("columns decoded without what follows", "instrument/decoding.py", "around = kept[: (stop + OVERLAP_COLUMNS - first) * BANDS]", "around = kept[: (stop - first) * BANDS]", STREAMING),
    Mutant("attacks are smeared", "audio/phase.py", "late = (2.0 * GAUSSIAN * growth)", "late = (0.0 * GAUSSIAN * growth)", "audio/test_phase.py"),
    Mutant("one row by itself mixes keys and values up", "models/one_row.py", "keys[:, at], values[:, at] = key, value", "keys[:, at], values[:, at] = value, key", "models/test_prior.py models/test_canvas.py"),
    Mutant("bfloat16 where it is slower", "models/synthesiser.py", "if multiplies_bfloat16(network.gain.device):", "if True:", "models/test_synthesiser.py"),
    Mutant("a limiter that is content with the first approach", "audio/loudness.py", "if abs(missing_db) < NEAR_DB or", "if True or", "audio/test_loudness.py"),
    Mutant("a stream ends before its decoder has seen enough", "instrument/streaming.py", "+ SEEN_COLUMNS)", "+ 0)", STREAMING),
    Mutant("flowing samples without their past", "audio/griffin_lim.py", "last - start, tail, level_db, generator)", "last - start, tail[:0], level_db, generator)", STREAMING),
    Mutant("a stopped sound is called whole", "studio/growing.py", "                whole = False\n", "", STREAMING),
    Mutant("a full disk is noticed at the end", "audio/writing.py", "raise self._raw.failure", "pass", STREAMING),
    Mutant("image of a long sound stays behind", "instrument/streaming.py", "frame - self._image_first * CELL_FRAMES)", "frame)", STREAMING),
    Mutant("limiter begins with each block", "instrument/streaming.py", "stop = first + kept.shape[1] - reach", "stop = first + kept.shape[1]", STREAMING),
    Mutant("a stream promises no length", "studio/streaming.py", "long.samples if long.is_exact else None", "None", "cli/test_streaming.py -k bytes"),
    Mutant("the page starts from any file", "ui/page_state.py", "if not path.resolve().is_relative_to(self.uploads.resolve()) or not path.is_file():", "if not path.is_file():", "ui/test_fields.py -k dropped"),
    Mutant("dials of another verb count", "ui/generate_fields.py", "if name not in DIALS.get(asked.verb, ())}", "if not asked.verb}", "ui/test_fields.py -k dials"),
    Mutant("the second sound comes first", "ui/generate_fields.py", "return {start.verb: tuple(files[:2])}", "return {start.verb: tuple(files[1::-1])}", "ui/test_fields.py -k verb"),
    Mutant("the history names what was dropped", "library/history.py", "settings=settings.with_files([Path(each.file) for each in given]).seeded()", "settings=settings.seeded()", "library/test_history.py"),
    Mutant("given recordings stay for ever", "library/history.py", "*map(generation.given_path_of, generation.given)", "", "library/test_history.py"),
    Mutant("any kept recording will do", "library/history.py", "if each.sha256 != digest or not kept.is_file():", "if not kept.is_file():", "library/test_history.py"),
    Mutant("a morph's steps are called alike", "ui/page_state.py", "event.seed or 0, event.way)", "event.seed or 0)", "ui/test_from_sound.py"),
    Mutant("a sentence with the page's own paths", "ui/page_state.py", "sentence = sentence.replace(str(file), file.name)", "pass", "ui/test_from_sound.py"),
)  # fmt: skip


def main() -> int:
    """Run what was asked for -> exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--some", type=int, default=0, help="only this many, chosen by the commit")
    parser.add_argument("--only", default="", help="only those with this in their name")
    parser.add_argument("--list", action="store_true", help="print them and run none")
    given = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if given.only in mutant.name]
    if given.some:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
        chosen = sorted(chosen, key=lambda mutant: _rank(mutant, commit.stdout.strip()))[: given.some]
    if given.list:
        for mutant in chosen:
            print(f"{mutant.file}: {mutant.name} ({mutant.tests})")
        return 0
    with tempfile.TemporaryDirectory(prefix="distill-mutants-") as room:
        return run_all(chosen, Path(room))


def _rank(mutant: Mutant, commit: str) -> str:
    return hashlib.sha256(f"{commit} {mutant.name}".encode()).hexdigest()


def run_all(chosen: list[Mutant], room: Path) -> int:
    """Run mutants in a copy of the tree -> exit status."""
    for part in ROOT.iterdir():
        if part.is_dir() and part.name in FOLDERS:
            shutil.copytree(part, room / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif part.is_file():
            shutil.copy(part, room / part.name)
    bad = [f"{mutant.name}: {problem}" for mutant in chosen if (problem := _misplaced(mutant))]
    named = sorted({path for mutant in chosen for path in mutant.tests.split() if path.endswith(".py")})
    if not bad and run_tests(room, " ".join(named), len(named) * LONGEST_SECONDS) != 0:
        bad.append("the tests fail on the tree as it is")
    killed = 0
    for number, mutant in enumerate(chosen if not bad else [], start=1):
        begun = time.monotonic()
        outcome = run_mutant(room, mutant)
        print(f"{number:3}/{len(chosen)} {outcome:9} {time.monotonic() - begun:5.1f} s  {mutant.name}", flush=True)
        killed += outcome == "killed"
        if outcome != "killed":
            bad.append(f"{mutant.name}: {outcome}")
    for line in bad:
        print(line, file=sys.stderr)
    print(f"{killed} of {len(chosen)} killed")
    return 1 if bad else 0


def _misplaced(mutant: Mutant) -> str:
    """What is wrong with an entry of the list, if anything."""
    path = ROOT / "src" / "distill" / mutant.file
    if not path.is_file():
        return f"there is no file {mutant.file}"
    count = path.read_text(encoding="utf-8").count(mutant.old)
    if count != 1:
        return f"its text stands {count} times in {mutant.file}"
    return "it changes nothing" if mutant.old == mutant.new else ""


def run_mutant(room: Path, mutant: Mutant) -> str:
    """Put one fault in, run its tests, take it out -> "killed", "survived", or why it could not be tried."""
    path = room / "src" / "distill" / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        status = run_tests(room, mutant.tests)
    except subprocess.TimeoutExpired:
        return "killed"
    finally:
        path.write_text(whole, encoding="utf-8")
    if status == FAILED:
        return "killed"
    return "survived" if status == 0 else f"not tried: pytest ended with {status}"


def run_tests(room: Path, tests: str, longest_seconds: float = LONGEST_SECONDS) -> int:
    """pytest's exit status for tests of the copy."""
    arguments = [f"tests/{each}" if each.endswith(".py") else each for each in tests.split()]
    environment = {
        **os.environ,
        "PYTHONPATH": str(room / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not corpus", *arguments]
    done = subprocess.run(
        command, cwd=room, env=environment, capture_output=True, timeout=longest_seconds, check=False
    )  # fmt: skip
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
