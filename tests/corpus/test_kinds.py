"""Kinds: what a person would call them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.corpus.kinds import LEAST_FILES, MOST_KINDS, Kinds, find_kinds, mean_mel, nearest_kind, safe_name

MELS = 128


def found(names: list[str], mels: np.ndarray | None = None, seed: int = 0) -> Kinds:
    if mels is None:
        mels = np.random.default_rng(0).uniform(-60, 0, (len(names), MELS))
    return find_kinds(names, mels, seed)


def words(kinds: Kinds) -> list[str | None]:
    return [None if kind is None else kinds.names[kind] for kind in kinds.of_file]


def numbered(*prefixes: str, count: int = 4, end: str = ".wav") -> list[str]:
    return [f"{prefix}{number:02d}{end}" for prefix in prefixes for number in range(count)]


def groups(count: int, files: int, spread: float = 1.0) -> np.ndarray:
    """Mean mels around so many centres."""
    rng = np.random.default_rng(1)
    centres = rng.uniform(-50, 0, (count, MELS))
    return centres[np.arange(files) % count] + spread * rng.standard_normal((files, MELS))


def test_folders_are_words() -> None:
    """Guards against folders with too few files, and against files beside them being given a word."""
    kinds = found([*numbered("Kicks/a", "snares/b"), *numbered("few/c", count=3), "loose.wav"])
    assert kinds.source == "folders" and kinds.names == ("kicks", "snares")
    assert words(kinds) == ["kicks"] * 4 + ["snares"] * 4 + [None] * 4


def test_the_nearest_folder_with_enough_files_counts() -> None:
    names = [*numbered("drums/kicks/808/a"), *numbered("drums/kicks/909/b", count=2), *numbered("drums/hats/c")]
    assert words(found(names)) == ["808"] * 4 + ["kicks"] * 2 + ["hats"] * 4
    assert words(found(numbered("a/hard/x", "b/hard/x", "b/soft/x"))) == ["a_hard"] * 4 + ["b_hard"] * 4 + ["soft"] * 4


def test_a_folder_around_everything_is_no_word() -> None:
    """Guards against a corpus with one kind, which says nothing."""
    kinds = found(numbered("my sounds/kick_", "my sounds/snare_"))
    assert kinds.source == "prefixes" and kinds.names == ("kick", "snare")


@pytest.mark.parametrize("end", [".wav", "_v2.flac", " take.aiff"])
@pytest.mark.parametrize("between", ["_", "-", " ", ""])
def test_prefixes_are_words(between: str, end: str) -> None:
    assert words(found(numbered(f"Kick{between}", f"snare{between}", end=end))) == ["kick"] * 4 + ["snare"] * 4


def test_the_longest_prefix_with_enough_files_counts() -> None:
    """Guards against `drum` for the twelve cymbals and toms of a set."""
    names = [f"drum_{kind}_{how}.wav" for kind in ("tom", "cymbal") for how in ("hard", "soft", "open", "closed")]
    names += ["drum_roll.wav", *numbered("bd_"), "bd_boom.wav"]
    assert words(found(names)) == ["drum_tom"] * 4 + ["drum_cymbal"] * 4 + ["drum"] + ["bd"] * 5


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (numbered("TR808_Kick_", "TR808_Snare_"), {"kick", "snare"}),
        (numbered("TR808_Kick_", "TR909_Kick_", "TR909_Snare_"), {"kick", "snare"}),
        ([f"{n}__someone__{what}.wav" for n in range(81_000, 81_004) for what in ("kick", "hat")], {"kick", "hat"}),
        ([f"{n:03d} {what}.wav" for n in range(4) for what in ("Kick", "Hat")], {"kick", "hat"}),
        ([f"{what} ({n}).wav" for n in range(4) for what in ("Bass drum", "Hi-hat")], {"bass_drum", "hi_hat"}),
        ([f"{what}{n}.wav" for n in range(4) for what in ("किक", "ताली")], {"किक", "ताली"}),
    ],
)
def test_files_are_called_as_people_call_them(names: list[str], kinds: set[str]) -> None:
    """Guards against the names that packs, recorders and sites give, and against words torn apart at their vowel signs."""
    assert set(found(names).names) == kinds


def test_one_small_folder_beside_many_named_files_does_not_hide_them() -> None:
    assert found([*numbered("old/x"), *numbered("kick", "snare", count=8)]).names == ("kick", "snare", "x")
    assert found([*numbered("old/x"), *(f"{letter}xy.wav" for letter in "abcdefgh")]).names == ("old",)


def test_a_folder_of_formats_is_no_word() -> None:
    assert found(numbered("kicks/wav/a", "snares/wav/b")).names == ("kicks", "snares")


def test_a_prefix_that_all_have_is_no_word() -> None:
    assert words(found(numbered("tabla_ghe", "tabla_tun"))) == ["ghe"] * 4 + ["tun"] * 4


def test_a_number_in_front_may_be_a_word_but_a_running_one_is_none() -> None:
    """Guards against digits that were recorded by two people being sorted by nothing, and takes by their number."""
    spoken = [f"{digit}_{who}_{take}.wav" for digit in range(10) for who in ("ann", "bob") for take in range(3)]
    digits = np.repeat(np.random.default_rng(3).uniform(-30, 0, (10, MELS)), 6, axis=0) + groups(60, 60) * 0.1
    assert found(spoken, digits).names == tuple("0123456789")
    kits = [f"{kit:02d}_{what}.wav" for kit in range(1, 9) for what in ("kick", "snare", "hat", "tom")]
    assert found(kits, groups(4, 32)).names == ("hat", "kick", "snare", "tom")
    running = [f"{number:03d}_{what}.wav" for number in range(40) for what in ("a",)]
    assert found(running, groups(4, 40)).source == "clusters"


def test_pieces_of_recordings_have_the_name_of_their_recording() -> None:
    names = [f"{take}.wav @ 0:0{second}.00" for take in ("hands", "sticks") for second in range(5)]
    assert found(names).names == ("hands", "sticks")
    assert found([f"session.wav @ 0:{second:02d}.00" for second in range(20)], groups(4, 20)).source == "clusters"


def test_names_that_say_little_are_not_taken() -> None:
    """Guards against one repeated prefix in a folder of other names."""
    kinds = found([*numbered("kick"), *(f"{letter}xy.wav" for letter in "abcdefghijklmnop")], groups(4, 20))
    assert kinds.source == "clusters"


def test_clusters_are_named_after_their_typical_files() -> None:
    mels = groups(5, 40)
    mels[:5] = groups(5, 5, 0.0)  # the first five are the middles
    mels += np.random.default_rng(2).uniform(-30, 30, (40, 1))  # loudness says nothing
    kinds = found([f"Sound {chr(97 + i % 26)}{'x' * (i // 26)}.wav" for i in range(40)], mels)
    assert kinds.source == "clusters" and kinds.names == tuple(f"sound_{letter}" for letter in "abcde")
    assert [kinds.names[kind] for kind in kinds.of_file if kind is not None] == [
        f"sound_{'abcde'[file % 5]}" for file in range(40)
    ]


def test_no_cluster_is_a_single_odd_file() -> None:
    """Guards against kinds that nothing can be learned of."""
    mels = groups(4, 30)
    mels[7] = np.linspace(0, -60, MELS)
    kinds = found([f"{chr(97 + i % 26)}{chr(97 + i // 26)}.wav" for i in range(30)], mels)
    assert all(kinds.of_file.count(kind) >= LEAST_FILES for kind in range(len(kinds.names)))


@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_few_files_have_no_kinds(count: int) -> None:
    kinds = found([f"{letter}.wav" for letter in "abcdefg"[:count]])
    assert kinds == Kinds((), (None,) * count, "clusters")
    assert nearest_kind(np.zeros(MELS), np.zeros((count, MELS)), kinds) is None


def test_files_that_are_all_alike_are_one_kind_at_most() -> None:
    kinds = found([f"{letter}.wav" for letter in "abcdefghijkl"], np.full((12, MELS), -100.0))
    assert len(kinds.names) <= 1


def test_names_are_safe_unique_and_few() -> None:
    """Guards against kinds that are no flag's value and no file's name."""
    odd = numbered("Große Trommel/", "../../etc/", "钹 CYMBAL/", "🥁🥁/", "🎹/", " - /")
    kinds = found(odd)
    assert set(kinds.names) == {"große_trommel", "etc", "钹_cymbal", "sounds", "sounds_2", "sounds_3"}
    many = found(numbered(*(f"{chr(97 + i % 26)}{chr(97 + i // 26)}/" for i in range(70))))
    assert len(many.names) == MOST_KINDS and many.of_file.count(None) == 6 * LEAST_FILES
    assert safe_name("É\u0301/\x00..\n") == safe_name("é\u0301")


def test_composed_and_decomposed_names_are_the_same_word() -> None:
    """Guards against two kinds of one word: macOS decomposes names."""
    kinds = found([*numbered("Be\u0301/"), *numbered("B\u00e9/", count=2), *numbered("snare/")])
    assert kinds.names == ("b\u00e9", "snare") and words(kinds).count("b\u00e9") == 6


def test_the_same_files_have_the_same_kinds() -> None:
    mels = groups(6, 50, 8.0)
    names = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}.wav" for i in range(50)]
    assert found(names, mels) == found(names, mels, seed=0)


def test_the_nearest_file_says_the_kind_whatever_the_loudness() -> None:
    """Guards against loud sounds being near to loud ones, and against files without a word deciding."""
    mels = groups(3, 12, 0.5)
    kinds = Kinds(("a", "b"), (0, 1, None) * 4, "folders")
    assert [nearest_kind(mel + 25.0, mels, kinds) for mel in mels[:2]] == [0, 1]
    assert nearest_kind(mels[2], mels, kinds) in (0, 1)


def test_mean_mel_is_a_mean_of_power() -> None:
    mel = np.array([[0.0, -100.0], [-100.0, -100.0]], dtype=np.float16)
    assert mean_mel(mel).tolist() == pytest.approx([-3.01, -100.0], abs=0.01)


PARTS = st.sampled_from(
    ["", "kick", "Kick ", "808", "07", "a_b", "Bé", "钹", "किक", "🥁", " @ 0:01.00", "..", "#", "\u200b", "x" * 60]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PARTS, max_size=4).map("/".join), max_size=24), st.integers(0, 3))
def test_whatever_files_are_called_kinds_can_be_asked_for(names: list[str], seed: int) -> None:
    """Guards against names that end in a traceback, two kinds of one name, kinds of no file, and names that need quotes."""
    kinds = found(names, groups(3, len(names)), seed)
    assert len(kinds.of_file) == len(names) and len(set(kinds.names)) == len(kinds.names) <= MOST_KINDS
    assert {kind for kind in kinds.of_file if kind is not None} == set(range(len(kinds.names)))
    assert all(safe_name(name) == name and name not in ("", ".", "..") for name in kinds.names), kinds.names
