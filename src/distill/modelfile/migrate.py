"""What older files of format version 2 lack: filled in where it follows from the rest, and said where it does not."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from distill.modelfile.card import ModelCard
from distill.settings.generation import LONG_SECONDS
from distill.settings.geometry import LEAST_ENDS


def migrated(contents: dict[str, Any]) -> dict[str, Any]:
    """A file's contents as this version writes them. What makes no sense stays as it is, for validation to find."""
    codec, prior = contents.get("training_config"), contents.get("prior_training_config")
    if isinstance(codec, Mapping):  # there was nothing to start from yet
        contents = {**contents, "training_config": {"pretrained": False, **codec}}
    if isinstance(prior, Mapping):  # files were learned from as they are
        contents = {**contents, "prior_training_config": {"views": 1, **prior}}
    return _with_known_prior(contents)


def _with_known_prior(contents: dict[str, Any]) -> dict[str, Any]:
    config, weights = contents.get("prior_config"), contents.get("prior_state_dict")
    made = contents.get("prior_metadata")
    if not isinstance(config, Mapping):
        return contents
    if isinstance(weights, Mapping) and isinstance(levels := config.get("rvq_levels"), int):
        # The first files had one more matrix, which nothing led to.
        weights = {name: t for name, t in weights.items() if name != f"chosen_vector.{levels - 1}.weight"}
        contents = {**contents, "prior_state_dict": weights}
    if isinstance(made, Mapping):
        # The prior's size was noted in its configuration alone.
        size = {name: config[name] for name in ("hidden_size", "num_layers", "num_heads") if name in config}
        if isinstance(weights, Mapping):  # all but the codebooks, which are not learned
            size["parameters"] = sum(t.numel() for n, t in weights.items() if isinstance(t, Tensor) and n != "vectors")
        contents = {**contents, "prior_metadata": {**size, **made}}
    return contents


def lacks(card: ModelCard) -> tuple[str, ...]:
    """What a model's file lacks that one made now would hold, and what brings it, one sentence each."""
    missing = []
    prior = card.prior_metadata
    if prior is not None and prior.ngram_bits_per_code is None:
        missing.append(
            "Its codec was made for another scale of decibels, so its sounds have a quarter more contrast than the "
            "recordings: train the model again."
        )
        missing.append("How far counting patterns gets was not measured: train the prior again with --overwrite.")
    two_channels = [file for file in card.corpus_manifest.train if file.channels > 1]
    if card.metadata.distill_version.startswith("0.1") and two_channels:
        missing.append("It was made before there was stereo, so its sounds have one channel: train the model again.")
    if prior is not None and card.texture_db is not None:
        missing.append(
            "The grain of the recordings was measured more coarsely than now: train the prior again with --overwrite."
        )
    elif prior is not None and not card.has_grain:
        missing.append(
            "The grain of the recordings was not measured, so sounds are made without it: train the prior again with "
            "--overwrite."
        )
    if prior is not None and not card.has_endings:
        missing.append(
            "Where sounds end was not learned, so they are whole columns of 0.17 s long: train the prior again with "
            "--overwrite."
        )
    elif prior is not None and card.release_of_prior is None and _ends_are_known(card):
        missing.append(
            "How new sounds end beside the recordings was not measured, so many of them sound on where they end: train the "
            "prior again, with the recordings and --overwrite."
        )
    if prior is not None and not card.has_loudness:
        missing.append(
            "How loud sounds are was not learned, so all have the recordings' typical level: train the prior again, with "
            "the recordings and --overwrite."
        )
    if card.prior_config is not None and not card.prior_config.both_sides:
        missing.append(
            "Its prior hears the past alone and takes no wishes: train the prior again with --overwrite, and it fills holes, "
            "loops, varies, and makes sounds of a kind, brightness, pitch or length that is asked for."
        )
    return tuple(missing)


def _ends_are_known(card: ModelCard) -> bool:
    """Whether there are recordings enough that end within the time in which new sounds are looked at."""
    short = [file for file in card.corpus_manifest.train if file.seconds <= LONG_SECONDS]
    return len(short) >= LEAST_ENDS
