"""Packs and kits: what sounds are called, where they are played, and that samplers read it."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from distill.files import is_file_name
from distill.instrument.kits import KitSound, decentsampler, keys_of, sfz, strokes_of
from distill.instrument.naming import Described, folders_of, named
from distill.instrument.pack_page import Shown, pack_page
from tiny import RATE, hit

HOSTILE = ["../../etc", "a/b", "a\\b", "CON", "con", "aux.wav", "lpt1", "..", ".", "", " ", "-rf", "kick\n", "KICK", "kick",
           "e\u0301", "\u00e9", "\ud800", "\u202egnp", "x" * 300, "\u0915" * 300, "sample=x.wav key=1", "$a #define",
           "häts & kicks", "COM¹"]  # fmt: skip


def test_hostile_kinds_stay_in_their_place() -> None:
    """Guards against a folder of the user's whose name leads out of the pack, is a device, or is another kind's too."""
    folders = folders_of(HOSTILE)
    assert len({each.casefold() for each in folders}) == len(HOSTILE)
    for folder in folders:
        assert is_file_name(folder), folder
        assert Path(folder).parts == (folder,)
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com.|lpt.)(\..*)?", folder)
        assert not re.search(r"[\s=$#<>/\\:.]", folder), folder
    names = named([Described(kind, 1.0, -20.0, 10.0, None) for kind in HOSTILE])
    assert all(is_file_name(f"{each.stem}.wav") for each in names)
    assert folders_of(["snare", "kick", "snare"]) == ["snare", "kick", "snare"]


def test_names_say_what_is_measured() -> None:
    """Guards against words by chance: each is against the middle of its kind, and a sound like the others has none."""
    kick = Described("kick", 0.3, -20.0, 7.0, None)
    sounds = [
        kick, kick, kick._replace(brightness=7.5), kick._replace(seconds=0.6), kick._replace(loudness=-26.0, note=30.2),
        Described("hat", 0.1, -30.0, 13.0, 61.0), kick._replace(loudness=-math.inf, brightness=None, seconds=0.29),
    ]  # fmt: skip
    assert [each.stem for each in named(sounds)] == [
        "kick_01", "kick_02", "kick_03_bright", "kick_04_long", "kick_05_fs1_soft", "hat_01_cs4", "kick_06",
    ]  # fmt: skip
    loops = [Described("loop", 2.0, -20.0, 9.0, None)] * 100
    assert [named(loops, 120.0)[place].stem for place in (0, 99)] == ["loop_120bpm_001", "loop_120bpm_100"]
    assert named(loops[:1], 92.5)[0].stem == "loop_92.5bpm_01"
    assert named([]) == []


def test_every_kind_has_a_key_of_its_own() -> None:
    """Guards against two kinds on a key, keys beyond MIDI's, and a kick that a drum track does not find."""
    assert keys_of(["snares", "perc", "Kick_hard", "kick", "open_hat", "hihat"]) == {
        "snares": 38, "Kick_hard": 36, "kick": 39, "open_hat": 46, "hihat": 42, "perc": 37,
    }  # fmt: skip
    many = keys_of([f"kind {number}" for number in range(64)] + ["tom"])
    assert len(set(many.values())) == 65
    assert set(many.values()) <= set(range(36, 128))


def kit(counts: dict[str, int]) -> list[KitSound]:
    rng = np.random.default_rng(1)
    return [
        KitSound(
            f"{kind}/{kind}_{number:02d}.wav", kind, -20.0 - float(rng.uniform(0, 12)), -float(rng.uniform(0.2, 6))
        )
        for kind, count in counts.items()
        for number in range(1, count + 1)
    ]


def test_every_velocity_has_its_turns() -> None:
    """Guards against a stroke that is silent or sounds twice, turns that are left out, layers in the wrong order, and gains
    that clip."""
    sounds = kit({"kick": 8, "snare": 3, "hat": 17, "one": 1})
    by_path = {each.path: each for each in sounds}
    strokes = strokes_of([*sounds, KitSound("kick/silent.wav", "kick", -math.inf, -120.0)])
    assert sorted(each.path for each in strokes) == sorted(by_path)
    for key in {each.key for each in strokes}:
        softest: list[float] = []
        for velocity in range(1, 128):
            inside = [s for s in strokes if s.key == key and s.low_velocity <= velocity <= s.high_velocity]
            assert [s.turn for s in inside] == list(range(1, len(inside) + 1))
            assert all(s.turns == len(inside) for s in inside)
            softest.append(min(by_path[s.path].loudness for s in inside))
        assert softest == sorted(softest)
    assert len({s.low_velocity for s in strokes if s.path.startswith("kick/")}) == 2
    assert len({s.low_velocity for s in strokes if s.path.startswith("hat/")}) == 4
    for stroke in strokes:
        assert by_path[stroke.path].peak_db + stroke.gain_db <= 0.01
        assert -24.0 <= stroke.gain_db <= 6.0
    turned = [by_path[s.path].loudness + s.gain_db for s in strokes if s.path.startswith("snare/") and s.gain_db < 0]
    assert np.ptp(turned) < 0.01


def test_sfz_to_the_letter() -> None:
    """Guards against an opcode that SFZ 1 has not, a value out of its range, and a path that a player cuts off."""
    sounds = kit({"kick": 8, "häts_kicks": 5})
    text = sfz(strokes_of(sounds), "a <global>\nkey=1 title")
    header, *lines = text.split("\n")
    assert header == "// a <global> key=1 title"
    assert lines[:3] == ["<global>", "loop_mode=one_shot", "ampeg_release=0.05"]
    regions = [line for line in lines[3:] if line]
    limits = {"key": (0, 127), "lovel": (1, 127), "hivel": (1, 127), "seq_length": (1, 100), "seq_position": (1, 100),
              "volume": (-144.0, 6.0)}  # fmt: skip
    for line in regions:
        assert line.startswith("<region> ")
        opcodes = dict(re.findall(r"(\w+)=(\S+)", line))
        assert line == "<region> " + " ".join(f"{name}={value}" for name, value in opcodes.items())
        assert opcodes.pop("sample") in {each.path for each in sounds}
        assert set(opcodes) == set(limits)
        for name, value in opcodes.items():
            assert limits[name][0] <= float(value) <= limits[name][1], line
    assert len(regions) == 13


def test_decentsampler_to_the_letter() -> None:
    """Guards against XML that is none, attributes that the format has not, and round robins that the sampler leaves out."""
    sounds = kit({"kick": 8, '<&">': 2})
    preset = ElementTree.fromstring(decentsampler(strokes_of(sounds)).encode())
    assert preset.tag == "DecentSampler"
    (groups,) = preset
    assert (groups.tag, set(groups.attrib)) == ("groups", {"attack", "decay", "sustain", "release"})
    found = []
    for group in groups:
        assert (group.tag, group.attrib["seqMode"], group.attrib["ampVelTrack"]) == ("group", "round_robin", "1")
        assert [each.attrib["seqPosition"] for each in group] == [f"{n}" for n in range(1, len(group) + 1)]
        assert group.attrib["seqLength"] == f"{len(group)}"
        for sample in group:
            assert set(sample.attrib) == {"path", "rootNote", "loNote", "hiNote", "loVel", "hiVel", "seqPosition", "volume",
                                          "loopEnabled"}  # fmt: skip
            assert sample.attrib["rootNote"] == sample.attrib["loNote"] == sample.attrib["hiNote"]
            assert re.fullmatch(r"-?\d+\.\d\ddB", sample.attrib["volume"])
            found.append(sample.attrib["path"])
    assert sorted(found) == sorted(each.path for each in sounds)


def test_sfizz_plays_the_kit(tmp_path: Path) -> None:
    """Guards against a kit that only our own test understands: an independent player finds every sound by key, velocity and
    turn, as loud as the kit says."""
    sfizz = pytest.importorskip("pysfizz")
    sounds = [each._replace(peak_db=-3.0) for each in kit({"kick": 8, "snare": 2})]
    (tmp_path / "kick").mkdir()
    (tmp_path / "snare").mkdir()
    for number, each in enumerate(sounds):
        soundfile.write(tmp_path / each.path, hit(number, 0.2), RATE, subtype="PCM_24")
    strokes = strokes_of(sounds)
    (tmp_path / "kit.sfz").write_text(sfz(strokes, "kit"), encoding="utf-8")
    player = sfizz.Synth(RATE, 512)
    assert player.load_sfz_file(tmp_path / "kit.sfz")
    assert player.playable_keys == [36, 38]
    heard: dict[str, float] = {}
    for key, velocity, times in ((36, 127, 4), (36, 1, 4), (38, 100, 2)):
        for _ in range(times):
            played = player.render_note(key, velocity, 0.01, 0.5)[0]
            scores = {}
            for stroke in strokes:
                sound = soundfile.read(tmp_path / stroke.path)[0]
                part = played[: len(sound)]
                scores[stroke.path] = float(part @ sound / (np.linalg.norm(part) * np.linalg.norm(sound)))
            path = max(scores, key=lambda one: scores[one])
            assert scores[path] > 0.98 > 0.9 > sorted(scores.values())[-2]  # it plays what is highest more softly
            level = 20 * math.log10(np.linalg.norm(played) / np.linalg.norm(soundfile.read(tmp_path / path)[0]))
            heard[path] = level - next(s.gain_db for s in strokes if s.path == path)
            (stroke,) = (s for s in strokes if s.path == path)
            assert stroke.key == key
            assert stroke.low_velocity <= velocity <= stroke.high_velocity
    assert len(heard) == len(sounds)
    loudest = [
        level for path, level in heard.items() if next(s for s in strokes if s.path == path).high_velocity == 127
    ]
    assert np.ptp([level for level in loudest if level > -14.0]) < 0.1


def test_the_page_stands_alone() -> None:
    """Guards against a page that asks the network, a name that is HTML, and an address that a browser reads otherwise."""
    sounds = [Shown("häts/a_01.wav", "häts & <b>", "1.00 s", b"png"), Shown("kick/k#1?.wav", "kick", "<i>", b"png")]
    page = pack_page("A </title><script>", ['Licence: "mine" <x>'], sounds)
    assert page.count("<script>") == 1
    assert "<b>" not in page
    assert "<x>" not in page
    assert "://" not in page
    assert 'src="kick/k%231%3F.wav"' in page
    assert 'src="h%C3%A4ts/a_01.wav"' in page
    assert page.count("<audio") == page.count("data:image/png") == 2
