"""`import distill`: the page's example runs, arrays have the shapes it says, and a seed gives what the command line writes."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import distill
from distill import studio
from distill.errors import DistillError
from distill.settings.generation import GenerationSettings
from distill.studio import calls as module
from tiny import TINY_CODEC, TINY_PRIOR, hit, write_sounds


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> distill.Model:
    return distill.load(tiny_model, device="cpu")


def test_importing_distill_loads_nothing_heavy() -> None:
    """Guards against `import distill` that takes seconds, and against names it says it has and has not."""
    program = (
        "import sys, distill\n"
        "assert not {'torch', 'numpy', 'pydantic', 'soundfile'} & set(sys.modules), sys.modules\n"
        "assert set(distill.__all__) <= set(dir(distill))\n"
        "assert all(getattr(distill, name) is not None for name in distill.__all__)\n"
        "try:\n    distill.nothing\nexcept AttributeError:\n    pass\nelse:\n    raise SystemExit(2)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert (Path(distill.__file__).parent / "py.typed").exists()


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code at the top of docs/api.md as it stands, with settings that take seconds instead of minutes."""
    write_sounds(tmp_path / "sounds")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))
    source = inspect.getdoc(module) or ""
    code = "\n".join(line[4:] for line in source.splitlines() if line.startswith("    ") or not line.strip())
    assert f"    {code.strip().splitlines()[0]}" in (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    short = code.replace('name="mine")', 'name="mine", device="cpu", **CODEC)').replace(
        'train_prior("mine")', 'train_prior("mine", device="cpu", **PRIOR)'
    )
    assert short.count("**") == 2
    names: dict[str, object] = {"CODEC": TINY_CODEC, "PRIOR": TINY_PRIOR, "print": lambda event: None}
    exec(short, names)
    made, again = names["samples"], names["again"]
    assert isinstance(made, np.ndarray)
    assert isinstance(again, np.ndarray)
    assert made.shape[:2] == (8, 1)
    assert made.dtype == again.dtype == np.float32
    assert again.shape == made.shape[1:]
    assert names["rate"] == 48_000


def test_a_seed_gives_what_the_command_line_writes(model: distill.Model, tmp_path: Path) -> None:
    """Guards against a face of its own: same request, same samples, whatever the count."""
    samples, rate = model.generate(count=3, seconds=0.5, seed=5, temperature=0.9)
    settings = GenerationSettings(count=2, seconds=0.5, seed=6, temperature=0.9)
    list(studio.generate(str(model.path), tmp_path, settings, "cpu"))
    for number, path in enumerate(sorted(tmp_path.iterdir()), start=1):
        written, file_rate = soundfile.read(path, dtype="float32")
        assert file_rate == rate
        np.testing.assert_allclose(samples[number, 0, : len(written)], written, atol=2.0**-22)
        assert not samples[number, 0, len(written) :].any()
    alone = distill.generate(model.path, 1, 0.5, 5, temperature=0.9).samples[0, 0]
    assert np.array_equal(alone, samples[0, 0, : len(alone)])
    assert not samples[0, 0, len(alone) :].any()


def test_a_sound_comes_back_as_long_as_it_was(model: distill.Model) -> None:
    given = hit(3, 0.7)
    mono = model.reconstruct(given, 48_000)
    assert mono.samples.shape == (1, len(given))
    both = model.reconstruct(np.stack([given, given]), 48_000)
    assert both.samples.shape == (1, len(given))
    slower = model.reconstruct(given, 24_000)
    assert slower.samples.shape == (1, 2 * len(given))
    assert float(np.abs(mono.samples).max()) > 0.01


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [(np.zeros((2, 2, 2)), 48_000, "shape"), (np.zeros(9000), 0, "rate 0"), (np.zeros(10), 48_000, "20 ms"),
     (np.full(9000, np.nan), 48_000, "NaN"), (np.zeros(0), 48_000, "shape")],
)  # fmt: skip
def test_what_is_no_sound_is_named(model: distill.Model, samples: np.ndarray, rate: int, said: str) -> None:
    with pytest.raises(DistillError, match=re.escape(said)):
        model.reconstruct(samples, rate)


def test_mistakes_are_sentences(model: distill.Model, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="--temperature"):
        model.generate(temperature=-1.0)
    with pytest.raises(DistillError, match="no setting called 'tempo'"):
        model.generate(tempo=120)
    with pytest.raises(DistillError, match="There is no model"):
        distill.load("nothing of this name")
    with pytest.raises(DistillError, match="There is no folder"):
        list(distill.train(tmp_path / "nowhere", out=tmp_path / "m.distill"))
    assert repr(model) == "<distill model tiny: codec and prior>"
