"""New recordings join a corpus: names, sides and pieces."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.corpus import joining
from distill.corpus.joining import BETWEEN, NAME_TAKEN, Joined, join
from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import SPECTROGRAM, scan
from distill.corpus.split import held_out_of_new
from tiny import RATE, exhausted, hit, session, write_sounds


def joined(manifest: CorpusManifest, added: Path | None = None) -> Joined:
    return exhausted(join(manifest, added, SPECTROGRAM))


def test_the_share_of_the_held_out_stays() -> None:
    """Guards against one new file that is held out, so that nothing new is learned, and a hundred of which none is."""
    hashes = [f"{number:064x}" for number in range(100)]
    assert held_out_of_new(hashes[:1], [0], old=9, old_held_out=1) == set()  # of ten groups two would be held out
    assert held_out_of_new(hashes[:1], [0], old=9, old_held_out=0) == {0}
    assert len(held_out_of_new(hashes, list(range(100)), old=100, old_held_out=15)) == 15
    assert held_out_of_new(hashes[:2], [0, 1], old=10, old_held_out=9) == set()


def test_a_new_recording_is_cut_where_the_corpus_is(tmp_path: Path) -> None:
    """Guards against forty seconds that are one sound among hundreds of short ones."""
    folder = tmp_path / "one take"
    folder.mkdir()
    soundfile.write(folder / "take.wav", session(40), RATE)
    manifest = exhausted(scan(folder)).manifest
    assert manifest.recordings == ("take.wav",)
    soundfile.write(folder / "second.wav", session(40, seed=3), RATE)
    found = joined(manifest)
    assert len(found.new) > 10
    assert {file.source for file in found.new} == {"second.wav"}
    assert len({(file.group, file.split) for file in found.new}) == 1  # all of it on one side
    assert found.corpus.manifest.files[: len(manifest.files)] == manifest.files
    assert len(found.corpus.mel(found.new[0])) > 0


def test_another_recording_under_an_old_name_takes_its_place(tmp_path: Path) -> None:
    """Guards against codes of one sound under the name of another, and two files of one name."""
    folder = write_sounds(tmp_path / "sounds")
    manifest = exhausted(scan(folder)).manifest
    changed, moved = (manifest.train[number].name for number in (0, 1))
    soundfile.write(folder / changed, hit(60, 0.4), RATE)
    (folder / "old").mkdir()
    (folder / moved).rename(folder / "old" / moved)
    soundfile.write(folder / moved, hit(70, 0.4), RATE)
    found = joined(manifest)
    assert found.changed == (changed,)
    assert [file.name for file in found.new] == [changed]
    names = [file.name for file in found.corpus.manifest.files]
    assert len(names) == len(set(names)) == len(manifest.files)
    assert {each.name: each.reason for each in found.corpus.manifest.skipped}[moved] == NAME_TAKEN
    assert not found.gone


def test_what_is_like_both_sides_is_on_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a held-out sound that is learned from by way of a third."""
    manifest = exhausted(scan(write_sounds(tmp_path / "sounds"))).manifest
    more = write_sounds(tmp_path / "more", 2, lambda number: hit(60 + 5 * number, 0.4))
    bridging = [0 if file.split == "val" or not number else number for number, file in enumerate(manifest.files)]
    monkeypatch.setattr(joining, "group", lambda content, _prints: [*bridging, 0, 99][: len(content)])
    found = joined(manifest, more)
    assert [file.name for file in found.new] == ["more/hit 1.wav"]
    assert {each.name: each.reason for each in found.corpus.manifest.skipped}["more/hit 0.wav"] == BETWEEN


def test_two_folders_of_one_name_get_two_words(tmp_path: Path) -> None:
    """Guards against names that stand for two files."""
    manifest = exhausted(scan(write_sounds(tmp_path / "sounds"))).manifest
    for number, place in enumerate(("a", "b")):
        added = write_sounds(tmp_path / place / "more", 2, lambda n, number=number: hit(60 + 5 * n + 11 * number, 0.4))
        manifest = joined(manifest, added).corpus.manifest
    assert list(manifest.added_folders) == ["more", "more 2"]
    assert manifest.place("more 2/hit 1.wav") == (tmp_path / "b" / "more" / "hit 1.wav").resolve()
    assert manifest.place("hit 1.wav") == (tmp_path / "sounds" / "hit 1.wav").resolve()
    assert np.all([manifest.place(file.source).is_file() for file in manifest.files])
