"""Odd invocations: what people, scripts and shells give a command line that nobody meant it to be given."""

import inspect
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from distill.cli.app import app, main
from distill.cli.show import printable
from tiny import hit, write_sounds

Run = Callable[..., tuple[int, str, str]]
COMPUTING = {
    "make",
    "train",
    "train-prior",
    "train-synth",
    "generate",
    "again",
    "verify",
    "attribute",
    "forget",
    "reconstruct",
    "evaluate",
    "novelty",
    "where",
    "map",
    "demo",
}


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its name, with those inside groups."""
    for key, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, f"{name} {key}".strip())
    if not hasattr(group, "commands"):
        yield name, group


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_scripts_and_what_computes_has_a_device(name: str) -> None:
    """Guards against a README that promises more than there is."""
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert "--json" in options
    assert ("--device" in options) is (name in COMPUTING)


def paths_of(command: Any) -> list[Any]:
    """The parameters of a command that are paths."""
    declared = inspect.signature(command.callback.__wrapped__).parameters
    kinds = {name: get_args(each.annotation)[:1] for name, each in declared.items()}
    return [p for p in command.params if kinds[p.name] and Path in (kinds[p.name][0], *get_args(kinds[p.name][0]))]


@pytest.mark.parametrize("name", [name for name in COMMANDS if paths_of(COMMANDS[name])])
def test_every_path_of_every_command_is_taken_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against one option that makes a folder called "~", or takes an empty variable for the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    command = COMMANDS[name]
    for wanted in paths_of(command):

        def taken(given: str, wanted: Any = wanted) -> Any:
            line = []
            for parameter in command.params:
                if parameter is wanted and parameter.opts[0].startswith("--"):
                    line += [parameter.opts[0], given]
                elif parameter is wanted or parameter.required:
                    line.append(given if parameter is wanted else "x")
            return command.make_context(name, line).params[wanted.name]

        for given, meant in (("~/my x", tmp_path / "my x"), ("file:///a%20b", Path("/a b"))):
            assert taken(given) in (meant, [meant], (meant,))
        with pytest.raises(Exception, match="nothing in it"):
            taken("")


ODD: list[tuple[list[str], str]] = [
    ([""], "No such command"),
    (["--"], ""),
    (["-x"], "-x"),
    (["train_prior"], "Did you mean"),
    (["\udcff"], "No such command"),
    (["train", ""], "nothing in it"),
    (["train", " "], "no folder"),
    (["train", "a\nb"], "a\\nb"),
    (["train", "é" * 300], "too long"),
    (["train", "{tmp}/loop"], "links"),
    (["train", "{tmp}/file.txt"], "is a file"),
    (["train", "{tmp}/file.txt/x"], "no folder"),
    (["train", "{tmp}/empty"], "no sound"),
    (["train", "{tmp}/circle"], "a broken link"),
    (["train", "file://elsewhere/x"], "another machine"),
    (["train", "{sounds}", "--name", "日本" * 40], "--name"),
    (["train", "{sounds}", "--name="], "--name"),
    (["train", "{sounds}", "--out="], "--out"),
    (["train", "{sounds}", "--out", "{tmp}/file.txt"], "must end with .distill"),
    (["train", "{sounds}", "--learning-rate", "nan"], "--learning-rate nan"),
    (["train", "{sounds}", "--learning-rate", "1e-310"], "--learning-rate 1e-310"),
    (["train", "{sounds}", "--matrix-learning-rate", "1e-310"], "--matrix-learning-rate 1e-310"),
    (["train", "{sounds}", "--commitment-weight", "inf"], "--commitment-weight inf"),
    (["train", "{sounds}", "--warmup-share", "1e400"], "--warmup-share inf"),
    (["train", "{sounds}", "--seed", "99999999999999999999999"], "--seed"),
    (["train", "{sounds}", "--epochs", "1e3"], "--epochs"),
    (["train", "{sounds}", "--devices", "99999"], "--devices 99999"),
    (["train", "{sounds}", "--strategy", "deepspeed", "--out", "{tmp}/m.distill"], "--strategy deepspeed"),
    (["train-prior", "{model}", "--overwrite", "--context-seconds", "nan"], "--context-seconds nan"),
    (["train-prior", "{model}", "--overwrite", "--context-seconds", "1e-310"], "--context-seconds 1e-310"),
    (["train-prior", "{model}", "--overwrite", "--dropout", "nan"], "--dropout nan"),
    (["train-synth", "{model}", "--learning-rate", "-inf"], "--learning-rate -inf"),
    (["generate", ""], "no model called"),
    (["generate", "😀" * 100], "too long"),
    (["generate", "é" * 124], "no model called"),
    (["generate", "~no-such-user/x"], "no model called"),
    (["generate", "{tmp}"], "no model called"),
    (["generate", "{model}", "--out", "{tmp}/file.txt"], "file.txt"),
    (["generate", "{model}", "--seconds", "nan"], "--seconds nan"),
    (["generate", "{model}", "--temperature", "inf"], "--temperature inf"),
    (["generate", "{model}", "--count", "99999999999999999999999"], "--count"),
    (["reconstruct", "{model}", "{tmp}/empty"], "not a file"),
    (["reconstruct", "{model}", ""], "nothing in it"),
    (["evaluate", "{model}", "{tmp}/empty"], "no sound"),
    (["evaluate", "{model}", "{tmp}/gone.wav"], "gone.wav"),
    (["info", "{model}", "--heatmap", "{model}"], ".png"),
    (["info", "{model}", "--heatmap", "{tmp}/empty.png"], "a folder"),
    (["demo", "--out", "{tmp}/file.txt"], "is a file"),
    (["ui", "--port", "99999"], "--port"),
    (["library", "frob"], "frob"),
    (["library", "rename", "unknown", "x"], "unknown"),
    (["library", "import", "{tmp}/empty"], "empty"),
    (["library", "export", "unknown", "{tmp}"], "unknown"),
    (["library", "list", "x"], "x"),
]


@pytest.mark.parametrize(("arguments", "named"), ODD, ids=[ascii(" ".join(a))[:60] for a, _ in ODD])
def test_an_odd_invocation_is_one_sentence(
    distill: Run, tiny_model: Path, sounds: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    """Each of these ended, or might end, in a traceback, in a file where none was wanted, or without a word."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.png").mkdir()
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "round.wav").symlink_to("round.wav")
    (tmp_path / "file.txt").write_text("x")
    before = tiny_model.read_bytes()
    code, out, err = distill(
        *[argument.format(tmp=tmp_path, sounds=sounds, model=tiny_model) for argument in arguments]
    )
    assert code == 1
    assert "Traceback" not in err
    if named:
        assert out == ""
        assert named in err
        assert [line.startswith("Error: ") for line in err.splitlines()].count(True) == 1
        assert err.splitlines()[-1].startswith("Error: ")
    assert tiny_model.read_bytes() == before
    assert (tmp_path / "file.txt").read_text() == "x"


@pytest.mark.parametrize("group", [[], ["library"]])
def test_a_command_that_is_left_out_is_answered_with_help(distill: Run, group: list[str]) -> None:
    """Guards against help followed by "Error: .", and against exit code 0 for a script that forgot its command."""
    code, out, err = distill(*group)
    assert (code, err) == (1, "")
    assert "Usage" in out
    assert "list" in out


class Console(io.TextIOWrapper):
    """What a program prints to: bytes in an encoding that cannot say everything."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def text(self) -> str:
        """What arrived there."""
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_console_shows_any_name(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Guards against a UnicodeEncodeError in place of the answer: names in other scripts, and names that are no text."""
    odd = ["日本 😀", "häts", *(["raw\udcff"] if os.name == "posix" and sys.platform != "darwin" else [])]
    for name in odd:
        shutil.copy(library / "kit.distill", library / f"{name}.distill")
    sound = write_sounds(tmp_path / "in", 1) / "hit 0.wav"
    sound = sound.rename(sound.with_name("日本 😀.wav"))
    for arguments in (
        ["library", "list"], ["library", "list", "--json"], ["info", "日本 😀"], ["info", "日本 😀", "--json"],
        ["info", "日"], ["library", "delete", "日本 😀"], ["library", "list", "--deleted"],
        ["reconstruct", "häts", str(sound), "--out", str(tmp_path / "ö日"), "--synthesiser", "griffin-lim"],
    ):  # fmt: skip
        out, err = Console(encoding), Console(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(sys, "argv", ["distill", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        assert done.value.code == (1 if arguments == ["info", "日"] else 0), err.text()
        assert out.text() or err.text()
        if "--json" in arguments:
            json.loads(out.text())
    assert (tmp_path / "ö日" / "日本 😀.wav").is_file()


@pytest.mark.parametrize("arguments", [["library", "list", "--json"], ["info", "kit"], ["info", "unknown"], []])
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_console_that_is_closed_is_no_reason_to_fail(
    distill: Run, library: Path, monkeypatch: pytest.MonkeyPatch, closed: str, arguments: list[str]
) -> None:
    """Guards against `>&-` and `2>&-`, where Python has no stream at all, and words for one that go to the other."""
    monkeypatch.setattr(sys, closed, None)
    code, out, err = distill(*arguments)
    assert code == (0 if "kit" in arguments or "list" in arguments else 1)
    assert "Error" not in out
    assert "Traceback" not in err


def test_what_is_no_text_is_shown_escaped() -> None:
    assert printable("a\x1b[31m\n\udcff\ud800日") == "a\\x1b[31m\\n\\xff日".replace("\\xff日", "\\udcff\\ud800日")
    assert printable("a\udcff") == "a\\xff"


def test_the_next_command_can_be_copied(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against `Next: distill train-prior my model`."""
    shutil.copy(library / "kit.distill", library / "my kit's.distill")
    folder = write_sounds(tmp_path / "in", 6, lambda number: hit(60 + number))
    flags = ["--epochs", "1", "--codebook-size", "16", "--channels", "24", "--codebook-dim", "8", "--preview-every", "0",
             "--no-pretrained", "--warmup-share", "0"]  # fmt: skip
    for given, spoken in (
        (["--name", "my drums"], "'my drums'"),
        (["--out", str(tmp_path / "a b.distill")], f"'{tmp_path}/a b.distill'"),
    ):
        code, _, err = distill("train", folder, *given, *flags)
        assert code == 0
        assert err.splitlines()[-1] == f"Next: distill train-prior {spoken}"
    assert "`distill train-prior 'my drums'`" in distill("generate", "my drums")[2]
    assert "distill train-synth 'my" in distill("info", "my drums")[1].replace("\n", " ")
    assert "`distill library restore 'my drums'`" in distill("library", "delete", "my drums")[1]


def test_a_model_is_found_by_any_way_of_saying_where_it_is(
    distill: Run, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(library / "kit.distill", tmp_path / "a b.distill")
    shutil.copy(library / "kit.distill", library / "~kit.distill")
    for given in ("kit", "kit.distill", "~kit", "~/a b.distill", (tmp_path / "a b.distill").as_uri()):
        code, out, err = distill("info", given, "--json")
        assert code == 0, err
        assert json.loads(out)["format"] == "distill_model"
