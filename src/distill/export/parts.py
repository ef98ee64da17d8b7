"""Which graphs a model is exported as: their inputs and outputs, by name, with what they mean."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from distill.audio.griffin_lim import inverse_filters
from distill.export.graphs import DecoderGraph, EndingGraph, LevelGraph, PriorGraph, SynthesiserGraph
from distill.modelfile.opened import LoadedVQModel
from distill.models.endings import Endings
from distill.models.grain import PATCH
from distill.models.prior import CodePrior
from distill.models.stepping import Stepper
from distill.models.synthesiser import SpectrumNetwork, band_means
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN

Inputs = dict[str, Tensor]


class Value(NamedTuple):
    """An input or an output."""

    axes: tuple[str | int, ...]
    """A name where it may be any length."""
    meaning: str


class Part(NamedTuple):
    """A graph."""

    name: str
    module: nn.Module
    example: Inputs
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]


def parts_of(loaded: LoadedVQModel, network: SpectrumNetwork | None) -> list[Part]:
    """The graphs of a model, those that it has, on the processor and in eval mode.

    Args:
        network: of its synthesiser; None: there is none for its spectrogram.
    """
    parts = [_decoder(loaded)]
    if loaded.endings is not None:
        parts.append(_ending(loaded.card.spectrogram_config.n_mels, loaded.endings))
    if loaded.prior is not None:
        stepper = Stepper(loaded.prior)
        parts.append(_prior(loaded.prior, stepper))
        parts += [_level(stepper, level) for level in range(loaded.prior.config.rvq_levels)]
    if network is not None:
        parts.append(_synthesiser(network))
    return [part._replace(module=part.module.eval()) for part in parts]


def drawn(inputs: Mapping[str, Value], lengths: Mapping[str, int], limits: Mapping[str, int], seed: int = 0) -> Inputs:
    """Inputs of given lengths: whole numbers below a limit where one is given, else normal ones."""
    generator = torch.Generator().manual_seed(seed)
    made: Inputs = {}
    for name, value in inputs.items():
        shape = [axis if isinstance(axis, int) else lengths[axis] for axis in value.axes]
        if name in limits:
            made[name] = torch.randint(0, limits[name], shape, generator=generator)
        else:
            made[name] = torch.randn(shape, generator=generator)
    return made


def _decoder(loaded: LoadedVQModel) -> Part:
    config = loaded.card.vqvae_config
    inputs = {
        "codes": Value(("columns", BANDS, config.rvq_levels), "int64, of the middle, bands from low to high"),
        "level_db": Value((), "what the loudest cell is in dB; decoder.level_db for generated sounds"),
    }
    bands = loaded.card.spectrogram_config.n_mels
    outputs = {
        "mel": Value((bands, "16*columns"), "log-mel in dB"),
        "decoded": Value((bands, "16*columns"), "the same in dB under the level, without grain"),
    }
    if loaded.grain is not None:
        inputs["noise"] = Value(("columns", BANDS, PATCH), "normal noise, which becomes the grain")
        inputs["texture"] = Value((), "how much grain: 1 as the recordings have, 0 none")
    if loaded.loudness is not None:
        outputs["loudness_db"] = Value(
            (2,), "expected root mean square and peak of a whole sound of these codes, in dB"
        )
    example = drawn(inputs, {"columns": 3}, {"codes": config.codebook_size})
    example |= {"texture": torch.tensor(0.0)} if loaded.grain is not None else {}
    module = DecoderGraph(loaded.codec, loaded.grain, loaded.loudness)
    return Part("decoder", module, example, inputs, outputs)


def _ending(bands: int, endings: Endings) -> Part:
    inputs = {
        "decoded": Value(
            (bands, FRAMES_PER_COLUMN),
            "the last column of what decoder says is decoded of a sound's last two columns, or its only one",
        )
    }
    outputs = {"chances": Value((FRAMES_PER_COLUMN,), "of each frame of the last column to be the last that sounds")}
    example = {"decoded": drawn(inputs, {}, {})["decoded"] * 20.0 - 40.0}
    return Part("ending", EndingGraph(endings), example, inputs, outputs)


def _prior(prior: CodePrior, stepper: Stepper) -> Part:
    config = prior.config
    cache = (config.num_layers, "batch", config.num_heads, "past", config.hidden_size // config.num_heads)
    grown = (config.num_layers, "batch", config.num_heads, "past + positions", config.hidden_size // config.num_heads)
    inputs = {
        "sources": Value(
            ("batch", "positions", 1 + config.neighbours, config.rvq_levels),
            "int64, the codes that each position may look at: prior.sources says which",
        ),
        "place": Value(("positions",), "int64, column * bands + band, the window's first column being 0"),
        "start": Value(("batch",), "int64, 0 where the window begins with the sound, 1 where it begins inside it"),
        "keys": Value(cache, "of the positions of this window that were read before; past may be 0"),
        "values": Value(cache, "as keys"),
    }
    limits = {"sources": config.codebook_size, "place": config.seq_len, "start": 2}
    if config.both_sides:
        inputs["left_gap"] = Value(("positions",), "int64, columns between it and the nearest known one on its left")
        inputs["right_gap"] = Value(
            ("batch", "positions"),
            "int64, columns to the nearest known one on its right, or to the end where that is known; 0: none",
        )
        limits |= {"left_gap": prior.window, "right_gap": prior.window}
    if config.kinds:
        inputs["kind"] = Value(("batch",), "int64, the kind that is wished for, from 1 on; 0: any")
        limits["kind"] = config.kinds + 1
    if config.traits:
        inputs["traits"] = Value(("batch", "positions", 4), "what is wished for in the column; NaN: nothing")
    outputs = {
        "state": Value(("batch", "positions", config.hidden_size), "what level_1 predicts the first code from"),
        "grown_keys": Value(grown, "keys for the next call"),
        "grown_values": Value(grown, "values for the next call"),
    }
    example = drawn(inputs, {"batch": 2, "positions": 5, "past": 3}, limits)
    if config.traits:
        example["traits"][:, 1::2] = torch.nan
    return Part("prior", PriorGraph(prior, stepper), example, inputs, outputs)


def _level(stepper: Stepper, level: int) -> Part:
    config = stepper.prior.config
    inputs = {
        "state": Value(("batch", config.hidden_size), "of the position, from prior"),
        "sources": Value(
            ("batch", 1 + config.neighbours, config.rvq_levels), "int64, of the position, as prior got them"
        ),
    }
    if level:
        inputs["chosen"] = Value(("batch", level), "int64, the codes of the levels below")
    symbols = config.codebook_size + (level == 0)
    meaning = "unnormalised; the last stands for the end of the sound" if level == 0 else "unnormalised"
    outputs = {"logits": Value(("batch", symbols), meaning)}
    limits = {"sources": config.codebook_size + 3, "chosen": config.codebook_size}
    example = drawn(inputs, {"batch": 2}, limits)
    return Part(f"level_{level + 1}", LevelGraph(stepper, level), example, inputs, outputs)


def _synthesiser(network: SpectrumNetwork) -> Part:
    inverse_filters(network.spectrogram), band_means(network.spectrogram)  # made before they are looked for in a trace
    inputs = {
        "mel": Value((network.spectrogram.n_mels, "frames"), "log-mel in dB"),
        "loudest_db": Value((), "the loudest cell of the whole sound"),
    }
    outputs = {
        f"log_{window}": Value(
            (window // 2 + 1, "frames" if i == 0 else f"{2**i}*frames"),
            f"ln of the magnitudes for a window of {window} samples, {window // 4} apart",
        )
        for i, window in enumerate(network.windows)
    }
    example = drawn(inputs, {"frames": 20}, {})
    example["mel"] = example["mel"] * 20.0 - 40.0
    return Part("synthesiser", SynthesiserGraph(network), example, inputs, outputs)
