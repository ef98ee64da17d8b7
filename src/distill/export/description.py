"""What `model.json` says: everything a host needs beside the graphs."""

from typing import Any

import torch

import distill
from distill.audio.loudness import APPROACHES, REACH_SAMPLES
from distill.audio.master import FADE_IN_SECONDS, FADE_OUT_SECONDS, PEAK
from distill.audio.phase import MOMENTUM
from distill.audio.traits import TRAITS
from distill.export.parts import Part, Value
from distill.modelfile.opened import LoadedVQModel
from distill.models.codec import FLOOR_DB
from distill.models.endings import LEAST_SAMPLES
from distill.models.loudness import GENERATED_LIMITED_DB, Loudness
from distill.models.prior import BOS, MID, CodePrior
from distill.models.release import END_SAMPLES, RELEASE_SAMPLES, SOFTEST_DB, Release
from distill.models.synthesiser import (
    AGREEMENT_STEPS,
    PHASE_STEPS,
    SILENT_MAGNITUDE,
    SpectrumNetwork,
)
from distill.settings.geometry import BANDS, COLUMN_SECONDS, FRAMES_PER_COLUMN, SpectrogramConfig

FORMAT, VERSION = "distill_export", 1
SOURCES = (
    ("the position before it in time", 1, False),
    ("the same band of the nearest known column on the left", BANDS, False),
    ("the band below it, of the same column", 1, True),
    ("the same band of the next but one known column on the left", 2 * BANDS, False),
    ("the same band of the nearest known column on the right", 0, False),
    ("the same band of the next but one known column on the right", 0, False),
    ("the same band of the nearest known column that is one or more periods back", 0, False),
    ("the same band of the nearest known column that is one or more periods ahead", 0, False),
)
"""Of a step in the order of time: what each source is, how many places it lies back (0: there is none), and whether it must
be of the same column."""
AGO = 6
"""Among the sources: a period back, of priors that know periods."""
HOW_TO_SAMPLE = (
    "Positions are read column after column, in each from band 0 (low) to the last: prior gives the state of a position, "
    "level_1 the logits of its first code, level_2 those of the second given the first, and so on. Where a sound may end, at "
    "band 0 of any column but a sound's first, level_1 may give the code `end`: the sound ends before that column; elsewhere "
    "rule it out. A source that does not exist has the code `outside` at all levels. A sound that is longer than "
    "window_columns keeps time where it comes round again after so many columns as one of `periods` says: the source that "
    "has `periods_back` lies so many columns back. After window_columns a new window "
    "begins: start 1, an empty cache, and the newest kept_columns are read again as its first. To fill a hole, read the known "
    "columns of the window first, left to right, then the hole; left_gap and right_gap say how far the nearest known column "
    "lies; where an end is known and nothing known lies to the right, the fifth source has the code `end` and right_gap is "
    "the number of columns to the end."
)
HOW_TO_INVERT = (
    "Pad each log with one frame of silent_ln: it is centred on the end of the sound. Magnitudes are their exponentials. From "
    "a phase for the first window's (a phase vocoder from peak to peak is best, random ones will do), phase_steps of "
    "Griffin-Lim with that momentum give samples; then agreement_steps, each the mean over windows of: transform, multiply "
    "by exp(trust * (log - ln of the own magnitude)), transform back. Transforms have a periodic Hann window, a quarter of "
    "itself apart, zeros around the sound, frame t centred on sample t * window / 4."
)


def description(
    loaded: LoadedVQModel,
    network: SpectrumNetwork | None,
    parts: list[Part],
    differences: dict[str, float],
    lacks: list[str],
) -> dict[str, Any]:
    """All of it, as plain values.

    Args:
        differences: by graph, how far a runtime's outputs were from the program's.
        lacks: what the model has not, a sentence each.
    """
    card, codec = loaded.card, loaded.card.vqvae_config
    said: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": loaded.path.stem,
        "made_by": f"distill {distill.__version__}",
        "graphs": {
            part.name: {
                "file": f"{part.name}.onnx",
                "inputs": _values(part.inputs),
                "outputs": _values(part.outputs),
                "largest_difference": differences[part.name],
            }
            for part in parts
        },
        "audio": {
            "sample_rate": card.spectrogram_config.sample_rate,
            "channels": 1,
            "highest_rate": card.corpus_manifest.highest_rate,
            "peak": PEAK,
            "fade_in_seconds": FADE_IN_SECONDS,
            "fade_out_seconds": FADE_OUT_SECONDS,
            "least_samples": LEAST_SAMPLES,
            "limiter": {"most_db": GENERATED_LIMITED_DB, "reach_samples": REACH_SAMPLES, "approaches": APPROACHES},
        },
        "mel": _mel(card.spectrogram_config),
        "codes": {
            "bands": BANDS,
            "levels": card.prior_levels,
            "middle_levels": codec.rvq_levels,
            "size": codec.codebook_size,
            "frames_per_column": FRAMES_PER_COLUMN,
            "image_columns": card.image_columns,
            "column_seconds": COLUMN_SECONDS,
        },
        "decoder": {"level_db": float(loaded.codec.typical_level_db), "silent_under_level_db": FLOOR_DB},
        "lacks": lacks,
    }
    if loaded.loudness is not None:
        said["loudness"] = _loudness(loaded.loudness)
    if loaded.release is not None:
        said["release"] = _release(loaded.release)
    if loaded.prior is not None:
        said["prior"] = _prior(loaded, loaded.prior)
    if network is not None:
        said["synthesiser"] = {
            "windows": network.windows,
            "silent_ln": torch.tensor(SILENT_MAGNITUDE).log().item(),
            "phase_steps": PHASE_STEPS,
            "momentum": MOMENTUM,
            "agreement_steps": AGREEMENT_STEPS,
            "reach_frames": network.reach,
            "trust": [torch.sigmoid(trust.detach()).tolist() for trust in network.trust],
            "how_to_invert": HOW_TO_INVERT,
        }
    return said


def _values(values: Any) -> dict[str, Any]:
    def one(value: Value) -> dict[str, Any]:
        return {"shape": list(value.axes), "meaning": value.meaning}

    return {name: one(value) for name, value in values.items()}


def _mel(config: SpectrogramConfig) -> dict[str, Any]:
    return {
        "bands": config.n_mels,
        "n_fft": config.n_fft,
        "hop": config.hop_length,
        "f_min_hz": config.f_min_hz,
        "f_max_hz": config.f_max_hz,
        "floor_db": config.floor_db,
        "scale": "Slaney's mel scale, triangular filters of equal area",
        "unit": "20 log10 of the filtered magnitude of a Fourier transform with a periodic Hann window, not normalised",
    }


def _loudness(loudness: Loudness) -> dict[str, Any]:
    return {
        "left_open_db": loudness.left_open.tolist(),
        "bounds_db": loudness.bounds.tolist(),
        "is_peak": bool(loudness.is_peak),
        "how_to_use": "Draw a row of left_open_db, add it to the decoder's loudness_db, keep it within bounds_db: root mean "
        "square and peak that the sound shall have; is_peak says which of them is met. Where the root mean square asks for more "
        "than audio.peak allows, audio.limiter turns peaks down, by most_db at most.",
    }


def _release(release: Release) -> dict[str, Any]:
    return {
        **release._asdict(),
        "end_samples": END_SAMPLES,
        "softest_db": SOFTEST_DB,
        "samples": RELEASE_SAMPLES,
        "how_to_use": "A sound that ends by itself: how loud its last end_samples are beside the loudest ones, in dB, is looked "
        "up in made_db; recorded_db at the same place, interpolated, is how loud they are to be, if that is softer.",
    }


def _prior(loaded: LoadedVQModel, prior: CodePrior) -> dict[str, Any]:
    config, card = prior.config, loaded.card
    return {
        "window_columns": prior.window,
        "kept_columns": max(prior.window * 2 // 3, int(prior.window > 1)),
        "cache_shape": [config.num_layers, 1, config.num_heads, 0, config.hidden_size // config.num_heads],
        "end": prior.eos,
        "end_logit": prior.end_logit,
        "outside": prior.outside,
        "hidden": prior.hidden,
        "start": {"of_a_sound": BOS, "inside_a_sound": MID},
        "sources": [
            {"what": what, "places_back": back, "within_column": within, "periods_back": int(number == AGO)}
            for number, (what, back, within) in enumerate(SOURCES[: 1 + config.neighbours])
        ],
        "periods": list(card.periods) if config.periods else [],
        "fills_holes": config.both_sides,
        "kinds": list(card.kinds[: config.kinds]),
        "traits": list(TRAITS) if config.traits else [],
        "trait_units": "loudness in dB over the sound's mean, brightness as log2 of Hz, pitch as a MIDI note, onsets as how "
        "many a column holds",
        "trait_quantiles": {name: list(points) for name, points in card.trait_quantiles.items()},
        "how_to_sample": HOW_TO_SAMPLE,
    }
