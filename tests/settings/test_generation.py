"""What may be asked of a model: bounds in one sentence, seeds, and what stands in a file."""

import json
from pathlib import Path

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
        ("bits", ["8", 20, True, 24.5], "--bits"),
        ("rate", [0, 7_999, 192_001, 44_100.5, float("nan")], "--rate"),
        ("normalise", ["loud"], "--normalise"),
        ("lufs", [-61.0, 0.0, float("nan")], "--lufs"),
        ("trim", [60.0, 0.0, -121.0, float("nan")], "--trim"),
        ("fade_in", [-1.0, 61.0, float("nan")], "--fade-in"),
        ("fade_out", [-1.0, float("inf")], "--fade-out"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_its_flag(name: str, values: list[object], flag: str) -> None:
    """Guards against bounds of one face alone, and against NaN, which is within any."""
    for value in values:
        with pytest.raises(DistillError, match=f"^{flag} .*\\.$") as mistake:
            generation_settings(**{name: value})
        assert "\n" not in str(mistake.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"bits": 16, "format": "mp3"}, "--bits 16: mp3 files have no bits a sample; choose --format wav."),
        ({"bits": "32", "format": "flac"}, "--bits 32 is floating point, which flac files are not; choose --format wav."),
        ({"rate": 96_000, "format": "mp3"}, "--rate 96000: mp3 files have other rates; choose 48000, or --format wav."),
        ({"lufs": -14}, "--lufs -14 is for --normalise lufs: add it."),
        *(
            ({name: value, "loop": True, "bpm": 120},
             f"--{flag} and --loop: a loop keeps its length and its ends; leave --{flag} out.")
            for name, flag, value in (("trim", "trim", -60), ("fade_in", "fade-in", 0.1), ("fade_out", "fade-out", 0.1))
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_one_sentence(given: dict[str, object], sentence: str) -> None:
    """Guards against a loop that is cut, and a wish for a file that libsndfile would refuse in its own words."""
    with pytest.raises(DistillError) as mistake:
        generation_settings(**given)
    assert str(mistake.value) == sentence


def test_what_a_file_says_of_it_can_be_made_again() -> None:
    """Guards against settings that are refused once all of them are given, as the history gives them."""
    for made in (
        generation_settings(bits=16, rate=44_100, normalise="peak", trim=-50, fade_out=0.2),
        generation_settings(normalise="lufs", lufs=-16, bits=32, loop=True, bpm=90),
        generation_settings(format="mp3", rate=22_050),
    ):
        assert GenerationSettings.model_validate(json.loads(made.model_dump_json())) == made


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


def test_a_request_as_plain_values_makes_the_sound_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards against a setting that is lost on the way into a file, and against the user's name in it."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    mine, other = tmp_path / "my sounds" / "a.wav", Path("b.wav")
    for given in (
        {"count": 5, "temperature": 0.7, "ending": "exact", "pitch": "C4"}, {"vary": mine}, {"continue_": other},
        {"replace": ("0.1-0.2", str(mine))}, {"bridge": (mine, other)}, {"loop": True, "bpm": 97.5, "bars": 2},
    ):  # fmt: skip
        made = generation_settings(**given, seed=3)
        text = json.dumps(made.plain())
        assert str(tmp_path) not in text
        again = GenerationSettings.model_validate(json.loads(text))
        assert (
            again.with_files([tmp_path / file.relative_to("~") if file != other else file for file in again.files])
            == made
        )
        assert again.alone(5).seeds() == [5]
    assert generation_settings(replace=("0-1", "x"), seed=3).alone(5).seeded().count == 1
