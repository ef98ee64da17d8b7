"""A model for other hosts: the graphs say what the program says, and the player makes the program's sounds."""

import importlib.util
import json
import math
import subprocess
import sys
import threading
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import distill
from distill import studio
from distill.errors import DistillError, Stopped
from distill.export import writing
from distill.export.description import description
from distill.export.graphs import LevelGraph, PriorGraph
from distill.export.parts import Inputs, Part, drawn, parts_of
from distill.export.player import Player
from distill.export.writing import TOLERANCE, largest_difference
from distill.instrument.rendering import to_samples
from distill.instrument.sampling import sample_pieces
from distill.instrument.synthesisers import choose_synthesiser
from distill.instrument.wishes import IN_TIME
from distill.modelfile.card import LetGo
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models import synthesiser
from distill.models.loudness import Wanted
from distill.models.prior import CodePrior, Given
from distill.models.reading import order_around
from distill.models.release import released
from distill.models.sampling import clip_generator
from distill.models.stepping import Stepper
from distill.models.synthesiser import shipped_network
from distill.settings.generation import generation_settings
from distill.settings.geometry import END_POINTS, FRAMES_PER_COLUMN, SAMPLE_RATE, SpectrogramConfig, columns
from distill.settings.prior import PriorConfig
from distill.studio import exporting

LEAST_SNR_DB = 20.0
"""Of the player's sound to the program's. Phase is found by steps that let rounding grow: 21 dB was the least of 76 sounds of
trained models, over 60 dB the median."""
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in writing.PACKAGES), reason="distill[onnx] is not installed"
)


class TorchRandom:
    """The program's source of randomness, as numpy's generators offer theirs."""

    def __init__(self, seed: int) -> None:
        self.generator = clip_generator(seed)

    def random(self, count: int, dtype: Any = np.float64) -> Any:
        wanted = torch.float64 if dtype is np.float64 else torch.float32
        return torch.rand(count, generator=self.generator, dtype=wanted).numpy()

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        assert dtype is np.float32
        return torch.randn((shape[0] * shape[1], shape[2]), generator=self.generator).numpy().reshape(shape)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder; tests must not change it."""
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    said = distill.load(tiny_model, device="cpu").export_onnx(folder)
    assert set(said["files"]) == {each.name for each in folder.iterdir()}
    assert said["largest_difference"] <= TOLERANCE
    return folder


@pytest.fixture(scope="module")
def parts(loaded: LoadedVQModel) -> dict[str, Part]:
    return {part.name: part for part in parts_of(loaded, shipped_network(SpectrogramConfig()))}


def inputs_of(part: Part, seed: int, **lengths: int) -> Inputs:
    """Others than those that the graph was traced with."""
    limits = {name: 6 for name, value in part.example.items() if value.dtype == torch.int64} | {"start": 2, "kind": 1}
    made = drawn(part.inputs, {"columns": 9, "frames": 77, **lengths}, limits, seed)
    if "texture" in made:
        made["texture"] = torch.tensor(0.0)
    if "mel" in made:
        made["mel"] = made["mel"] * 20.0 - 40.0
    if "decoded" in made:
        made["decoded"] = made["decoded"] * 40.0 - 60.0
    if "traits" in made:
        made["traits"][..., ::2] = torch.nan
    return made


@pytest.mark.parametrize("name", ["decoder", "ending", "prior", "level_1", "level_2", "level_3", "synthesiser"])
def test_a_runtime_says_what_the_program_says(name: str, exported: Path, parts: dict[str, Part]) -> None:
    """Guards against graphs that hold only for the lengths they were traced with: one position and an empty cache, one column,
    one row; and against NaN, a wish for nothing, that becomes a wish in a runtime."""
    part, file = parts[name], exported / f"{name}.onnx"
    for number, lengths in enumerate(
        [
            {"batch": 1, "positions": 1, "past": 0, "columns": 1, "frames": 1},
            {"batch": 3, "positions": 1, "past": 31},
            {"batch": 1, "positions": 20, "past": 2, "columns": 2},
        ]
    ):
        found = largest_difference(part, file, inputs_of(part, number, **lengths))
        assert found <= TOLERANCE, (lengths, found)


def test_grain_is_drawn_as_the_program_draws_it(exported: Path, parts: dict[str, Part]) -> None:
    """Guards against noise that lands on other cells; one at the border of two levels may have another deviation."""
    inputs = inputs_of(parts["decoder"], 0) | {"texture": torch.tensor(1.0)}
    with torch.no_grad():
        ours: Tensor = parts["decoder"].module(**inputs)[0]
    theirs = Player(exported).run("decoder", **{name: value.numpy() for name, value in inputs.items()})[0]
    apart = np.abs(theirs - ours.numpy())
    assert (apart <= TOLERANCE).mean() > 0.999
    plain = Player(exported).run(
        "decoder", **{name: value.numpy() * (name != "texture") for name, value in inputs.items()}
    )
    assert np.abs(theirs - plain[0]).max() > 1.0


def test_positions_and_levels_are_those_of_the_prior() -> None:
    """Guards against graphs that agree with themselves alone: a hole between known columns, wished for, read in two calls."""
    config = PriorConfig(
        hidden_size=32, num_layers=2, num_heads=2, codebook_size=16, codebook_dim=8, rvq_levels=3, both_sides=True,
        traits=True, kinds=3, periods=True,
    )  # fmt: skip
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        prior = CodePrior(config, torch.randn(3, 16, 8)).eval()
        for weight in prior.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
        codes, traits = torch.randint(0, 16, (2, 48, 3)), torch.randn(2, 7, 4)
        traits[0, :, 1:], traits[1, 2:4] = torch.nan, torch.nan
        known = torch.tensor([[True, True, False, False, True, False]])
        given = Given(order=order_around(known), traits=traits, kind=torch.tensor([1, 3]), period=torch.tensor([2]))
        start = torch.tensor([0, 1])
        expected = prior(codes, start, given=given)
        reading = prior._reading(given, 6, codes.device)
        around = prior._surroundings(codes, reading, None)
        trunk, keys = PriorGraph(prior, Stepper(prior)), torch.zeros(2, 2, 2, 0, 16)
        values, states = keys, []
        for some in (slice(0, 24), slice(24, 49)):
            column = reading.places[0, some] // 8
            state, keys, values = trunk(
                around.sources[:, some], reading.places[0, some], start, keys, values, reading.left_gap[0, some],
                reading.right_gap[:, some].expand(2, -1), given.kind, traits[:, column],
            )  # fmt: skip
            states.append(state)
        here = codes[:, reading.places[0, :48]]  # in the order of reading
        for step, state in enumerate(torch.cat(states, 1)[:, :48].unbind(1)):
            for level in range(3):
                graph = LevelGraph(trunk.stepper, level)
                logits = graph(state, around.sources[:, step], here[:, step, :level] if level else None)
                torch.testing.assert_close(logits[:, :16], expected[:, step, level, :16], atol=1e-4, rtol=0)


def test_a_kind_that_is_not_asked_for_changes_nothing() -> None:
    """Guards against the kind 0 being one of the kinds: then a host could not leave it open."""
    prior = CodePrior(PriorConfig(hidden_size=16, num_layers=1, num_heads=2, both_sides=True, kinds=2)).eval()
    graph, cache = PriorGraph(prior, Stepper(prior)), torch.zeros(1, 1, 2, 0, 8)
    sources, nothing = torch.full((1, 1, 6, 3), prior.outside), torch.zeros(1, dtype=torch.long)
    state = prior.begin(nothing, torch.zeros(1, 0, 3, dtype=torch.long))
    with torch.no_grad():
        alone = graph.stepper._trunk(state, sources[:, 0], None)
        found = [
            graph(sources, nothing, nothing, cache, cache, nothing, nothing[None], kind)[0][:, 0]
            for kind in (torch.tensor([0]), torch.tensor([1]))
        ]
    torch.testing.assert_close(found[0], alone)
    assert not torch.allclose(found[1], alone)


@pytest.mark.parametrize(("seconds", "seed"), [(0.6, 0), (2.5, 3)])
def test_the_player_makes_the_programs_sound(
    seconds: float, seed: int, exported: Path, loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a player that plays something: from the same randomness the same codes, beyond the prior's window too, and
    from these the same samples."""
    settings = generation_settings(seconds=seconds, seed=seed, ending="natural")
    monkeypatch.setattr(synthesiser, "multiplies_bfloat16", lambda _device: False)  # the player's graphs are in float32
    player, synthesise = Player(exported), choose_synthesiser(loaded, "auto", torch.device("cpu"))
    generator, rng = clip_generator(seed), TorchRandom(seed)
    assert loaded.prior is not None
    for _, _, sampled in sample_pieces(loaded.prior, [generator], loaded, settings):  # noqa: B007
        pass
    limit = columns(loaded.card.spectrogram_config.frames(round(seconds * SAMPLE_RATE)))
    codes, ended = player.sample(limit, rng)
    np.testing.assert_array_equal(codes.reshape(-1, 3), sampled[0].codes.numpy())
    assert ended == sampled[0].ended
    state = generator.get_state()
    for ends in (False, True):  # where its codes end, or within their last column
        generator.set_state(state)
        rng.generator.set_state(state)
        ours = to_samples(loaded, sampled[0]._replace(ended=ends), synthesise, generator, settings)[0]
        theirs = player.sound(codes, ends, rng, seconds)
        assert theirs.shape == ours.shape
        assert 10.0 * math.log10(np.square(ours).sum() / np.square(ours - theirs).sum()) > LEAST_SNR_DB


class OnTorch(Player):
    """A player whose graphs are the program's own networks."""

    def __init__(self, loaded: LoadedVQModel) -> None:
        self.parts = {part.name: part for part in parts_of(loaded, None)}
        self.card = description(loaded, None, list(self.parts.values()), dict.fromkeys(self.parts, 0.0), [])

    def run(self, graph: str, **inputs: Any) -> list[Any]:
        wanted = {name: torch.as_tensor(inputs[name]) for name in self.parts[graph].inputs}
        with torch.no_grad():
            found = self.parts[graph].module(**wanted)
        return [each.numpy() for each in (found if isinstance(found, tuple) else (found,))]


def with_prior(loaded: LoadedVQModel, config: PriorConfig, **card: object) -> LoadedVQModel:
    """The model with another prior, of random weights."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        prior = CodePrior(config, torch.randn(config.rvq_levels, config.codebook_size, config.codebook_dim)).eval()
        for weight in prior.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return replace(loaded, prior=prior, card=loaded.card.model_copy(update={"prior_config": config, **card}))


def test_the_player_keeps_time(loaded: LoadedVQModel) -> None:
    """Guards against a player that looks a period back at another place than the program, or behind its window."""
    assert loaded.prior is not None
    config = loaded.prior.config.model_copy(update={"both_sides": True, "periods": True})
    in_time = with_prior(loaded, config, periods=(4,))
    assert in_time.prior is not None
    settings = generation_settings(seconds=2.5, seed=3, ending="natural", strength=1.0 / IN_TIME)  # as learned
    *_, (_, wanted, sampled) = sample_pieces(in_time.prior, [clip_generator(3)], in_time, settings)
    assert wanted > in_time.prior.window
    player = OnTorch(in_time)
    assert player.card["prior"]["periods"] == [4]
    in_period, without = (player.sample(wanted, TorchRandom(3), period=period)[0].reshape(-1, 3) for period in (4, 0))
    np.testing.assert_array_equal(in_period, sampled[0].codes.numpy())
    assert not np.array_equal(in_period, without)


def test_the_player_ends_as_often_as_the_program(loaded: LoadedVQModel) -> None:
    """Guards against a player that knows nothing of what is added to the logit of an end."""
    assert loaded.prior is not None
    model = with_prior(loaded, loaded.prior.config)
    assert model.prior is not None
    settings = generation_settings(seconds=2.5, seed=3, ending="natural")
    lengths = []
    for model.prior.end_logit in (0.0, -4.0, 4.0):
        *_, (_, wanted, sampled) = sample_pieces(model.prior, [clip_generator(3)], model, settings)
        codes, ended = OnTorch(model).sample(wanted, TorchRandom(3))
        np.testing.assert_array_equal(codes.reshape(-1, 3), sampled[0].codes.numpy())
        assert ended == sampled[0].ended
        lengths.append(len(codes))
    assert lengths[2] < lengths[1]


def test_the_player_shares_images_between_columns(loaded: LoadedVQModel) -> None:
    """Guards against a player that draws images where the prior has never learned to."""
    assert loaded.prior is not None
    config = loaded.prior.config.model_copy(update={"rvq_levels": 4, "image_columns": 3})
    stereo = with_prior(loaded, config, image_size=16, image_columns=3)
    assert stereo.prior is not None
    settings = generation_settings(seconds=2.5, seed=5, ending="natural")
    *_, (_, wanted, sampled) = sample_pieces(stereo.prior, [clip_generator(5)], stereo, settings)
    codes, _ = OnTorch(stereo).sample(wanted, TorchRandom(5))
    assert len(codes) > 3
    np.testing.assert_array_equal(codes.reshape(-1, 4), sampled[0].codes.numpy())


@pytest.mark.parametrize("ends", [1.0, 0.1, 0.001])
def test_the_player_lets_go_as_the_program_does(loaded: LoadedVQModel, ends: float) -> None:
    """Guards against a player whose ends are those that were drawn."""
    assert loaded.card.prior_metadata is not None
    made = tuple(np.linspace(-48.0, 0.0, END_POINTS).tolist())
    date = loaded.card.prior_metadata.training_date
    let_go = LetGo(made_db=made, recorded_db=tuple(2.0 * each - 5.0 for each in made), training_date=date)
    model = replace(loaded, card=loaded.card.model_copy(update={"release": let_go}))
    player = OnTorch(model)
    for length in (500, 3_000, 30_000):
        sound = np.random.default_rng(0).standard_normal(length).astype(np.float32)
        sound[length // 2 :] *= ends
        ours = released(torch.from_numpy(sound)[None], model.release)[0].numpy()
        np.testing.assert_allclose(player.released(sound), ours, atol=1e-4)
        assert (length < 960) == np.array_equal(ours, sound)


def test_a_limited_sound_is_as_loud_as_the_programs(exported: Path, loaded: LoadedVQModel) -> None:
    """Guards against a player that only turns down what the program limits."""
    assert loaded.loudness is not None
    player, noise = Player(exported), np.random.default_rng(0).standard_normal(9600).astype(np.float32)
    noise[4000] = 20.0
    for is_peak in (False, True):
        learned = loaded.loudness
        player.card["loudness"] |= {"is_peak": is_peak, "bounds_db": [[-12.0, -6.0], [-12.0, -6.0]]}
        before = bool(learned.is_peak)
        learned.is_peak.fill_(is_peak)
        try:
            ours = learned.applied(torch.from_numpy(noise), Wanted(-12.0, -6.0)).numpy()
        finally:
            learned.is_peak.fill_(before)
        theirs = player.levelled(noise, np.zeros(2), 0.0)
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_the_player_needs_numpy_and_onnxruntime_alone(exported: Path, tmp_path: Path) -> None:
    """Guards against a player that imports the program, and against one whose sounds no seed decides."""
    program = (
        "import runpy, sys\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
        "found = {'torch', 'distill', 'scipy', 'onnx', 'soundfile'} & set(sys.modules)\nassert not found, found\n"
    )
    outs = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for out in outs:
        call = [
            sys.executable,
            "-I",
            "-c",
            program,
            exported / "player.py",
            exported,
            out,
            "--seconds",
            "0.3",
            "--seed",
            "1",
        ]
        subprocess.run(call, check=True, timeout=60)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    with wave.open(str(outs[0])) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (SAMPLE_RATE, 3, 1)
        assert 960 <= sound.getnframes() <= 0.3 * SAMPLE_RATE
    refused = subprocess.run(
        [sys.executable, exported / "player.py", exported, outs[0], "--kind", "kazoo"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "kazoo" in refused.stderr.splitlines()[-1]


def test_the_description_says_what_a_host_needs(exported: Path, loaded: LoadedVQModel) -> None:
    """Guards against shapes, rates or vocabularies that are another model's, and against the machine's paths in the files."""
    said = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    assert loaded.prior is not None
    config = loaded.prior.config
    assert said["codes"] == {
        "bands": 8, "levels": 3, "middle_levels": 3, "size": 16, "frames_per_column": FRAMES_PER_COLUMN,
        "image_columns": 1, "column_seconds": FRAMES_PER_COLUMN * 512 / SAMPLE_RATE,
    }  # fmt: skip
    assert said["decoder"]["level_db"] == float(loaded.codec.typical_level_db)
    assert said["prior"]["end"] == 16
    assert len(said["prior"]["sources"]) == 1 + config.neighbours
    assert said["graphs"]["prior"]["inputs"]["sources"]["shape"] == ["batch", "positions", 1 + config.neighbours, 3]
    for file in exported.glob("*.onnx"):
        content = file.read_bytes()
        assert b"stack_trace" not in content
        assert str(Path(distill.__file__).parent).encode() not in content


def test_a_model_without_a_prior_is_exported_as_far_as_it_goes(loaded: LoadedVQModel) -> None:
    """Guards against an older model that cannot be exported at all, or lacks something without a word."""
    bare = replace(loaded, prior=None, endings=None, loudness=None, grain=None)
    (decoder,) = parts_of(bare, None)
    assert set(decoder.inputs) == {"codes", "level_db"}
    assert list(decoder.outputs) == ["mel", "decoded"]
    missing = exporting._missing(bare, None)
    assert any("no prior" in sentence for sentence in missing)
    assert any("no synthesiser" in sentence for sentence in missing)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_written_whole_or_not_at_all(
    overwrite: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against half an export in the place of a whole one, after a failure or a stop."""
    folder, calls = tmp_path / "out", []
    if overwrite:
        folder.mkdir()
        (folder / "model.json").write_text("before", encoding="utf-8")

    def fails(part: Part, path: Path) -> None:
        path.write_bytes(b"half")
        calls.append(part.name)
        if len(calls) == 2:
            raise OSError("no more")

    monkeypatch.setattr(exporting, "write_graph", fails)
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.0)
    with pytest.raises(OSError, match="no more"):
        list(studio.export_onnx(str(tiny_model), folder, overwrite))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        list(studio.export_onnx(str(tiny_model), folder, overwrite, stop))
    assert calls == ["decoder", "ending"]
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if overwrite else [])
    if overwrite:
        assert (folder / "model.json").read_text(encoding="utf-8") == "before"
        monkeypatch.setattr(exporting, "write_graph", lambda _part, path: path.write_bytes(b"whole"))
        list(studio.export_onnx(str(tiny_model), folder, overwrite))
        assert (folder / "decoder.onnx").read_bytes() == b"whole"
        assert (folder / "model.json").read_text(encoding="utf-8") != "before"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_graph_that_differs_is_not_kept(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an exporter or a runtime of another version that computes something else, NaN included."""
    monkeypatch.setattr(exporting, "write_graph", lambda _part, path: path.write_bytes(b""))
    for difference in (2e-4, math.nan):
        monkeypatch.setattr(exporting, "largest_difference", lambda *_, found=difference: found)
        with pytest.raises(DistillError, match="decoder differs"):
            list(studio.export_onnx(str(tiny_model), tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a folder of the user's being replaced, and against minutes of work before it is found out."""
    monkeypatch.setattr(exporting, "load_model", None)
    mine, before, file = tmp_path / "mine", tmp_path / "before", tmp_path / "file"
    for folder, name in ((mine, "song.wav"), (before, "model.json")):
        folder.mkdir()
        (folder / name).write_text("kept", encoding="utf-8")
    file.write_text("kept", encoding="utf-8")
    for folder, overwrite, why in (
        (mine, True, "other files"),
        (before, False, "--overwrite"),
        (file, True, "is a file"),
    ):
        with pytest.raises(DistillError, match=why):
            list(studio.export_onnx(str(tiny_model), folder, overwrite))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["before", "file", "mine", "model.json", "song.wav"]
