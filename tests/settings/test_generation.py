"""What may be asked of a model: bounds in one sentence, seeds, and what stands in a file."""

import json

import pytest

from distill.errors import DistillError
from distill.settings.generation import NEW_SEEDS, GenerationSettings, generation_settings
from distill.settings.knobs import LARGEST_SEED


@pytest.mark.parametrize(
    ("name", "values", "flag"),
    [
        ("count", [0, 1001, float("nan"), 1.5], "--count"),
        ("seconds", [0.0, -1.0, 14_401.0, 1e-310, float("nan"), float("inf")], "--seconds"),
        ("seed", [-1, LARGEST_SEED + 1, float("inf")], "--seed"),
        ("temperature", [-0.1, 10.5, float("nan"), float("inf")], "--temperature"),
        ("top_k", [-1, 4097], "--top-k"),
        ("top_p", [0.0, 1.1, float("nan")], "--top-p"),
        ("min_p", [-0.1, 1.0, float("nan")], "--min-p"),
        ("texture", [-1.0, 2.5, float("inf"), float("nan")], "--texture"),
        ("ending", ["loud"], "--ending"),
        ("synthesiser", ["vocos"], "--synthesiser"),
        ("format", ["wma"], "--format"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_its_flag(name: str, values: list[object], flag: str) -> None:
    """Guards against bounds of one face alone, and against NaN, which is within any."""
    for value in values:
        with pytest.raises(DistillError, match=f"^{flag} .*\\.$") as mistake:
            generation_settings(**{name: value})
        assert "\n" not in str(mistake.value)


def test_every_sound_can_be_made_alone() -> None:
    """Guards against a last sound whose seed `--seed` refuses."""
    assert generation_settings(seed=LARGEST_SEED - 2, count=3).seeds()[-1] == LARGEST_SEED
    with pytest.raises(DistillError, match=rf"--seed {LARGEST_SEED} and --count 2.*at most {LARGEST_SEED - 1}"):
        generation_settings(seed=LARGEST_SEED, count=2)


def test_a_new_seed_is_new_and_a_given_one_stays() -> None:
    seeds = {generation_settings().seeded().seed for _ in range(20)}
    assert len(seeds) > 10
    assert all(seed is not None and seed + 999 <= LARGEST_SEED for seed in seeds)
    assert NEW_SEEDS + 999 <= LARGEST_SEED
    assert GenerationSettings(seed=0).seeded().seed == 0  # 0 is a seed
    assert generation_settings(seed=None, count=None) == GenerationSettings()


def test_a_comment_holds_what_makes_the_sound_again() -> None:
    made = GenerationSettings(count=5, seed=3, temperature=0.7, ending="exact")
    comment = made.comment("my kit", 5)
    assert comment.startswith("model my kit, seed 5, settings {")
    again = GenerationSettings.model_validate(json.loads(comment.split("settings ", 1)[1]))
    assert again == made.model_copy(update={"seed": 5, "count": 1})
