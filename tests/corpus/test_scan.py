"""Scanning a folder, what is skipped, the cache, and finding the same sounds again."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError

from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.corpus.scan import reopen, scan
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import Event, Progress, Warned
from distill.settings.geometry import SpectrogramConfig
from distill.studio.looking import scanned_event


def hit(seed: int, samples: int = 12_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 48_000
    partials = sum(
        np.exp(-time * rng.uniform(5, 40)) * np.sin(2 * np.pi * rng.uniform(80, 5000) * time) for _ in range(3)
    )
    return (0.2 * partials + 0.02 * rng.standard_normal(samples)).astype(np.float32)


def finished(work: Generator[Event, None, Corpus]) -> tuple[Corpus, list[Event]]:
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


def split_by_hash(corpus: Corpus) -> dict[str, str]:
    return {file.sha256: file.split for file in corpus.manifest.files}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("DISTILL_CACHE", str(place))
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight different sounds, one of them in a subfolder."""
    place = tmp_path / "sounds"
    (place / "deeper").mkdir(parents=True)
    for seed in range(7):
        soundfile.write(place / f"hit {seed}.wav", hit(seed), 48_000)
    soundfile.write(place / "deeper" / "hit 7.flac", hit(7), 44_100)
    return place


def test_scan_reports_every_file_and_splits_by_group(folder: Path) -> None:
    corpus, events = finished(scan(folder))
    manifest = corpus.manifest
    assert [file.name for file in manifest.files] == ["deeper/hit 7.flac", *(f"hit {seed}.wav" for seed in range(7))]
    assert events[-1] == Progress("reading sounds", 8, 8, "hit 6.wav")
    assert (len(manifest.train), len(manifest.val)) == (7, 1)
    assert manifest.facts().files == 8
    assert manifest.facts().seconds == pytest.approx(sum(file.seconds for file in manifest.train))
    assert CorpusManifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_cached_audio_and_mel_equal_the_whole_file(folder: Path) -> None:
    """Oracle: one log_mel of the whole sound; float16 is exact to 0.03 dB here."""
    corpus, _ = finished(scan(folder))
    for file in corpus.manifest.files:
        samples, _ = read_audio(folder / file.name)
        levelled, peak = corpus.audio(file)
        np.testing.assert_allclose(levelled.astype(np.float32) * peak, samples, atol=peak * 2**-11)
        mel = corpus.mel(file)
        assert isinstance(mel, np.memmap)
        np.testing.assert_allclose(mel, log_mel(torch.from_numpy(samples), corpus.spectrogram).T, atol=0.04)


def test_duplicates_share_a_group_and_a_side(folder: Path) -> None:
    """Against a copy of a training sound among the held-out ones."""
    for seed in range(7):
        shutil.copy(folder / f"hit {seed}.wav", folder / f"same bytes {seed}.wav")
        soundfile.write(folder / f"same sound {seed}.flac", soundfile.read(folder / f"hit {seed}.wav")[0], 48_000)
        soundfile.write(folder / f"quieter {seed}.ogg", hit(seed) * 0.5, 48_000)
    manifest = finished(scan(folder))[0].manifest
    assert len(manifest.files) == 8 + 21
    assert manifest.facts().files == 8
    for number in range(8):
        assert len({file.split for file in manifest.files if file.group == number}) == 1


def test_split_depends_on_content_alone(folder: Path, tmp_path: Path) -> None:
    """Against a split that changes when files are renamed or the folder moves."""
    before = split_by_hash(finished(scan(folder))[0])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.*"), reverse=True)):
        shutil.copy(path, moved / f"{number}{path.suffix}")
    assert split_by_hash(finished(scan(moved))[0]) == before


def test_what_cannot_be_used_is_listed_with_its_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("a list")
    (folder / "fake.wav").write_text("not a sound")
    (folder / "empty.flac").touch()
    (folder / ".hidden.wav").write_bytes((folder / "hit 0.wav").read_bytes())
    (folder / ".git").mkdir()
    (folder / ".git" / "inside.wav").write_text("x")
    (folder / "folder.wav").mkdir()
    corpus, _ = finished(scan(folder))
    assert {file.name: file.reason for file in corpus.manifest.skipped} == {
        "notes.txt": "not a sound",
        "fake.wav": "not a sound",
        "empty.flac": "empty: the file has 0 bytes",
    }
    assert len(corpus.manifest.files) == 8


def test_files_are_sounds_by_their_content(folder: Path) -> None:
    """Against a wrong suffix, or none, keeping a sound from being learned."""
    (folder / "hit 0.wav").rename(folder / "no suffix")
    (folder / "hit 1.wav").rename(folder / "looks like a text.txt")
    (folder / "hit 2.wav").rename(folder / "looks like a sidecar.asd")
    corpus, _ = finished(scan(folder))
    assert {"no suffix", "looks like a text.txt", "looks like a sidecar.asd"} < {
        file.name for file in corpus.manifest.files
    }
    assert corpus.manifest.skipped == ()


def test_sidecars_are_one_line_together(folder: Path) -> None:
    """Against a hundred lines about what other programs keep beside sounds."""
    (folder / "hit 0.wav.asd").write_bytes(b"\xab\x1e\x56\x78" + bytes(3000))
    (folder / "hit 0.wav.reapeaks").write_bytes(b"RPKN" + bytes(100))
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000))
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(3000))
    (folder / "deeper" / "._hit 7.flac").write_bytes(b"\0\5\x16\7" + bytes(200))
    (folder / "Icon\r").touch()
    corpus, _ = finished(scan(folder))
    (line,) = corpus.manifest.skipped
    assert line.name == "6 sidecar files (.DS_Store, Icon\r, Thumbs.db and 3 more)"
    assert line.reason == "not sounds: other programs keep them beside the sounds"
    assert len(corpus.manifest.files) == 8


def test_what_is_not_on_this_machine_is_called_so(folder: Path) -> None:
    """Against silence about, or "damaged" for, files that a cloud has not brought yet."""
    (folder / ".kick1.wav.icloud").write_bytes(b"bplist00" + bytes(60))
    (folder / "kick2.wav.nextcloud").write_bytes(b" ")
    (folder / "kick3.wav").write_bytes(bytes(20_000))
    corpus, _ = finished(scan(folder))
    assert {file.name: file.reason.split(":")[0] for file in corpus.manifest.skipped} == {
        ".kick1.wav.icloud": "not downloaded yet",
        "kick2.wav.nextcloud": "not downloaded yet",
        "kick3.wav": "not downloaded yet, or lost",
    }
    assert "kick1.wav is in a cloud" in corpus.manifest.skipped[0].reason


@pytest.mark.parametrize("mark", [{"st_flags": 0x4000_0000}, {"st_file_attributes": 0x40_0000}])
def test_a_file_that_would_be_downloaded_first_is_not_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mark: dict[str, int]
) -> None:
    """Against a scan that waits for a cloud: what macOS and Windows say of such a file, which is as large as the real one."""
    plain = Path.stat

    def stat(self: Path, **how: bool) -> object:
        status = plain(self, **how)
        if self.name != "hit 3.wav":
            return status
        return SimpleNamespace(st_mode=status.st_mode, st_size=status.st_size, **mark)

    monkeypatch.setattr(Path, "stat", stat)
    corpus, _ = finished(scan(folder))
    (skipped,) = corpus.manifest.skipped
    assert (skipped.name, skipped.reason.split(":")[0]) == ("hit 3.wav", "not downloaded yet")


def test_when_nothing_is_usable_reasons_and_counts_are_told(folder: Path) -> None:
    """Against "there is no sound" for a folder full of files, each with its reason."""
    for path in sorted(folder.rglob("*.*")):
        path.unlink()
    for number in range(5):
        (folder / f"take {number}.wav").write_text("text")
    (folder / "a.rx2").write_bytes(b"CAT \0\0\0\x64REX2HEAD" + bytes(90))
    (folder / ".kick1.wav.icloud").write_bytes(b"bplist00" + bytes(60))
    with pytest.raises(DistillError) as caught:
        finished(scan(folder))
    sentence = str(caught.value)
    assert "holds 0 usable sounds" in sentence
    assert "5 files, take 0.wav, take 1.wav, take 2.wav, and 2 more: not a sound" in sentence
    assert "a.rx2: a kind of sound that cannot be read (REX): convert it to WAV or FLAC" in sentence
    assert ".kick1.wav.icloud: not downloaded yet" in sentence


def test_notes_reach_the_manifest_and_survive_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a note that is told once and lost where the sound comes from the cache."""
    whole = (folder / "hit 4.wav").read_bytes()
    (folder / "hit 4.wav").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        manifest = finished(scan(folder))[0].manifest
        noted = {file.name: file.notes for file in manifest.files if file.notes}
        assert noted == {"hit 4.wav": ("its header promises 0.25 s, 0.12 s can be read: what is there is used",)}
        assert scanned_event(manifest).notes == (("hit 4.wav", noted["hit 4.wav"][0]),)
        monkeypatch.setattr("distill.corpus.cache.decode_planes", lambda path: pytest.fail(f"decoded {path} again"))
    old = manifest.model_dump()
    for file in old["files"]:
        del file["notes"]
    assert all(file.notes == () for file in CorpusManifest.model_validate(old).files)


@pytest.mark.skipif(os.name != "posix", reason="POSIX links and pipes")
def test_links_and_pipes_neither_escape_nor_hang(folder: Path, tmp_path: Path) -> None:
    """Against a loop of links, sound from outside the folder, and waiting for a pipe."""
    outside = tmp_path / "outside.wav"
    soundfile.write(outside, hit(50), 48_000)
    (folder / "loop").symlink_to(folder)
    (folder / "outside.wav").symlink_to(outside)
    (folder / "broken.wav").symlink_to(folder / "gone.wav")
    (folder / "inside.wav").symlink_to(folder / "hit 0.wav")
    os.mkfifo(folder / "pipe.wav")
    corpus, _ = finished(scan(folder))
    assert {file.name for file in corpus.manifest.skipped} == {"loop", "outside.wav", "broken.wav", "pipe.wav"}
    assert len(corpus.manifest.files) == 9


@pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX only")
def test_a_name_that_is_not_utf8_survives_into_the_manifest(folder: Path, cache: Path) -> None:
    """Against a manifest that cannot be stored, and a file that is not found again by its stored name."""
    (folder / "hit 0.wav").rename(folder / os.fsdecode(b"\xff.wav"))
    manifest = finished(scan(folder))[0].manifest
    assert "\\xff.wav" in [file.name for file in manifest.files]
    shutil.rmtree(cache)
    finished(reopen(CorpusManifest.model_validate_json(manifest.model_dump_json())))


def test_a_folder_that_will_not_do_gets_one_sentence(tmp_path: Path, folder: Path) -> None:
    """One test a kind: missing, a file, empty, too few, one recording only."""
    with pytest.raises(DistillError, match="no folder"):
        finished(scan(tmp_path / "gone"))
    with pytest.raises(DistillError, match="is a file"):
        finished(scan(folder / "hit 0.wav"))
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(DistillError, match="no sound in"):
        finished(scan(few))
    for number in range(4):
        shutil.copy(folder / f"hit {number}.wav", few)
    (few / "fake.wav").write_text("x")
    with pytest.raises(DistillError, match=r"4 usable sounds, and at least 5 .*\(fake\.wav: not a sound\)"):
        finished(scan(few))
    for number in range(4):
        shutil.copy(folder / "hit 0.wav", few / f"hit {number}.wav")
    shutil.copy(folder / "hit 0.wav", few / "fake.wav")
    with pytest.raises(DistillError, match="copies of one recording"):
        finished(scan(few))


def test_an_unchanged_folder_is_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished(scan(folder))[0].manifest
    monkeypatch.setattr("distill.corpus.cache.decode_planes", lambda path: pytest.fail(f"decoded {path} again"))
    assert finished(scan(folder))[0].manifest == first


@pytest.mark.parametrize("part", ["audio.f16", "mel-*.f16", "fingerprint.f16", "facts.json"])
def test_a_damaged_cache_is_made_again(folder: Path, cache: Path, part: str) -> None:
    """Against training on a half-written spectrogram."""
    corpus, _ = finished(scan(folder))
    file = corpus.manifest.files[0]
    mel, audio = np.array(corpus.mel(file)), np.array(corpus.audio(file)[0])
    for path in cache.rglob(part):
        path.write_bytes(path.read_bytes()[:-2])
    np.testing.assert_array_equal(corpus.mel(file), mel)
    np.testing.assert_array_equal(corpus.audio(file)[0], audio)


def test_another_spectrogram_has_its_own_mels(folder: Path) -> None:
    """Against mels of one configuration being served for another."""
    finished(scan(folder))
    corpus, _ = finished(scan(folder, SpectrogramConfig(n_mels=64)))
    assert corpus.mel(corpus.manifest.files[0]).shape[1] == 64


def test_a_deleted_cache_needs_the_file_and_says_so(folder: Path, cache: Path) -> None:
    corpus, _ = finished(scan(folder))
    file = corpus.manifest.files[1]
    shutil.rmtree(cache)
    assert corpus.mel(file).shape == (corpus.spectrogram.frames(file.samples), 128)
    shutil.rmtree(cache)
    soundfile.write(folder / file.name, hit(99), 48_000)
    with pytest.raises(DistillError, match=r"hit 0\.wav is gone or has changed"):
        corpus.mel(file)


def test_reopen_names_a_folder_that_is_gone(folder: Path) -> None:
    """Against going on in silence with sounds that the user has taken away, because the cache still has them."""
    manifest = finished(scan(folder))[0].manifest
    shutil.rmtree(folder)
    with pytest.raises(DistillError, match=r"sounds.* is not there.*--dataset DIR"):
        finished(reopen(manifest))


def test_reopen_goes_on_with_what_is_left_when_allowed(folder: Path) -> None:
    manifest = finished(scan(folder))[0].manifest
    gone = manifest.train[0]
    (folder / gone.name).unlink()
    with pytest.raises(DistillError, match="--allow-changed"):
        finished(reopen(manifest))
    corpus, events = finished(reopen(manifest, allow_changed=True))
    assert {file.name for file in corpus.manifest.files} == {file.name for file in manifest.files} - {gone.name}
    assert any(isinstance(event, Warned) and gone.name in event.message for event in events)
    for file in manifest.val:
        (folder / file.name).unlink()
    with pytest.raises(DistillError, match="Too few"):
        finished(reopen(manifest, allow_changed=True))


def test_reopen_finds_moved_and_renamed_files(folder: Path, tmp_path: Path, cache: Path) -> None:
    """Against a model that cannot get its prior because the folder moved."""
    manifest = finished(scan(folder))[0].manifest
    moved = folder.rename(tmp_path / "moved")
    (moved / "hit 3.wav").rename(moved / "renamed.wav")
    shutil.rmtree(cache)
    with pytest.raises(DistillError, match="--dataset DIR"):
        finished(reopen(manifest))
    corpus, _ = finished(reopen(manifest, moved))
    assert corpus.manifest == manifest
    shutil.rmtree(cache)
    assert len(corpus.mel(manifest.files[4])) > 0


def test_reopen_names_what_has_changed(folder: Path, cache: Path) -> None:
    """Against stage 2 learning from other sounds than stage 1."""
    manifest = finished(scan(folder))[0].manifest
    soundfile.write(folder / "hit 2.wav", hit(98), 48_000)
    shutil.rmtree(cache)
    with pytest.raises(DistillError, match=r"\(hit 2\.wav has changed\).*--dataset"):
        finished(reopen(manifest))


def test_a_cache_that_cannot_be_written_gets_one_sentence(folder: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DistillError, match="DISTILL_CACHE"):
        finished(scan(folder))


@pytest.mark.parametrize(
    "change",
    [{"name": "/etc/passwd"}, {"name": "a/../../b.wav"}, {"samples": 0}, {"sha256": "x"}, {"peak": float("nan")}],
)
def test_a_manifest_from_a_foreign_file_is_checked(change: dict[str, object]) -> None:
    """Against a `.distill` file that points out of the folder or carries impossible numbers."""
    good: dict[str, object] = {
        "name": "a.wav", "sha256": "0" * 64, "samples": 5000, "native_rate": 44_100,
        "channels": 1, "peak": 0.5, "group": 0, "split": "train",
    }  # fmt: skip
    CorpusFile.model_validate(good)
    with pytest.raises(ValidationError):
        CorpusFile.model_validate(good | change)
