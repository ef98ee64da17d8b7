"""Certificates of packs, and what is left of their word when somebody has been at the pack, the certificate or the model."""

import hashlib
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import distill as python
from distill import studio
from distill.audio.hashing import samples_sha256
from distill.audio.tagging import read_tags
from distill.audio.writing import write_audio
from distill.errors import DistillError
from distill.modelfile.file import read_contents, write_model
from distill.modelfile.opened import load_model
from distill.novelty import certificate as certificates
from distill.novelty.certificate import Certificate, read_certificate
from distill.settings.generation import generation_settings
from distill.studio import PackRequest, generate_pack, given_packs
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]
COUNT = 4


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack that has a certificate, and its archive."""
    folder = tmp_path_factory.mktemp("certified")
    settings = generation_settings(
        count=COUNT, seconds=0.3, seed=5, tries=1, synthesiser="griffin-lim", max_copy_seconds=2.0
    )
    request = PackRequest(folder / "new kit", "CC0", zipped=True, certificate=True)
    list(generate_pack(str(tiny_model), request, settings, "cpu"))
    return folder


@pytest.fixture
def pack(made: Path, tmp_path: Path) -> Path:
    """A pack of one's own."""
    return Path(shutil.copytree(made / "new kit", tmp_path / "new kit"))


def said(pack: Path) -> dict[str, Any]:
    """What stands in a certificate."""
    plain: dict[str, Any] = json.loads((pack / "certificate.json").read_bytes())
    return plain


def rewritten(pack: Path, plain: dict[str, Any]) -> None:
    """Put another certificate into a pack, with the hash of its own content, as whoever knows how would."""
    plain = {name: value for name, value in plain.items() if name != "record_sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    (pack / "certificate.json").write_text(
        json.dumps({**plain, "record_sha256": hashlib.sha256(text.encode()).hexdigest()})
    )


def verified(distill: Run, what: Path, *flags: str | Path) -> tuple[int, dict[str, Any], str]:
    code, stdout, stderr = distill("verify", what, "--json", *flags)
    return code, json.loads(stdout), stderr


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {each["file"]: each["state"] for each in answer["sounds"]}


def test_a_certificate_says_what_the_copy_test_and_the_tags_say(pack: Path, tiny_model: Path) -> None:
    """Guards against a second opinion: figures, hashes and requests that are not those which the program gives elsewhere."""
    plain, model = said(pack), python.load(tiny_model, "cpu")
    loaded = load_model(tiny_model)
    shutil.move(pack / "index.html", pack.parent / "index.html")
    again = model.novelty(pack)
    assert {each["file"] for each in again["files"]} == {each["file"] for each in plain["sounds"]}
    for name in ("verdict", "reason", "meaning", "copy_rate", "p_value", "coherence_z", "power", "recordings"):
        assert plain["test"][name] == again[name], name
    assert plain["test"]["copy_rate_interval"] == list(again["copy_rate_interval"])
    figures = {each["file"]: each for each in again["files"]}
    for each in plain["sounds"]:
        found, path = figures[each["file"]], pack / each["file"]
        assert (each["copied"], each["p"], each["nearest"]) == (found["copied"], found["p"], found["nearest"])
        assert each["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert each["bytes"] == path.stat().st_size
        tags = read_tags(path)
        assert plain["requests"] == [tags.request]
        assert (each["seed"], plain["model"]["sha256"]) == (tags.seed, tags.model_sha256)
    assert plain["model"]["sha256"] == loaded.digest
    assert (plain["max_copy_seconds"], plain["licence"], plain["distill"]) == (2.0, "CC0", python.__version__)
    text = " ".join(plain["says"])
    for wanted in (
        "not a signature",
        "Copyright is a judgement",
        "longer than 2 s",
        "Power:",
        f"{COUNT} sounds",
        "CC0",
    ):
        assert wanted in text
    assert "certificate.json" in (pack.parent / "index.html").read_text(encoding="utf-8")


def test_the_hash_of_samples_can_be_computed_elsewhere(tmp_path: Path) -> None:
    """Guards against a hash that only this program can compute, or that knows a WAV from a FLAC of the same samples."""
    samples = (np.stack([hit(1), hit(2)]).T * 2**22).astype(np.int32) << 8  # whole numbers of 24 bit
    soundfile.write(tmp_path / "a.wav", samples, 44_100, subtype="PCM_24")
    soundfile.write(tmp_path / "a.flac", samples, 44_100, subtype="PCM_24")
    soundfile.write(tmp_path / "b.wav", samples[:-1], 44_100, subtype="PCM_24")
    read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    own = hashlib.sha256(f"{rate} {read.shape[1]}\n".encode() + read.astype("<f4").tobytes()).hexdigest()
    assert samples_sha256(tmp_path / "a.wav") == samples_sha256(tmp_path / "a.flac") == own
    assert samples_sha256(tmp_path / "b.wav") != own


@pytest.mark.parametrize("what", ["new kit", "new kit.zip", "new kit/certificate.json"])
def test_what_is_as_it_was_agrees(distill: Run, made: Path, library: Path, tiny_model: Path, what: str) -> None:
    """Guards against a true pack that is called false, as a folder, as an archive, or by its certificate."""
    code, answer, stderr = verified(distill, made / what, "--model", "kit", "--again", "2", "--device", "cpu")
    assert (code, answer["disagreements"], answer["notes"]) == (0, [], []), stderr
    assert set(states(answer).values()) == {"unchanged"}
    assert (answer["intact"], answer["model_is_the_one"], answer["judged_again"]) == (True, True, True)
    assert [each["made_again"] for each in answer["sounds"]] == [True, True, None, None]
    code, answer, _ = verified(distill, made / what)  # the library has no model of that name
    assert (code, answer["model_is_the_one"], len(answer["notes"])) == (0, None, 1)
    shutil.copy(tiny_model, library / "tiny.distill")
    code, answer, _ = verified(distill, made / what)
    assert (code, answer["model_is_the_one"], answer["judged_again"], answer["notes"]) == (0, True, None, [])
    assert python.verify(made / what, device="cpu")["agrees"] is True


def test_sounds_that_are_not_as_they_were(distill: Run, pack: Path, library: Path) -> None:
    """Guards against a sample, a tag, a name or a file that is gone unseen."""
    first, second, third, fourth = (each["file"] for each in said(pack)["sounds"])
    data = bytearray((pack / first).read_bytes())
    data[200] ^= 1
    (pack / first).write_bytes(data)
    samples, rate = soundfile.read(pack / second, dtype="float32", always_2d=True)
    soundfile.write(pack / second, samples, rate, subtype="PCM_24")  # the same samples without tags
    (pack / third).rename(pack / "other.wav")
    (pack / fourth).unlink()
    soundfile.write(pack / "more.flac", hit(3), RATE)
    code, answer, stderr = verified(distill, pack)
    assert code == 1
    details = {each["file"]: each["detail"] for each in answer["sounds"]}
    assert states(answer) == {
        first: "changed", second: "changed", third: "missing", fourth: "missing",
        "more.flac": "not in the certificate", "other.wav": "not in the certificate",
    }  # fmt: skip
    assert details[first] == ""
    assert "samples are the same" in details[second]
    assert details["other.wav"] == f"it is {third} under another name"
    assert stderr.strip().splitlines()[-1].startswith(f"Error: 2 of {COUNT} sounds are changed (")
    assert answer["intact"] is True
    code, stdout, _ = distill("verify", pack)
    assert code == 1
    assert f"missing: {fourth}" in stdout


def test_an_edited_certificate(distill: Run, pack: Path, library: Path) -> None:
    """Guards against an edit that is not seen: without its hash, with it, and with figures that hold together."""
    true = said(pack)
    (pack / "certificate.json").write_text(json.dumps({**true, "licence": "public domain"}))
    code, answer, stderr = verified(distill, pack)
    assert (code, answer["intact"]) == (1, False)
    assert "The certificate was changed since it was written" in stderr
    rewritten(pack, {**true, "licence": "public domain"})
    code, answer, stderr = verified(distill, pack)
    assert (code, answer["intact"]) == (1, True)
    assert "its sentences are not those of its figures" in stderr
    for change, sentence in (
        ({"sounds": [{**true["sounds"][0], "copied": True}, *true["sounds"][1:]]}, "copy rate is not that of its sounds"),
        ({"max_copy_seconds": 0.2}, "its limit is not that of its request"),
        ({"sounds": [{**true["sounds"][0], "seed": 4}, *true["sounds"][1:]]}, "none of its requests'"),
        ({"sounds": [*true["sounds"], true["sounds"][0]]}, "names a sound twice"),
        ({"test": {**true["test"], "verdict": "fine"}}, "its verdict is not that of its sounds"),
    ):  # fmt: skip
        rewritten(pack, {**true, **change})
        assert sentence in verified(distill, pack)[2]
    newer = {"distill": "9.0", "sounds": [{**true["sounds"][0], "p": 0.987}, *true["sounds"][1:]]}
    rewritten(pack, {**true, **newer})  # nothing in it contradicts anything: only the model can tell
    assert verified(distill, pack)[0] == 0
    code, answer, stderr = verified(distill, pack, "--model", "kit", "--device", "cpu")
    assert (code, answer["judged_again"]) == (1, False)
    assert f"Judged again, {true['sounds'][0]['file']} is judged" in stderr


def test_another_model(distill: Run, pack: Path, library: Path, tmp_path: Path) -> None:
    """Guards against a model of the same name, and one that was given other recordings to be judged by."""
    contents = read_contents(library / "kit.distill")
    weights = {
        name: value + 0.01 if value.is_floating_point() else value
        for name, value in contents["prior_state_dict"].items()
    }
    write_model(library / "tiny.distill", {**contents, "prior_state_dict": weights})
    code, answer, _ = verified(distill, pack)
    assert (code, answer["model_is_the_one"]) == (0, None)
    assert answer["notes"][0] == "The library has another model of that name."
    code, answer, stderr = verified(distill, pack, "--model", "tiny")
    assert (code, answer["model_is_the_one"], answer["judged_again"]) == (1, False, None)
    assert "tiny is not the model of this certificate" in stderr
    assert "is not in the library, or is another one there" in distill("verify", pack, "--again", "1")[2]
    names = list(contents["codes"])
    longest = max(names, key=lambda name: len(contents["codes"][name]))
    codes = {**contents["codes"], longest: contents["codes"][longest].flip(0).contiguous()}
    write_model(tmp_path / "swapped.distill", {**contents, "codes": codes})
    code, answer, stderr = verified(distill, pack, "--model", tmp_path / "swapped.distill")
    assert (code, answer["model_is_the_one"], answer["judged_again"]) == (1, True, False)
    assert "is not what the model's file holds of its recordings" in stderr


def test_a_sound_that_the_model_did_not_make(distill: Run, pack: Path, library: Path) -> None:
    """Guards against a recording with the tags of a generated sound: only making it again can tell."""
    plain = said(pack)
    sound = plain["sounds"][1]
    path = pack / sound["file"]
    tags, samples = read_tags(path), soundfile.read(path, dtype="float32", always_2d=True)[0]
    write_audio(path, samples[::-1], RATE, tags, "24")
    sound |= {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "samples_sha256": samples_sha256(path),
        "bytes": path.stat().st_size,
    }
    rewritten(pack, plain)
    code, answer, stderr = verified(distill, pack, "--model", "kit", "--again", "2", "--device", "cpu")
    assert code == 1
    assert [each["made_again"] for each in answer["sounds"]] == [True, False, None, None]
    assert f"The model makes another sound than {sound['file']}" in stderr


def test_recordings_that_are_not_there(distill: Run, pack: Path, library: Path, sounds: Path, tmp_path: Path) -> None:
    """Guards against figures with the recordings that are held against figures without them."""
    moved = tmp_path / "moved"
    shutil.copytree(sounds, moved)
    contents = read_contents(library / "kit.distill")
    manifest = {**contents["corpus_manifest"], "folder": str(tmp_path / "gone")}
    write_model(library / "kit.distill", {**contents, "corpus_manifest": manifest})
    code, answer, _ = verified(distill, pack, "--model", "kit", "--device", "cpu")
    assert (code, answer["judged_again"]) == (0, None)
    assert "--dataset DIR" in answer["notes"][0]
    code, answer, _ = verified(distill, pack, "--model", "kit", "--dataset", moved, "--device", "cpu")
    assert (code, answer["judged_again"]) == (0, True)
    flags = (
        "--count", "2", "--seconds", "0.2", "--tries", "1", "--synthesiser", "griffin-lim", "--certificate", "--pack",
    )  # fmt: skip
    code, _, stderr = distill("generate", "kit", *flags, tmp_path / "codes")
    assert code == 0, stderr
    assert "The certificate says so." in stderr
    assert said(tmp_path / "codes")["test"]["heard"] == "codes"
    assert verified(distill, tmp_path / "codes", "--model", "kit", "--device", "cpu")[1]["judged_again"] is True
    contents = {name: value for name, value in contents.items() if name != "codes"}
    write_model(library / "kit.distill", {**contents, "corpus_manifest": manifest, "has_codes": False})
    code, _, stderr = distill("generate", "kit", *flags, tmp_path / "none")
    assert code == 1
    assert "keeps no codes of its recordings" in stderr
    assert not (tmp_path / "none").exists()


def test_a_kit_has_a_request_for_each_kind(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against sounds of other kinds that seem to be of no request."""
    code, _, stderr = distill(
        "generate", "kit", "--count", "1", "--seconds", "0.2", "--tries", "1", "--synthesiser", "griffin-lim", "--seed", "3",
        "--kit", "sfz", "--certificate", "--pack", tmp_path / "p",
    )  # fmt: skip
    assert code == 0, stderr
    plain = said(tmp_path / "p")
    assert len(plain["requests"]) == len(plain["sounds"]) > 1
    code, answer, stderr = verified(distill, tmp_path / "p", "--model", "kit", "--again", "9", "--device", "cpu")
    assert (code, answer["disagreements"]) == (0, []), stderr
    assert all(each["made_again"] for each in answer["sounds"])


def test_what_is_made_of_a_recording(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against variations whose recording is in no certificate, and that cannot be made again for it."""
    soundfile.write(tmp_path / "a.wav", hit(3, 0.4), RATE, subtype="PCM_24")
    code, _, stderr = distill(
        "generate", "kit", "--vary", tmp_path / "a.wav", "--count", "2", "--synthesiser", "griffin-lim", "--tries", "1",
        "--certificate", "--pack", tmp_path / "p",
    )  # fmt: skip
    assert code == 0, stderr
    plain = said(tmp_path / "p")
    assert plain["sources"] == [
        {"name": "a.wav", "sha256": hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()}
    ]
    flags = ("--model", "kit", "--again", "1", "--device", "cpu")
    code, answer, stderr = verified(distill, tmp_path / "p", *flags)
    assert (code, answer["sounds"][0]["made_again"]) == (0, True), stderr
    (tmp_path / "a.wav").unlink()
    code, answer, stderr = verified(distill, tmp_path / "p", *flags)
    assert (code, answer["sounds"][0]["made_again"]) == (0, None), stderr
    assert "was not made again" in answer["notes"][0]


def zipped(pack: Path, target: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(each for each in pack.rglob("*") if each.is_file()):
            archive.write(path, f"{pack.name}/{path.relative_to(pack).as_posix()}")
        for name, data in more.items():
            archive.writestr(name, data)
    return target


def test_an_archive_that_leads_out_of_itself(distill: Run, pack: Path, library: Path, tmp_path: Path) -> None:
    """Guards against files that an archive puts elsewhere, and sounds outside its pack that nobody speaks of."""
    sound = (pack / said(pack)["sounds"][0]["file"]).read_bytes()
    target = zipped(
        pack, tmp_path / "a.zip", **{"../../evil.wav": sound, "/evil.wav": sound, "new kit/../evil.wav": sound}
    )
    before = sorted(tmp_path.rglob("*"))
    code, answer, _ = verified(distill, target, "--model", "kit", "--device", "cpu")
    assert code == 1
    extra = {name for name, state in states(answer).items() if state == "not in the certificate"}
    assert len(extra) == 3
    assert answer["judged_again"] is True  # the pack itself is as it was
    assert sorted(tmp_path.rglob("*")) == before
    assert not list(tmp_path.parent.rglob("evil.wav"))


def test_hostile_archives_are_one_sentence(
    distill: Run, pack: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against bombs, archives that lie about themselves, and tracebacks."""
    good = zipped(pack, tmp_path / "good.zip").read_bytes()
    target = tmp_path / "x.zip"

    def refused(data: bytes, sentence: str) -> None:
        target.write_bytes(data)
        code, stdout, stderr = distill("verify", target)
        assert (code, stdout) == (1, ""), stderr
        assert sentence in stderr
        assert "Traceback" not in stderr

    for cut in (3, 100, len(good) // 2, len(good) - 5):
        refused(good[:cut], "damaged archive")
    end = good.rfind(b"PK\x05\x06")
    refused(good[: end + 12] + struct.pack("<I", 2**31) + good[end + 16 :], "larger than the archive of a pack")
    refused(good[:end] + b"PK\x06\x07" + bytes(16) + good[end:], "larger than the archive of a pack")
    entry = good.find(b"PK\x01\x02")
    refused(good[: entry + 10] + struct.pack("<H", 14) + good[entry + 12 :], "packed in a way that no pack is")
    refused(good[: entry + 8] + struct.pack("<H", 1) + good[entry + 10 :], "is locked")
    with zipfile.ZipFile(target, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("p/certificate.json", "p/a.wav", "p/a.wav"):
            archive.writestr(name, "{}")
    refused(target.read_bytes(), "two files of the name")
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("deep/er/p/certificate.json", "{}")
    refused(target.read_bytes(), "holds no certificate.json")
    monkeypatch.setattr(given_packs, "MOST_UNPACKED", 1_000)
    refused(good, "in it: unpack it yourself")
    monkeypatch.undo()
    monkeypatch.setenv("DISTILL_LIBRARY", str(library))
    more = zipped(pack, tmp_path / "more.zip", **{"p2/certificate.json": b"{}"})
    refused(more.read_bytes(), "more than one certificate.json")
    more = zipped(pack, tmp_path / "more.zip", **{"a/b/certificate.json": b" " * (certificates.MOST_BYTES + 2)})
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("certificate.json", b" " * (certificates.MOST_BYTES * 4))
    assert target.stat().st_size < 100_000
    refused(target.read_bytes(), "larger than a certificate may be")
    assert verified(distill, more)[0] == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes that have names")
def test_links_and_devices_are_no_sounds_of_a_pack(distill: Run, pack: Path, library: Path, tmp_path: Path) -> None:
    """Guards against a pack that has this machine read what lies outside it, or wait for ever."""
    first, second, *_ = (each["file"] for each in said(pack)["sounds"])
    (pack / first).rename(tmp_path / "elsewhere.wav")
    (pack / first).symlink_to(tmp_path / "elsewhere.wav")
    (pack / second).unlink()
    for path in (pack / second, pack / "more.wav"):
        os.mkfifo(path)
    code, answer, _ = verified(distill, pack)
    assert code == 1
    assert [states(answer)[each] for each in (first, second)] == ["missing", "missing"]


def test_a_certificate_of_a_stranger_is_data(pack: Path) -> None:
    """Guards against values of no sense, paths that lead out, keys that stand twice, and nesting without end."""
    true = said(pack)
    text = (pack / "certificate.json").read_text()
    assert read_certificate(text.encode(), "it").intact
    assert read_certificate(text.encode(), "it").certificate.text() == text
    for bad in ("../a.wav", "/a.wav", "a\\b.wav", "C:/a.wav", "", ".", "a/./b.wav", 3, "x" * 5000):
        changed = {**true, "sounds": [{**true["sounds"][0], "file": bad}]}
        with pytest.raises(DistillError, match="makes no sense"):
            read_certificate(json.dumps(changed).encode(), "it")
    odd = [
        b"", b"{}", b"[]", b"\xff\xfe", text.encode()[:-9], b"[" * 100_000, b'{"format": "distill_certificate"}',
        text.replace('"licence": "CC0"', '"licence": "CC0", "licence": "mine"').encode(),
        text.replace('"version": 1', '"version": 2').encode(), text.replace('"bytes": ', '"bytes": -').encode(),
        text.replace('"coherence_z": ', '"coherence_z": 1e999, "was": ').encode(),
        text.replace('"coherence_z": ', '"coherence_z": NaN, "was": ').encode(), b" " * (certificates.MOST_BYTES + 1),
    ]  # fmt: skip
    for data in odd:
        assert data != text.encode()
        with pytest.raises(DistillError) as error:
            read_certificate(data, "it")
        assert str(error.value).startswith("it ") or str(error.value).startswith("it:")
    assert Certificate.model_validate({**true, "unknown": 1}).pack == "new kit"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["generate", "kit", "--certificate"], "--certificate is for packs: add --pack FOLDER."),
        (["verify", "{tmp}/gone"], "There is no file or folder"),
        (["verify", "{tmp}"], "There is no certificate.json in"),
        (["verify", "{tmp}/text.json"], "is no certificate, or is cut or garbled"),
        (["verify", "{pack}", "--again", "101"], "--again 101: choose from 0 to 100."),
        (["verify", "{pack}", "--again", "1"], "Name it with --model."),
        (["verify", "{pack}", "--dataset", "{tmp}"], "name the model with --model"),
        (["verify", "{pack}", "--model", "unknown"], "There is no model called 'unknown'"),
        (["generate", "codec", "--pack", "{tmp}/p", "--certificate"], "Run `distill train-prior codec` first."),
    ],
)
def test_what_cannot_be_is_one_sentence(
    distill: Run, library: Path, made: Path, tmp_path: Path, line: list[str], sentence: str
) -> None:
    contents = read_contents(library / "kit.distill")
    of_codec = {
        name: value for name, value in contents.items() if "prior" not in name and name not in ("codes", "novelty")
    }
    write_model(library / "codec.distill", of_codec)
    (tmp_path / "text.json").write_text("text")
    code, stdout, stderr = distill(*(each.format(tmp=tmp_path, pack=made / "new kit") for each in line))
    assert (code, stdout) == (1, "")
    assert sentence in stderr
    assert len([each for each in stderr.splitlines() if each.startswith("Error: ")]) == 1
    assert not (tmp_path / "p").exists()


def test_the_same_request_has_the_same_certificate(made: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a date, a path or something drawn in a certificate."""
    settings = generation_settings(
        count=COUNT, seconds=0.3, seed=5, tries=1, synthesiser="griffin-lim", max_copy_seconds=2.0
    )
    pack = python.load(tiny_model, "cpu").pack(
        tmp_path / "new kit", licence="CC0", certificate=True, **settings.model_dump(exclude_defaults=True)
    )
    assert pack.certificate == str(tmp_path / "new kit" / "certificate.json")
    assert Path(pack.certificate).read_bytes() == (made / "new kit" / "certificate.json").read_bytes()
    assert studio.verify is not None
