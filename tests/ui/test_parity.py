"""The page offers what the command line offers, option by option, or a reason stands here."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from distill.cli.app import app
from distill.library.trash import delete_model
from distill.settings.codec import CodecSettings
from distill.settings.generation import OF_FILES
from distill.settings.knobs import flag_name, knobs_of
from distill.settings.prior import PriorSettings
from distill.settings.synthesiser import SynthesiserSettings
from distill.ui.library import cards_html
from distill.ui.page import build
from distill.ui.page_state import PageState
from distill.ui.trash import trash_html

OF_FILES_FLAGS = [flag_name(name) for name in OF_FILES]
OFFERED: dict[str, dict[str, str]] = {
    "checkpoint": {},
    "make": {},
    "train": {"folder": "codec-subject", "--name": "codec-model-name", "--overwrite": "codec-replace",
              "--resume": "codec-resume", "--device": "codec-device", "--again": "again-train", "--add": "again-add",
              "--continue-codec": "again-continue_codec"},
    "train-prior": {"model": "prior-subject", "--dataset": "prior-dataset", "--allow-changed": "prior-allow_changed",
                    "--embed-codes": "prior-embed_codes", "--overwrite": "prior-replace", "--resume": "prior-resume",
                    "--device": "prior-device"},
    "train-synth": {"model": "synthesiser-subject", "--dataset": "synthesiser-dataset",
                    "--allow-changed": "synthesiser-allow_changed", "--overwrite": "synthesiser-replace",
                    "--resume": "synthesiser-resume", "--device": "synthesiser-device"},
    "generate": {"model": "generate-model", "--count": "generate-count", "--seconds": "generate-seconds",
                 "--pick": "generate-pick", "--of": "generate-of",
                 "--seed": "generate-seed", "--temperature": "generate-temperature",
                 "--temperatures": "generate-temperatures", "--top-k": "generate-top-k",
                 "--top-p": "generate-top-p", "--min-p": "generate-min-p",
                 "--kind": "generate-kind", "--brightness": "generate-brightness", "--loudness": "generate-loudness",
                 "--pitch": "generate-pitch", "--onsets": "generate-onsets", "--length": "generate-length",
                 "--strength": "generate-strength", "--tries": "generate-tries",
                 "--ending": "generate-ending", "--exact": "generate-ending", "--max-copy-seconds": "generate-max-copy-seconds",
                 "--synthesiser": "generate-synthesiser", "--texture": "generate-texture",
                 "--level": "generate-level", "--mono": "generate-mono",
                 "--provenance": "generate-provenance", "--device": "generate-device",
                 **{f"--{wish}": f"generate-{wish}" for wish in ("kind", "brightness", "loudness", "pitch", "onsets",
                                                                 "length", "strength", "tries")},
                 **{f"--{name}": f"generate-{name}" for name in ("loop", "bpm", "bars", "beats")},
                 "--tempo-from": "generate-tempo-from",
                 **dict.fromkeys(("--continue", "--replace", "--vary", "--bridge", "--like", "--more-like", "--morph"),
                                 "generate-from"),
                 "--candidates": "generate-candidates", "--amount": "generate-amount", "--steps": "generate-steps",
                 "--way": "generate-way", "--like-strength": "generate-like-strength",
                 **{flag: f"generate-{flag[2:]}" for flag in OF_FILES_FLAGS if flag != "--format"}},
    "reconstruct": {"model": "generate-model", "files": "reconstruct-file", "--synthesiser": "generate-synthesiser",
                    "--device": "generate-device"},
    "evaluate": {"model": "generate-model", "files": "evaluate-corpus", "--dataset": "evaluate-corpus",
                 "--synthesiser": "generate-synthesiser",
                 "--device": "generate-device"},
    "novelty": {"model": "generate-model", "--files": "novelty-files", "--dataset": "novelty-dataset",
                "--seconds": "generate-seconds", "--seed": "generate-seed", "--temperature": "generate-temperature",
                "--temperatures": "generate-temperatures",
                "--top-k": "generate-top-k", "--top-p": "generate-top-p", "--min-p": "generate-min-p",
                "--kind": "generate-kind", "--brightness": "generate-brightness", "--loudness": "generate-loudness",
                "--pitch": "generate-pitch", "--onsets": "generate-onsets", "--length": "generate-length",
                "--strength": "generate-strength", "--tries": "generate-tries",
                "--ending": "generate-ending", "--max-copy-seconds": "generate-max-copy-seconds",
                "--device": "generate-device"},
    "where": {"file": "novelty-files", "model": "generate-model", "--dataset": "novelty-dataset",
              "--device": "generate-device"},
    "attribute": {},
    "forget": {},
    "consent": {},
    "what": {},
    "again": {"--device": "generate-device"},
    "verify": {},
    "export": {},
    "map": {},
    "info": {"model": "act details", "--heatmap": "act details"},
    "ui": {},
    "demo": {},
    "library list": {"--deleted": "trash-list"},
    "library info": {"name": "act details"},
    "library rename": {"name": "act rename", "new_name": "library-new-name"},
    "library delete": {"name": "act delete"},
    "library restore": {"name": "act restore"},
    "library empty-trash": {"--yes": "trash-remove"},
    "library import": {"file": "library-import"},
    "library export": {"name": "act download"},
}  # fmt: skip
"""Where each option is on the page: an element's id, or what is on the cards."""

OF_RECORDINGS = "chosen among recordings by name, which the next page lists"
REASONS: dict[tuple[str, str], str] = {
    ("*", "--json"): "the page's endpoints answer scripts",
    ("*", "--devices"): "several processes start the same command again, which a server cannot",
    ("*", "--num-nodes"): "as --devices",
    ("*", "--strategy"): "as --devices",
    **{
        ("attribute", option): "an answer of minutes; the page has where each second is nearest"
        for option in ("file", "model", "--suspects", "--dataset", "--device")
    },
    **{
        ("forget", option): OF_RECORDINGS for option in ("model", "files", "--codec", "--undo", "--novelty", "--device")
    },
    **{("consent", option): OF_RECORDINGS for option in ("model", "files", "--whose", "--licence", "--remove")},
    ("reconstruct", "--mono"): "the page plays what model and sound have; one channel is for files",
    **{("reconstruct", flag): "the page plays what the codec makes, and writes nothing" for flag in OF_FILES_FLAGS},
    ("make", "folder"): "the page shows the same way as its tabs, codec, prior and sounds, with a button each",
    ("checkpoint", "model"): "which epoch of a prior is in force is chosen from the command line or Python",
    ("checkpoint", "which"): "the same",
    ("make", "--quick"): "the field Preset of both trainings",
    ("make", "--thorough"): "the field Preset of both trainings",
    ("make", "--name"): "the field Name of the codec",
    ("make", "--count"): "the field Count of the sounds",
    ("make", "--seconds"): "the field Seconds of the sounds",
    ("make", "--seed"): "the field Seed of the sounds",
    ("make", "--out"): "sounds are in the history and in the library's folder",
    ("make", "--device"): "the field Device of each stage",
    **{
        ("map", option): "the map is a page of its own; this one draws it later"
        for option in ("model", "files", "--out", "--dataset", "--device")
    },
    ("train", "--out"): "what the page trains is in the library; Download takes it anywhere",
    ("generate", "--out"): "sounds are in the history, kept ones in the library's folder; both can be downloaded",
    **{
        ("generate", option): "a pack is a folder on the disk of who asks, and is made for others than the page"
        for option in ("--pack", "--licence", "--kit", "--zip", "--certificate", "--overwrite")
    },
    **{
        ("verify", option): "packs are folders and archives on a disk, and not on the page"
        for option in ("what", "--model", "--again", "--dataset", "--device")
    },
    ("generate", "--stream"): "for players behind a pipe; the page has its own",
    ("generate", "--format"): "every sound can be downloaded as WAV and as FLAC",
    ("reconstruct", "--out"): "the results are heard on the page and can be saved from their players",
    ("what", "file"): "the history shows the request of every sound; a download carries the same tags",
    ("again", "file"): "Make again is in the history",
    ("again", "--out"): "the sound is in the history",
    ("again", "--model"): "the history knows its model; another one is chosen in the field Model",
    ("again", "--source"): "the history keeps what a sound started from",
    **{
        ("export", option): "writes a folder for a developer's host; a browser downloads single files"
        for option in ("model", "--onnx", "--overwrite")
    },
    ("where", "--out"): "on the page a click on a second plays it, and then its recording's",
    ("ui", "--host"): "said before there is a page",
    ("ui", "--port"): "said before there is a page",
    ("ui", "--library"): "said before there is a page",
    ("demo", "--out"): "the demo's sounds, model and results go where the page keeps all others",
    ("novelty", "--count"): "the page judges 64 sounds",
    ("train", "--novelty"): "the page always looks; a verdict costs seconds and is on the model's card",
    ("train-prior", "--novelty"): "the page always looks; a verdict costs seconds and is on the model's card",
    ("demo", "--device"): "the demo takes what auto takes",
    ("library import", "--name"): "Rename is on the card as soon as it is there",
    ("library export", "out"): "the browser asks where a download goes",
    ("library export", "--overwrite"): "the browser asks before it replaces a file",
}
STAGES = {
    "train": ("codec", CodecSettings), "train-prior": ("prior", PriorSettings),
    "train-synth": ("synthesiser", SynthesiserSettings),
}  # fmt: skip


def options_of(command: Any, name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every command's options and arguments: (command, option, its declaration)."""
    for key, inner in getattr(command, "commands", {}).items():
        yield from options_of(inner, f"{name} {key}".strip())
    if not hasattr(command, "commands"):
        for option in command.params:
            if not getattr(option, "hidden", False):
                yield name, option.opts[0], option


COMMAND_LINE = {(command, option): each for command, option, each in options_of(typer.main.get_command(app))}


@pytest.fixture
def page_state(library: Path, tmp_path: Path) -> PageState:
    """A library with a model, and a deleted one."""
    shutil.copy(library / "kit.distill", library / "old.distill")
    delete_model("old")
    return PageState(tmp_path, any_folder=True)


def test_the_page_offers_every_option_of_the_command_line(page_state: PageState) -> None:
    """Guards against a command or an option that only a terminal has."""
    parts = [part["props"] for part in build(page_state).get_config_file()["components"]]
    ids = {props["elem_id"] for props in parts if props.get("elem_id")}
    cards = cards_html(page_state, "", "name") + trash_html()
    knobs = {
        (command, k.flag): f"{stage}-{k.name}" for command, (stage, model) in STAGES.items() for k in knobs_of(model)
    }
    for command, option in COMMAND_LINE:
        place = knobs.get((command, option)) or OFFERED[command].get(option)
        reason = REASONS.get((command, option)) or REASONS.get(("*", option))
        assert (place is None) != (reason is None), f"{command} {option}: {place}, {reason}"
        if place is not None and place.startswith("act "):
            act = place.removeprefix("act ")
            assert f'data-act="{act}"' in cards or (act == "download" and "Download kit" in cards), (command, option)
        elif place is not None:
            assert place in ids, (command, option)


def test_no_reason_outlives_its_option() -> None:
    told = {(command, option) for command, options in OFFERED.items() for option in options} | set(REASONS)
    known = set(COMMAND_LINE) | {("*", option) for _, option in COMMAND_LINE}
    assert told <= known
    assert set(OFFERED) == {command for command, _ in COMMAND_LINE}


@pytest.mark.parametrize("command", STAGES)
def test_what_is_no_setting_is_called_alike_too(page_state: PageState, command: str) -> None:
    """Guards against advice such as "give it with --dataset" that names no field of the page."""
    stage = STAGES[command][0]
    parts = {part["props"].get("elem_id"): part["props"] for part in build(page_state).get_config_file()["components"]}
    for option in ("--device", "--dataset", "--allow-changed", "--embed-codes"):
        if (command, option) in COMMAND_LINE:
            props = parts[f"{stage}-{option[2:].replace('-', '_')}"]
            assert props["label"].lower().replace(" ", "-") == option.removeprefix("--")
            assert props.get("visible") is not False
            default = COMMAND_LINE[command, option].default
            assert props.get("value") == default
