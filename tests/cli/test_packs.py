"""Packs from the command line: whole or not at all, and never over what is the user's."""

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import soundfile

import distill as library_of
from distill.errors import DistillError, Stopped
from distill.files import replacing_folder
from distill.modelfile.file import read_card
from distill.settings.generation import generation_settings
from distill.studio import PackRequest, generate_pack, packing
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--seconds", "0.3", "--synthesiser", "griffin-lim", "--tries", "1", "--seed", "5")


def test_a_pack_with_kits(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a page, a kit or a record that names a file which is not there, kinds that are left out, and an archive of
    something else."""
    target = tmp_path / "new" / "my kit & co"
    code, stdout, stderr = distill(
        "generate", "kit", *QUICK, "--count", "2", "--rate", "44100", "--bits", "16", "--pack", target, "--kit", "sfz",
        "--kit", "decentsampler", "--licence", "CC0,\n<me>", "--zip", "--json",
    )  # fmt: skip
    assert code == 0, stderr
    answer, kinds = json.loads(stdout), read_card(library / "kit.distill").kinds
    assert len(kinds) >= 2
    record = json.loads((target / "pack.json").read_bytes())
    files = {each["file"] for each in record["sounds"]}
    assert len(files) == 2 * len(kinds)
    assert {each["kind"] for each in record["sounds"]} == set(kinds) == set(answer["pack"]["kinds"])
    assert len({each["seed"] for each in record["sounds"]}) == len(files)
    assert (record["licence"], record["settings"]["seed"]) == ("CC0, <me>", 5)
    assert {Path(each["path"]) for each in answer["files"]} == {target / file for file in files}
    present = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert present == files | {"index.html", "pack.json", "LICENCE.txt", "my kit & co.sfz", "my kit & co.dspreset"}
    for each in record["sounds"]:
        info = soundfile.info(target / each["file"])
        assert (info.samplerate, info.subtype) == (44_100, "PCM_16")
        assert info.frames / 44_100 == each["seconds"] <= 0.3
    page = (target / "index.html").read_text(encoding="utf-8")
    assert {unquote(src) for src in re.findall(r'<audio [^>]*src="([^"]*)"', page)} == files
    assert "Licence: CC0, &lt;me&gt;" in page
    played = re.findall(r"sample=(\S+)", (target / "my kit & co.sfz").read_text(encoding="utf-8"))
    preset = ElementTree.parse(target / "my kit & co.dspreset").getroot()
    assert sorted(played) == sorted(each.attrib["path"] for each in preset.iter("sample"))
    assert set(played) <= files
    with zipfile.ZipFile(tmp_path / "new" / "my kit & co.zip") as archive:
        assert {name.removeprefix("my kit & co/") for name in archive.namelist()} == present
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "new" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["my kit & co", "my kit & co.zip"]


def test_variations_are_of_one_kind(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against variations of one sound on several keys."""
    soundfile.write(tmp_path / "a.wav", hit(3, 0.4), RATE, subtype="PCM_24")
    code, _, stderr = distill("generate", "kit", "--vary", tmp_path / "a.wav", "--amount", "1", "--count", "4", *QUICK[2:],
                              "--pack", tmp_path / "p", "--kit", "sfz")  # fmt: skip
    assert code == 0, stderr
    text = (tmp_path / "p" / "p.sfz").read_text(encoding="utf-8")
    assert re.findall(r"key=(\d+)", text) == ["36"] * 4
    assert re.findall(r"seq_position=(\d)", text) == ["1", "2", "3", "4"]


def test_a_pack_of_loops(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against names without their tempo."""
    code, _, stderr = distill("generate", "kit", *QUICK[2:], "--loop", "--bpm", "200", "--beats", "2", "--count", "2", "--format",
                              "flac", "--pack", tmp_path / "loops")  # fmt: skip
    assert code == 0, stderr
    names = sorted(path.name for path in (tmp_path / "loops" / "loop").iterdir())
    assert [re.match(r"loop_200bpm_0\d", name)[0] for name in names] == ["loop_200bpm_01", "loop_200bpm_02"]  # type: ignore[index]
    assert all(name.endswith(".flac") for name in names)
    assert not (tmp_path / "loops" / "LICENCE.txt").exists()


def test_what_is_there_stays(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a user's folder that is taken for a pack, and a pack that is replaced without being asked."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "song.wav").write_bytes(b"mine")
    make = ("generate", "kit", *QUICK, "--count", "1", "--pack")
    for further in ((), ("--overwrite",)):
        code, _, stderr = distill(*make, mine, *further)
        assert code == 1
        assert "something of that name is there; choose another place." in stderr
    assert [path.name for path in mine.iterdir()] == ["song.wav"]
    pack = tmp_path / "pack"
    assert distill(*make, pack)[0] == 0
    first = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in pack.rglob("*") if path.is_file()}
    code, _, stderr = distill(*make, pack)
    assert code == 1
    assert "replace it with --overwrite" in stderr
    code, _, stderr = distill(*make, pack, "--overwrite")
    assert code == 0, stderr
    again = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in pack.rglob("*") if path.is_file()}
    assert again == first  # the same request makes the same bytes
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "library") == ["mine", "pack"]


@pytest.mark.parametrize("where", ["pack_page", "heard", "generate"])
def test_a_pack_appears_whole_or_not_at_all(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Guards against half a pack after a full disk, and against one that was lost because its successor failed."""
    old = tmp_path / "pack"
    old.mkdir()
    (old / "pack.json").write_text('{"format": "distill_pack"}')

    def fails(*_: object, **__: object) -> None:
        raise DistillError("the disk is full")

    monkeypatch.setattr(packing, where, fails)
    settings = generation_settings(count=1, seconds=0.3, seed=1, synthesiser="griffin-lim")
    with pytest.raises(DistillError, match="the disk is full"):
        list(generate_pack("kit", PackRequest(old, zipped=True, overwrite=True), settings, "cpu"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "library") == ["pack"]
    assert [path.name for path in old.iterdir()] == ["pack.json"]


def test_a_stopped_pack_is_none(library: Path, tmp_path: Path) -> None:
    """Guards against a pack of fewer sounds than were asked for."""
    stop = threading.Event()
    settings = generation_settings(count=3, seconds=0.3, seed=7, synthesiser="griffin-lim")
    work = generate_pack("kit", PackRequest(tmp_path / "pack"), settings, "cpu", stop)
    next(work)
    stop.set()
    with pytest.raises(Stopped, match="--seed 7"):
        list(work)
    assert [path.name for path in tmp_path.iterdir() if path.name != "library"] == []


def test_a_kind_cannot_lead_out_of_a_pack(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a model of a stranger whose kinds are paths, HTML or opcodes."""
    real, kinds = packing.heard, iter(["../../../out", "a/b key=99 <b>"])
    monkeypatch.setattr(packing, "heard", lambda *given: real(*given)._replace(kind=next(kinds)))
    settings = generation_settings(count=2, seconds=0.3, seed=1, synthesiser="griffin-lim")
    target = tmp_path / "deep" / "er" / "pack"
    monkeypatch.setattr(packing, "_wishes_kinds", lambda card: False)
    list(generate_pack("kit", PackRequest(target, kits=("sfz",)), settings, "cpu"))
    assert sorted(path.name for path in target.iterdir() if path.is_dir()) == ["a_b_key_99_b", "out"]
    assert sorted(path.name for path in tmp_path.rglob("*.wav")) == sorted(path.name for path in target.rglob("*.wav"))
    assert "<b>" not in (target / "index.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r"key=(\d+)", (target / "pack.sfz").read_text(encoding="utf-8"))) == ["36", "37"]


def test_a_folder_gets_its_name_at_the_end(tmp_path: Path) -> None:
    """Guards against a name that somebody took meanwhile."""
    target = tmp_path / "pack"
    with pytest.raises(DistillError, match="something of that name is there"), replacing_folder(target) as folder:
        (folder / "a").write_text("new")
        target.mkdir()
        (target / "a").write_text("theirs")
    assert (target / "a").read_text() == "theirs"
    with replacing_folder(target, overwrite=True) as folder:
        (folder / "a").write_text("new")
        assert (target / "a").read_text() == "theirs"
    assert (target / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--licence", "x"], "--licence is for packs: add --pack FOLDER."),
        (["--kit", "sfz"], "--kit is for packs: add --pack FOLDER."),
        (["--pack", "p", "--kit", "kontakt"], "--kit kontakt: choose sfz or decentsampler."),
        (["--pack", "p", "--kit", "sfz", "--format", "mp3"], "--kit and --format mp3: samplers read wav and flac."),
        (["--pack", "p", "--kit", "sfz", "--loop", "--bpm", "120"],
         "--kit and --loop: a kit is played stroke by stroke. Leave one of them out."),
        (["--pack", "p", "--out", "o"], "--out o and --pack p: choose one of them."),
        (["--pack", "p", "--licence", "x" * 1001], "--licence: give a line of at most 1000 characters."),
        (["--pack", "p", "--kit", "sfz", "--seed", str(2**31 - 9)], "kinds need as many seeds; choose one of at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    distill: Run, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, stderr = distill("generate", "kit", *flags)
    assert code == 1
    assert sentence in stderr.strip()
    assert not (tmp_path / "p").exists()


def test_a_pack_from_python(library: Path, tmp_path: Path) -> None:
    """Guards against a method that the command line has left behind."""
    made = library_of.load("kit", "cpu").pack(
        tmp_path / "p", kits=["sfz"], count=1, kind=None, seconds=0.2, tries=1, synthesiser="griffin-lim", format="flac"
    )
    assert made.kits == (str(tmp_path / "p" / "p.sfz"),)
    assert len(list((tmp_path / "p").rglob("*.flac"))) == made.sounds == len(read_card(library / "kit.distill").kinds)
