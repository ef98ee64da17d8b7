"""Settings: declared once, auto unless set, and wrong ones are named by their flag."""

import math

import pytest

from distill.errors import DistillError
from distill.settings.auto import (
    CODEC_CROPS,
    PRIOR_SIZES,
    PRIOR_STEPS,
    CorpusFacts,
    codec_auto,
    epoch_crops,
    epoch_windows,
    get_adaptive_prior_config,
    prior_auto,
    prior_steps,
    raced_sizes,
    resolve,
)
from distill.settings.codec import CodecSettings, Preset
from distill.settings.knobs import flag_name, is_auto, is_knob
from distill.settings.prior import PriorConfig, PriorSettings

FACTS = CorpusFacts(files=50, seconds=60.0, crops=70)
FIXED = {"codebook_size": 64, "rvq_levels": 3, "seq_len": 48}


def test_an_untouched_setting_never_overrides() -> None:
    """Guards against None, or a default, taking the place of auto."""
    resolved = resolve(CodecSettings, codec_auto(FACTS), {"epochs": None})
    assert resolved.settings.epochs == codec_auto(FACTS)["epochs"]
    assert resolved.origin["epochs"] == "auto"
    assert resolved.origin["batch_size"] == "default"


def test_a_set_value_wins_and_is_marked() -> None:
    resolved = resolve(CodecSettings, codec_auto(FACTS), {"epochs": 3, "rvq_levels": 3})
    assert resolved.settings.epochs == 3
    assert resolved.origin["epochs"] == resolved.origin["rvq_levels"] == "set"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"rvq_levels": 5}, "--rvq-levels 5"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_codec_setting_is_named(overrides: dict[str, object], sentence: str) -> None:
    with pytest.raises(DistillError, match=sentence):
        resolve(CodecSettings, codec_auto(FACTS), overrides)


def test_heads_that_do_not_divide_name_both_flags() -> None:
    with pytest.raises(DistillError, match="--heads 3 does not divide --hidden-size 128"):
        resolve(PriorSettings, get_adaptive_prior_config(5), {"num_heads": 3, "hidden_size": 128}, FIXED)


def test_what_follows_from_the_codec_is_no_knob() -> None:
    """Guards against a prior whose codebook is not the codec's."""
    with pytest.raises(DistillError, match="no setting called 'codebook_size'"):
        resolve(PriorSettings, get_adaptive_prior_config(5), {"codebook_size": 9}, FIXED)


@pytest.mark.parametrize("preset", ["draft", "standard", "thorough"])
@pytest.mark.parametrize("seconds", [1, 30, 60, 300, 1_200, 7_200, 36_000])
def test_a_prior_is_a_budget_of_steps(preset: Preset, seconds: int) -> None:
    """Guards against two hours of sound that take an hour, and epochs so long that the best is not found."""
    facts = CorpusFacts(files=40, seconds=float(seconds), crops=math.ceil(seconds / 1.024))
    settings = resolve(PriorSettings, prior_auto(facts, {"preset": preset}), {"preset": preset}, FIXED).settings
    drawn = epoch_windows(facts.crops, facts.positions, preset, settings.batch_size)
    steps = settings.epochs * math.ceil(drawn / settings.batch_size)
    assert steps == pytest.approx(prior_steps(facts.positions, preset), rel=0.1)
    assert steps <= 4.2 * prior_steps(0.0, preset)
    assert settings.epochs >= 10


def test_a_longer_window_or_a_larger_batch_does_not_shorten_the_training() -> None:
    """Guards against epochs that are reckoned for a batch and a window which the user has changed."""
    facts = CorpusFacts(files=50, seconds=300.0, crops=300)
    for chosen, windows, batch in (({"batch_size": 8}, 300, 8), ({"context_seconds": 4.096}, 75, 32)):
        epochs = prior_auto(facts, chosen)["epochs"]
        drawn = epoch_windows(windows, facts.positions, "standard", batch)
        assert epochs * math.ceil(drawn / batch) == pytest.approx(PRIOR_STEPS, rel=0.1)


def test_sizes_race_unless_one_is_set() -> None:
    """Guards against a size that the user sets and a race overrules, and a draft that is no quicker."""
    assert raced_sizes(3_000, "standard", {"hidden_size": "auto"}) == PRIOR_SIZES[:2]
    assert raced_sizes(300_000, "standard", {}) == PRIOR_SIZES[1:]
    assert raced_sizes(3_000, "thorough", {}) == PRIOR_SIZES
    assert raced_sizes(3_000, "draft", {}) == raced_sizes(3_000, "thorough", {"num_heads": "set"}) == ()


def test_auto_rules_fill_exactly_the_auto_fields() -> None:
    """Guards against a field that shows 'auto' and has no rule, or a rule that nobody sees."""
    for model, rule in ((CodecSettings, codec_auto(FACTS)), (PriorSettings, prior_auto(FACTS))):
        assert {name for name, field in model.model_fields.items() if is_auto(field)} == set(rule)


def test_flags_are_spelled_like_the_fields() -> None:
    assert flag_name("hidden_size") == "--hidden-size"
    assert flag_name("num_layers") == "--layers"
    names = [flag_name(name) for name, field in PriorSettings.model_fields.items() if is_knob(field)]
    assert len(names) == len(set(names))


def test_a_config_refuses_unknown_keys() -> None:
    with pytest.raises(ValueError, match="extra"):
        PriorConfig.model_validate({"hidden_size": 64, "colour": "red"})


@pytest.mark.parametrize(("seconds", "size"), [(2.0, 16), (5.0, 32), (20.0, 128), (51.0, 256), (90_000.0, 256)])
def test_the_codebook_grows_with_the_sound_there_is(seconds: float, size: int) -> None:
    """Guards against codebooks that a small corpus cannot fill."""
    assert codec_auto(CorpusFacts(files=9, seconds=seconds, crops=9))["codebook_size"] == size


def test_a_preset_decides_the_length_of_the_training() -> None:
    """Guards against presets that do nothing, and against epochs that ignore the batch size."""
    epochs = {name: codec_auto(FACTS, {"preset": name})["epochs"] for name in ("draft", "standard", "thorough")}
    assert epochs["standard"] == codec_auto(FACTS)["epochs"]
    assert epochs["draft"] < epochs["standard"] < epochs["thorough"]
    assert epochs["thorough"] == pytest.approx(4 * epochs["standard"], rel=0.1)


@pytest.mark.parametrize(("median", "context"), [(0.4, 1.024), (1.9, 1.024), (2.2, 4.096), (60.0, 4.096)])
def test_long_files_get_long_windows_and_as_many_steps(median: float, context: float) -> None:
    """Guards against longer windows that make fewer, so that the default training gets shorter."""
    facts = CorpusFacts(files=50, seconds=300.0, crops=310, median_seconds=median)
    chosen = prior_auto(facts)
    assert chosen["context_seconds"] == context
    steps_per_epoch = math.ceil(310 * 1.024 / context / PriorSettings.model_fields["batch_size"].default)
    assert abs(chosen["epochs"] * steps_per_epoch - PRIOR_STEPS) <= steps_per_epoch / 2


def test_a_corpus_of_one_step_an_epoch_gets_all_its_steps() -> None:
    assert prior_auto(CorpusFacts(files=5, seconds=5.0, crops=5))["epochs"] == PRIOR_STEPS


@pytest.mark.parametrize("preset", ["draft", "standard", "thorough"])
@pytest.mark.parametrize("minutes", [2, 20, 120, 1500])
def test_a_training_is_a_budget_whatever_the_corpus(preset: Preset, minutes: int) -> None:
    """Guards against ten whole passes through 25 hours: a long corpus takes as many steps as a short one."""
    facts = CorpusFacts(files=40, seconds=60.0 * minutes, crops=round(60 * minutes / 1.024))
    chosen = codec_auto(facts, {"preset": preset})
    batch = CodecSettings.model_fields["batch_size"].default
    crops = chosen["epochs"] * batch * math.ceil(epoch_crops(facts.crops, preset) / batch)
    assert crops == pytest.approx(CODEC_CROPS[preset], rel=0.1)
    assert chosen["epochs"] >= 10
