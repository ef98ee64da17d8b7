"""Fields, flags and knobs are the same set; an empty field changes nothing."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import gradio as gr
import pytest
import typer
from pydantic import BaseModel

from distill.cli.app import app
from distill.cli.flags import settings_flags
from distill.errors import DistillError
from distill.settings.auto import CorpusFacts, codec_auto, prior_auto, resolve
from distill.settings.codec import CodecSettings
from distill.settings.generation import FROM_SOUNDS, OF_VERBS, GenerationSettings, generation_settings
from distill.settings.knobs import is_knob, knob, knobs_of, label_of
from distill.settings.prior import PriorSettings
from distill.settings.synthesiser import SynthesiserSettings
from distill.ui.api import FIRST, NOT_GIVEN, _making
from distill.ui.fields import in_page_words, knob_fields, number_from, overrides_from, shown_auto
from distill.ui.generate_fields import (
    ALL_DIALS,
    DIALS,
    KNOBS,
    NO_FIELD,
    OF_TWO,
    VERBS,
    Start,
    settings_from,
    shown_for,
    start_of,
    values_of,
)
from distill.ui.page import build
from distill.ui.page_state import PageState

STAGES: list[tuple[str, str, type[BaseModel]]] = [
    ("codec", "train", CodecSettings),
    ("prior", "train-prior", PriorSettings),
    ("synthesiser", "train-synth", SynthesiserSettings),
]
EXTRAS = ("device", "dataset", "allow_changed", "embed_codes")
"""What is no setting: tests/ui/test_parity.py compares it."""
FACTS = CorpusFacts(files=40, seconds=50.0, crops=60)


class Mixed(BaseModel):
    """Every kind of knob."""

    preset: Literal["draft", "standard", "thorough"] = knob("standard", "How careful.")
    pretrained: bool = knob(True, "Start from something.")
    num_layers: int = knob(4, "How many.", auto=True, ge=1, le=32)
    dropout: float = knob(0.2, "How much.", advanced=True, ge=0.0, le=0.9)


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the page is made of, by id."""
    page = build(PageState(tmp_path_factory.mktemp("room"), any_folder=True))
    made = page.get_config_file()["components"]
    return {part["props"]["elem_id"]: part["props"] for part in made if part["props"].get("elem_id")}


@pytest.mark.parametrize(("stage", "command", "model"), STAGES)
def test_fields_flags_and_knobs_are_the_same_set(
    components: dict[str, dict[str, Any]], stage: str, command: str, model: type[BaseModel]
) -> None:
    """Guards against a setting that one face has and the other has not, or calls or bounds differently."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    options = {option.opts[0]: option for option in group.commands[command].params if option.opts[0].startswith("--")}
    knobs = {knob.name: knob for knob in knobs_of(model)}
    assert set(knobs) == {name for name, field in model.model_fields.items() if is_knob(field)}
    other = {"--name", "--out", "--overwrite", "--resume", "--device", "--json", "--dataset", "--allow-changed",
             "--embed-codes", "--novelty", "--devices", "--num-nodes", "--strategy", "--again", "--add",
             "--continue-codec"}  # fmt: skip
    assert {knob.flag for knob in knobs.values()} == set(options) - other
    controls = ("subject", "model-name", "corpus", "advanced", "train", "resume", "stop", "confirm", "replace", "cancel",
                "banner", "use-best", "live", "elsewhere", *EXTRAS)  # fmt: skip
    ids = {name.removeprefix(f"{stage}-") for name in components if name.startswith(f"{stage}-")}
    assert ids - set(controls) == set(knobs)
    for name, each in knobs.items():
        field = components[f"{stage}-{name}"]
        assert field["label"].lower().replace(" ", "-") == each.flag.removeprefix("--")
        assert field["info"] == options[each.flag].help == each.help
        assert each.choices or each.bounds in field["info"] != ""


OF_PACKS = ("--pack", "--licence", "--kit", "--zip", "--certificate", "--overwrite")
"""What is no setting of a sound."""


def test_making_is_declared_once(components: dict[str, dict[str, Any]]) -> None:
    """Guards against a default, a bound or a name that the page, the command line and the endpoint do not share."""
    group: Any = typer.main.get_command(app)
    options = {option.opts[0]: option for option in group.commands["generate"].params if option.opts[0][:2] == "--"}
    endpoint = _making(PageState(Path("unused"), any_folder=True))[0]
    parameters = dict(inspect.signature(endpoint).parameters)
    assert list(parameters)[: len(FIRST)] == list(FIRST)
    knobs = knobs_of(GenerationSettings)
    assert {knob.flag for knob in knobs} == set(options) - {
        "--out",
        "--exact",
        "--stream",
        "--device",
        "--json",
        *OF_PACKS,
    }
    for each in knobs:
        assert options[each.flag].help == each.help
        if each.name not in NOT_GIVEN:
            assert parameters.pop("audio_format" if each.name == "format" else each.name).default == each.default
        if each.name not in NO_FIELD:
            field = components[f"generate-{each.name.replace('_', '-')}"]
            assert field["label"].lower().replace(" ", "-") == each.flag.removeprefix("--")
            assert field["info"] == in_page_words(each.help)
            assert "--" not in field["info"]
            wanted = each.unset if each.annotation is bool else each.default  # a menu of words
            assert field.get("value") == wanted
            if "maximum" in field and field["maximum"] is not None:
                assert field["maximum"] == each.high
    assert set(parameters) == {"model", "device"}


def test_what_is_in_the_fields_is_what_is_made() -> None:
    """Guards against values that go to the wrong setting, and against an empty field that counts as 0."""
    made = generation_settings(count=3, seconds=2.5, seed=9, temperature=0.5, top_k=7, top_p=0.9, ending="exact",
                               synthesiser="griffin-lim", texture=0.25)  # fmt: skip
    assert settings_from(*values_of("kit", made)) == ("kit", made)
    assert settings_from("kit", *[None] * len(KNOBS)) == ("kit", GenerationSettings())
    for name, value in (("count", 0), ("temperature", 11.0), ("top_k", 2.5), ("seed", "-1"), ("seconds", 1e-310)):
        values = [value if knob == name else None for knob in KNOBS]
        with pytest.raises(DistillError) as mistake:
            settings_from("kit", *values)
        assert in_page_words(str(mistake.value)).startswith(KNOBS[name].label)
    with pytest.raises(DistillError, match="Choose a model"):
        settings_from(None, *[None] * len(KNOBS))


TWO = (Path("a/one.wav"), Path("b/two.wav"))
"""Sounds that were dropped."""
OF_EACH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "continue_": ({"continue_": TWO[0]}, {}),
    "replace": ({"replace": ("0.1-0.2", str(TWO[0]))}, {"candidates": 3}),
    "vary": ({"vary": TWO[0]}, {"amount": 0.6}),
    "like": ({"like": TWO[0]}, {"like_strength": 0.9}),
    "more_like": ({"more_like": TWO[0]}, {"like_strength": 0.1}),
    "bridge": ({"bridge": TWO}, {}),
    "morph": ({"morph": TWO}, {"steps": 5, "way": 0.25, "like_strength": 0.4}),
}
"""For each verb what names the sounds, and its dials."""


@pytest.mark.parametrize("verb", FROM_SOUNDS)
def test_every_verb_is_made_of_its_sounds_and_its_own_dials(verb: str) -> None:
    """Guards against a verb that the page leaves out, sounds in the wrong order, and dials of a verb that was chosen before
    (a way without a morph cannot be)."""
    sounds, dials = OF_EACH[verb]
    assert VERBS[verb].partition(":")[0] == label_of(f"--{verb.rstrip('_').replace('_', '-')}")
    assert set(dials) == set(DIALS.get(verb, ()))
    every: dict[str, Any] = {"candidates": 9, "amount": 0.9, "like_strength": 0.9, "steps": 9, "way": "0.9"}
    values = [{**every, **dials, "seed": "3"}.get(name) for name in KNOBS]
    start = Start(verb, " 0,1\N{EN DASH}0,2 " if verb == "replace" else "", TWO)
    assert settings_from("kit", *values, start=start) == ("kit", generation_settings(seed=3, **sounds, **dials))
    assert settings_from("kit", *values) == ("kit", generation_settings(seed=3))
    made = generation_settings(seed=3, **sounds, **dials)
    assert start_of(made) == Start(verb, "0.1-0.2" if verb == "replace" else "", TWO if verb in OF_TWO else TWO[:1])
    assert settings_from(*values_of("kit", made), start=start_of(made)) == ("kit", made)


def test_dials_are_those_of_the_command_line() -> None:
    """Guards against a dial of a verb that stays hidden, or is shown for new sounds."""
    loops = {"loop", "bpm", "bars", "beats", "tempo_from"}
    assert set(ALL_DIALS) == set(OF_VERBS) - set(FROM_SOUNDS) - loops
    for verb in ("", *FROM_SOUNDS):
        _, first, second, part, *dials = shown_for(verb)
        seen = {name for name, update in zip(ALL_DIALS, dials, strict=True) if update["visible"]}
        assert seen == set(DIALS.get(verb, ()))
        assert first.visible == (verb != "")
        assert second.visible == (verb in ("bridge", "morph"))
        assert part.visible == (verb == "replace")


@pytest.mark.parametrize(
    ("start", "more", "sentence"),
    [
        (Start("vary"), {}, "Vary: drop the sound under From a sound first."),
        (Start("bridge", "", (TWO[0], None)), {}, "Bridge: drop two sounds under From a sound first."),
        (Start("morph", "", (None, TWO[1])), {}, "Morph: drop two sounds under From a sound first."),
        (Start("replace", " ", TWO), {}, "Replace: give the part as FROM-TO in seconds, such as 1.2-1.8."),
        (Start("vary", "", TWO), {"loop": "on", "bpm": "120"}, "Vary and Loop: choose one of them."),
        (Start("like", "", TWO), {"seconds": 700.0}, "Seconds 700: with Like at most 600."),
        (Start("morph", "", TWO), {"pick": "3"}, "Pick and Morph: all steps are wanted"),
    ],
)
def test_what_cannot_be_made_of_a_sound_is_a_sentence(start: Start, more: dict[str, Any], sentence: str) -> None:
    """Guards against new sounds where a sound was to be varied, and against another sentence than the command line's."""
    with pytest.raises(DistillError) as mistake:
        settings_from("kit", *[more.get(name) for name in KNOBS], start=start)
    assert in_page_words(str(mistake.value)).startswith(sentence)


@pytest.mark.parametrize(("_stage", "_command", "model"), STAGES)
def test_untouched_knobs_never_override(_stage: str, _command: str, model: type[BaseModel]) -> None:
    """Guards against a field whose default counts as the user's wish."""
    knobs = knobs_of(model)
    with gr.Blocks():
        values = [field.value for field in knob_fields("x", knobs)]
    assert overrides_from(knobs, values) == {}
    automatic = {CodecSettings: codec_auto(FACTS), PriorSettings: prior_auto(FACTS)}.get(model, {})
    resolved = resolve(model, automatic, overrides_from(knobs, values))
    assert "set" not in resolved.origin.values()


def test_auto_values_are_shown_and_what_is_typed_counts() -> None:
    knobs = knobs_of(CodecSettings)
    with gr.Blocks():
        fields = dict(zip([each.name for each in knobs], knob_fields("x", knobs), strict=True))
        updates = dict(zip(fields, shown_auto(knobs, codec_auto(FACTS)), strict=True))
    assert fields["epochs"].placeholder == "auto"
    assert updates["epochs"].placeholder == f"auto: {codec_auto(FACTS)['epochs']}"
    assert updates["batch_size"].placeholder == "16"
    typed = dict.fromkeys(fields, "") | {"epochs": " 12 ", "learning_rate": "0,002", "pretrained": "off"}
    assert overrides_from(knobs, list(typed.values())) == {"epochs": 12, "learning_rate": 0.002, "pretrained": False}


def test_every_kind_of_knob_becomes_a_field_and_a_flag() -> None:
    knobs = knobs_of(Mixed)
    with gr.Blocks():
        fields = knob_fields("x", knobs)
    assert [field.label for field in fields] == ["Preset", "Pretrained", "Layers", "Dropout"]
    assert fields[0].choices[0] == ("default: standard", "")
    assert [value for _, value in fields[0].choices[1:]] == ["draft", "standard", "thorough"]
    assert overrides_from(knobs, ["draft", "on", "2", ""]) == {"preset": "draft", "pretrained": True, "num_layers": 2}
    got: dict[str, Any] = {}

    @settings_flags(Mixed)
    def command(overrides: dict[str, Any] = {}) -> None:  # noqa: B006
        got.update(overrides)

    small = typer.Typer()
    small.command()(command)
    run: Callable[..., Any] = small
    run(["--preset", "thorough", "--no-pretrained", "--layers", "3"], standalone_mode=False)
    assert got == {"preset": "thorough", "pretrained": False, "num_layers": 3}


@pytest.mark.parametrize(
    ("written", "whole"), [("many", True), ("1.5", True), ("nan", True), ("1e999", True), ("--", False)]
)
def test_what_is_no_number_is_named(written: str, whole: bool) -> None:
    with pytest.raises(DistillError, match=r"Layers .*leave the field empty"):
        number_from("Layers", written, whole)


def test_sentences_name_fields_not_flags() -> None:
    """Guards against advice to type flags into a page."""
    with pytest.raises(DistillError) as mistake:
        resolve(PriorSettings, {}, {"num_heads": 3, "hidden_size": 64})
    sentence = in_page_words(str(mistake.value))
    assert sentence.startswith("Heads 3 does not divide Hidden size 64")
    assert "--" not in sentence


def test_only_sounds_that_were_dropped_are_started_from(tmp_path: Path, sounds: Path) -> None:
    """Guards against a request that names a file of the server, and against names that lead out of the page's folder."""
    page_state = PageState(tmp_path / "room", any_folder=True)
    place = page_state.uploads / "0123" / "hit 1.wav"
    place.parent.mkdir(parents=True)
    place.write_bytes((sounds / "hit 1.wav").read_bytes())
    assert page_state.dropped_sound(None) is None
    assert page_state.dropped_sound({"path": str(place), "orig_name": "hit 1.wav"}) == place
    for own, kept in (("Häts $1 {a}.wav", "Häts $1 {a}.wav"), ("../../../hit.wav", "hit.wav"), ("..", "hit 1.wav")):
        found = page_state.dropped_sound({"path": str(place), "orig_name": own})
        assert found is not None
        assert found.name == kept
        assert found.is_relative_to(page_state.room)
        assert found.read_bytes() == place.read_bytes()
    (page_state.uploads / "0123" / "link.wav").symlink_to(sounds / "hit 1.wav")
    (tmp_path / "room" / "uploads-too").mkdir()
    for wrong in (sounds / "hit 1.wav", place.parent / "../../../hit.wav", place.parent / "link.wav", place.parent / "no.wav",
                  place.parent, "", tmp_path / "room" / "uploads-too"):  # fmt: skip
        with pytest.raises(DistillError, match="not among the sounds that were dropped"):
            page_state.dropped_sound({"path": str(wrong), "orig_name": "hit 1.wav"})
    (place.parent / "notes.wav").write_text("no sound")
    with pytest.raises(DistillError, match=r"^my notes\.wav cannot be used \(") as mistake:
        page_state.dropped_sound({"path": str(place.parent / "notes.wav"), "orig_name": "my notes.wav"})
    assert str(tmp_path) not in str(mistake.value)


def test_only_what_the_user_chose_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against paths that climb out of the collections, and against a served page that reads the server's disk."""
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))
    (tmp_path / "library" / "sounds" / "mine").mkdir(parents=True)
    own, served = PageState(tmp_path, any_folder=True), PageState(tmp_path, any_folder=False)
    assert own.folder(str(tmp_path)) == tmp_path
    for page_state in (own, served):
        assert page_state.folder("mine") == tmp_path / "library" / "sounds" / "mine"
        for wrong in ("../..", "mine/../../..", "", "  "):
            with pytest.raises(DistillError):
                page_state.folder(wrong)
    for outside in ("/etc", str(tmp_path)):
        with pytest.raises(DistillError, match="cannot be opened from this page"):
            served.folder(outside)
