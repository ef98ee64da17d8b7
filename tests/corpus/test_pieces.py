"""A corpus of pieces of long recordings: when it is made, how it is split, found again and read."""

import itertools
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError

from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.corpus import sounds
from distill.corpus.manifest import CorpusFile, CorpusManifest, piece_name
from distill.corpus.scan import reopen, scan
from distill.corpus.slice import cut
from distill.corpus.sounds import Corpus
from distill.corpus.split import GAP_SECONDS, held_out_stretches, side, whole_recordings
from distill.errors import DistillError
from distill.events import Event, Warned
from tiny import RATE, hit, session

GAP = round(GAP_SECONDS * RATE)


LONG = 31.0
"""Long enough to be cut without being asked to."""


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all tests here, so that the same recording is decoded once."""
    monkeypatch.setenv("DISTILL_CACHE", str(shared_cache))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that a test may delete."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One recording."""
    place = tmp_path / "sounds"
    place.mkdir()
    soundfile.write(place / "take.wav", session(LONG), RATE, subtype="PCM_24")
    return place


def finished(work: Generator[Event, None, Corpus]) -> tuple[Corpus, list[Event]]:
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


def manifest_of(folder: Path, **how: Any) -> CorpusManifest:
    return finished(scan(folder, **how))[0].manifest


def test_one_long_recording_is_a_corpus(folder: Path) -> None:
    """Against "add more" to someone who has minutes of sound; and nothing is written beside the recording."""
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    manifest = manifest_of(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(manifest.files) > 20
    assert manifest.recordings == ("take.wav",)
    assert len({file.name for file in manifest.files}) == len(manifest.files)
    for file in manifest.files:
        assert file.span is not None
        assert 0.2 * RATE <= file.samples <= 10 * RATE
        assert file.name == piece_name("take.wav", file.span[0])
        assert file.source == "take.wav"
    facts = manifest.facts()
    assert (facts.files, facts.sliced) == (len(manifest.files), True), (
        "each piece counts, though they share a recording"
    )
    assert CorpusManifest.model_validate_json(manifest.model_dump_json()) == manifest
    fewer = manifest.model_copy(update={"files": (*manifest.files[2:], manifest.files[2], manifest.files[2])})
    assert fewer.digest != manifest.digest, "other pieces of the same recording are other sounds"


def test_no_piece_is_judged_by_its_neighbours_tail(folder: Path) -> None:
    """The split by time: a stretch in the middle, seconds from what is learned from, another group, and about 15 %."""
    manifest = manifest_of(folder)
    assert manifest.split_by == "time"
    assert {file.group for file in manifest.train}.isdisjoint(file.group for file in manifest.val)
    first, last = manifest.val[0].span[0], manifest.val[-1].span[1]  # type: ignore[index]
    for file in manifest.train:
        assert file.span is not None
        assert file.span[1] <= first - GAP or file.span[0] >= last + GAP
    assert any(file.span and file.span[0] > last for file in manifest.train)
    assert 0.08 < sum(file.samples for file in manifest.val) / sum(file.samples for file in manifest.files) < 0.25
    assert manifest.unused_pieces > 0


def test_the_split_depends_on_content_alone(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    soundfile.write(moved / "other name.flac", *soundfile.read(folder / "take.wav"), subtype="PCM_24")
    one, other = ([(file.span, file.split) for file in manifest_of(place).files] for place in (folder, moved))
    assert one == other


def test_whole_recordings_are_held_out_where_one_can_be_spared(tmp_path: Path) -> None:
    """One of several recordings of like length; none where each is most of the sound."""
    for count, split_by in ((4, "file"), (2, "time")):
        place = tmp_path / str(count)
        place.mkdir()
        for number in range(count):
            soundfile.write(place / f"{number}.wav", session(12.0, number), RATE)
        manifest = manifest_of(place, slicing="on")
        assert manifest.split_by == split_by
        sides = [{file.split for file in manifest.files if file.source == name} for name in manifest.recordings]
        assert (len(sides), [len(each) for each in sides]) == (count, [1 if split_by == "file" else 2] * count)
        assert manifest.val


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [([100.0], None), ([50.0, 50.0], None), ([100.0, 1.0], None), ([80.0, 15.0, 30.0], {1}), ([30.0] * 4, "one")],
)
def test_which_recording_can_be_spared(seconds: list[float], chosen: Any) -> None:
    """Against holding out most of the sound, or a second of it; the nearest to 15 % it is."""
    hashes = [f"{number:064x}" for number in range(len(seconds))]
    found = whole_recordings(hashes, range(len(seconds)), seconds)
    assert len(found or ()) == 1 if chosen == "one" else found == chosen


def test_a_long_recording_has_several_held_out_stretches() -> None:
    """Against judging an hour by one of its songs."""
    pieces = [(n * RATE, (n + 1) * RATE) for n in range(1200)]
    stretches = held_out_stretches(pieces)
    assert len(stretches) == 4
    sides = [side(piece, stretches) for piece in pieces]
    assert sides.count("val") == pytest.approx(0.15 * 1200, abs=8)
    assert sides.count(None) == 2 * 4 * GAP_SECONDS


def test_a_copy_of_a_recording_is_split_as_it_is(folder: Path) -> None:
    """Against held-out stretches that are learned from in the copy, which may be a shorter one."""
    soundfile.write(folder / "take again.ogg", 0.5 * session(LONG)[: round(0.75 * LONG * RATE)], RATE)
    manifest = manifest_of(folder)
    stretches = [(f.span[0], f.span[1]) for f in manifest.val if f.source == "take.wav" and f.span]
    first, last = stretches[0][0], stretches[-1][1]
    copied = [file for file in manifest.train if file.source == "take again.ogg"]
    assert copied
    assert all(file.span and (file.span[1] < first or file.span[0] > last) for file in copied)


def test_a_piece_is_read_as_if_it_were_a_file_of_its_own(folder: Path) -> None:
    """Against a spectrogram in which the next onset is heard before it comes, and against waveforms that do not fit it."""
    ringing = np.zeros(10 * RATE, np.float32)
    for number, at in enumerate(np.arange(0.1, 8.5, 0.6)):
        ringing[round(at * RATE) :][:RATE] += 0.4 * hit(number % 5, 1.0)
    soundfile.write(folder / "take.wav", ringing, RATE, subtype="PCM_24")
    corpus, _ = finished(scan(folder, slicing="on"))
    whole, _ = read_audio(folder / "take.wav")
    spans = [file.span for file in corpus.manifest.files if file.span]
    assert sum(one[1] == other[0] for one, other in itertools.pairwise(spans)) >= 3
    for file in corpus.manifest.files:
        assert file.span is not None
        expected = cut(whole, file.span)
        np.testing.assert_allclose(corpus.planes(file)[0], expected, atol=1e-7)
        levelled, peak = corpus.audio(file)
        assert (levelled.dtype, len(levelled)) == (np.float16, file.samples)
        np.testing.assert_allclose(levelled.astype(np.float32) * peak, expected, atol=peak * 2**-11)
        mel = corpus.mel(file)
        assert mel.shape == (corpus.spectrogram.frames(file.samples), corpus.spectrogram.n_mels)
        alone = log_mel(torch.from_numpy(expected), corpus.spectrogram).T.numpy()
        assert np.abs(mel - alone)[np.maximum(mel, alone) > -40.0].max() < 0.5


def test_a_recording_is_decoded_once_for_all_its_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an hour that is decoded a thousand times when a synthesiser is fitted."""
    corpus, _ = finished(scan(folder))
    decoded: list[Path] = []
    original = sounds.decode_planes
    monkeypatch.setattr(sounds, "decode_planes", lambda path: decoded.append(path) or original(path))
    for file in corpus.manifest.files:
        list(corpus.decoded(file))
        corpus.planes(file)
    assert len(decoded) == 1


def test_pieces_are_looked_for_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = manifest_of(folder)
    monkeypatch.setattr("distill.corpus.slice.slices", lambda _: pytest.fail("cut again"))
    assert manifest_of(folder) == first


def test_reopen_cuts_a_moved_recording_exactly_as_before(folder: Path, tmp_path: Path, own_cache: Path) -> None:
    """Found by its content, without looking for onsets again."""
    corpus, _ = finished(scan(folder))
    before = [np.array(corpus.mel(file)) for file in corpus.manifest.files]
    moved = folder.rename(tmp_path / "moved")
    (moved / "take.wav").rename(moved / "renamed.wav")
    shutil.rmtree(own_cache)
    with pytest.raises(DistillError, match="--dataset DIR"):
        finished(reopen(corpus.manifest))
    again, _ = finished(reopen(corpus.manifest, moved))
    assert again.manifest == corpus.manifest
    for file, mel in zip(again.manifest.files, before, strict=True):
        np.testing.assert_array_equal(again.mel(file), mel)
    shutil.rmtree(own_cache)
    np.testing.assert_array_equal(again.mel(again.manifest.files[3]), before[3])


def test_a_changed_recording_is_named_once(folder: Path) -> None:
    """Against a sentence with hundreds of pieces in it; with others left, those are gone on with."""
    soundfile.write(folder / "other.wav", session(LONG, 5), RATE)
    manifest = manifest_of(folder)
    soundfile.write(folder / "take.wav", session(1.0, 9), RATE)
    with pytest.raises(DistillError, match=r"\(take\.wav has changed\)"):
        finished(reopen(manifest))
    corpus, events = finished(reopen(manifest, allow_changed=True))
    assert corpus.manifest.recordings == ("other.wav",)
    assert [event.message for event in events if isinstance(event, Warned)] == [
        "1 of the model's sounds are left out: take.wav has changed."
    ]


def write(folder: Path, lengths: Sequence[float]) -> Path:
    folder.mkdir()
    for number, seconds in enumerate(lengths):
        soundfile.write(folder / f"{number}.wav", session(seconds, number), RATE)
    return folder


@pytest.mark.parametrize(
    ("lengths", "slicing", "sentence"),
    [
        ([LONG], "off", r"1 usable sound, and at least 5 are needed: add more, or have .* --slice auto"),
        ([6.0, 6.0], "auto", r"2 usable sounds, .* have them cut into pieces, with --slice on"),
        ([0.4, 0.4], "auto", r"2 usable sounds, .* one recording of more than 30 s, which is cut"),
        ([0.25], "on", r"1 usable sound, .* one recording of more than 30 s"),
    ],
)  # fmt: skip
def test_too_few_files_are_told_what_would_do(
    tmp_path: Path, lengths: list[float], slicing: Any, sentence: str
) -> None:
    with pytest.raises(DistillError, match=sentence):
        manifest_of(write(tmp_path / "few", lengths), slicing=slicing)


def test_a_recording_of_almost_nothing_but_silence_is_too_little(tmp_path: Path) -> None:
    track = np.zeros(40 * RATE, np.float32)
    for at in (5, 30):
        track[at * RATE :][: len(hit(at))] = hit(at)
    (tmp_path / "still").mkdir()
    soundfile.write(tmp_path / "still" / "take.wav", track, RATE)
    with pytest.raises(DistillError, match=r"Cut at silences and onsets, .* too few .*: add more"):
        manifest_of(tmp_path / "still")


def test_slicing_is_the_users_to_say(tmp_path: Path) -> None:
    """auto leaves five files whole; on cuts them; off never cuts."""
    folder = write(tmp_path / "five", [LONG, 3.0, 3.5, 4.0, 4.5])
    assert manifest_of(folder).recordings == manifest_of(folder, slicing="off").recordings == ()
    assert len(manifest_of(folder, slicing="on").recordings) == 5


PIECE: dict[str, object] = {
    "name": "a @ b.wav @ 1:00:01.50", "sha256": "0" * 64, "samples": 5000, "native_rate": 44_100, "channels": 1,
    "peak": 0.5, "group": 0, "split": "train", "span": (172_872_000, 172_877_000),
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"span": (5000, 0)},
        {"span": (-10, 4990)},
        {"span": (172_872_000, 172_876_999)},
        {"span": (10**13, 10**13 + 5000)},
        {"name": "a @ b.wav"},
        {"name": "../b.wav @ 1:00:01.50"},
        {"span": (0, 5000)},
    ],
)
def test_a_piece_from_a_foreign_file_is_checked(change: dict[str, object]) -> None:
    assert CorpusFile.model_validate(PIECE).source == "a @ b.wav"
    with pytest.raises(ValidationError):
        CorpusFile.model_validate(PIECE | change)


def test_a_span_beyond_its_recording_gets_one_sentence(folder: Path) -> None:
    """Against an empty spectrogram, from a model file that someone has changed."""
    corpus, _ = finished(scan(folder))
    start = 32 * RATE
    changes = {"span": (start, start + RATE), "samples": RATE, "name": piece_name("take.wav", start)}
    beyond = CorpusFile.model_validate(corpus.manifest.files[0].model_dump() | changes)
    for read in (corpus.mel, corpus.audio, corpus.planes):
        with pytest.raises(DistillError, match="ends after its recording"):
            read(beyond)


def test_an_older_manifest_is_of_whole_files() -> None:
    old = {name: value for name, value in PIECE.items() if name != "span"} | {"name": "a @ b.wav"}
    manifest = CorpusManifest.model_validate({"folder": "x", "files": [old]})
    assert (manifest.files[0].source, manifest.files[0].content, manifest.split_by) == ("a @ b.wav", "0" * 64, "file")
