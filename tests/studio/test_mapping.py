"""The map: what is like each other lies near, in the same place each time; names are text; nothing else is written over."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import distill
from distill import studio
from distill.errors import DistillError
from distill.evaluation.placing import axes, neighbours_kept, placed
from distill.events import Warned
from distill.studio.map_page import map_page
from distill.studio.mapping import MapPoint, MapReport, map_sounds, url_of
from tiny import RATE, hit


def groups(count: int, each: int) -> np.ndarray:
    """[count * each, 8] points in far groups, in no order of theirs."""
    rng = np.random.default_rng(1)
    centres = 6.0 * rng.standard_normal((count, 8))
    return np.concatenate([centres + 0.5 * rng.standard_normal((count, 8)) for _ in range(each)])


def test_neighbours_stay_neighbours_better_than_on_two_axes() -> None:
    """Guards against forces that do nothing, that scatter what is alike, or that depend on chance."""
    points = np.random.default_rng(1).standard_normal((144, 5))
    shown = placed(points)
    assert shown.min() == 0.0
    assert shown.max() == 1.0
    assert neighbours_kept(points, shown) > neighbours_kept(points, axes(points)) + 0.15
    np.testing.assert_array_equal(shown, placed(points))
    assert neighbours_kept(points, np.random.default_rng(0).random((144, 2))) < 0.2


def test_more_sounds_than_move_are_placed_beside_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against minutes for thousands of sounds, and against the rest of them in a corner."""
    monkeypatch.setattr("distill.evaluation.placing.MOST_MOVED", 60)
    points = groups(4, 40)
    assert neighbours_kept(points[:, :3], placed(points)) >= 0.0
    shown = placed(points).reshape(40, 4, 2)
    apart = np.linalg.norm(shown.mean(0)[:, None] - shown.mean(0), axis=-1)[~np.eye(4, dtype=bool)].min()
    assert np.linalg.norm(shown - shown.mean(0), axis=-1).max() < apart


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_few_or_equal_sounds_have_a_place(count: int) -> None:
    """Guards against divisions by nothing."""
    for points in (np.zeros((count, 5)), groups(1, 7)[:count]):
        shown = placed(points)
        assert shown.shape == (count, 2)
        assert np.isfinite(shown).all()
        assert 0.0 <= neighbours_kept(points, shown) <= 1.0


def test_the_map_of_a_model(tiny_model: Path, sounds: Path, tmp_path: Path) -> None:
    """Guards against recordings without their files, held-out ones that count as learned from, and a place by chance."""
    mine = tmp_path / "made"
    mine.mkdir()
    soundfile.write(mine / "a #1?.wav", hit(3), RATE, subtype="PCM_24")
    soundfile.write(mine / "silent.wav", np.zeros(RATE), RATE)
    out = tmp_path / "map.html"
    events = list(map_sounds(str(tiny_model), [mine], out))
    report = events[-1]
    assert isinstance(report, MapReport)
    assert next(each for each in events if isinstance(each, Warned)).message.startswith("1 of 2 files are left out.")
    known = {each.name: each for each in distill.load(tiny_model, "cpu").card.corpus_manifest.files}
    points = {each.name: each for each in report.points}
    assert set(points) == {*known, "a #1?.wav"}
    for name, file in known.items():
        assert points[name].what == ("recording" if file.split == "train" else "held out")
        assert Path(points[name].path).samefile(sounds / file.source)
        assert points[name].seconds == file.seconds
    assert points["a #1?.wav"].what == "given"
    given = points["a #1?.wav"]
    away = {name: np.hypot(points[name].x - given.x, points[name].y - given.y) for name in known}
    assert away["hit 3.wav"] < 0.5 * np.median(
        list(away.values())
    )  # it is the same sound, and two cannot lie on one spot
    page = out.read_text(encoding="ascii")
    data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert [each["name"] for each in data["points"]] == [each.name for each in report.points]
    assert "made/a%20%231%3F.wav" in {each["url"] for each in data["points"]} or "./made/a%20%231%3F.wav" in page
    assert distill.load(tiny_model, "cpu").map(mine)["points"] == report.to_dict()["points"]
    list(map_sounds(str(tiny_model), [], out))  # a map may take the place of a map
    out.write_text("my page")
    with pytest.raises(DistillError, match="there is something that is no map"):
        list(studio.map_sounds(str(tiny_model), [], out))
    assert out.read_text() == "my page"


def test_hostile_names_are_text() -> None:
    """Guards against a file's name that is a script, ends one, or is a word of the page itself."""
    names = [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        '"><img src=x onerror=alert(1)>',
        "@DATA@",
        "\udcff\u2028é",
    ]
    points = [{"name": name, "url": "", "x": 0, "y": 0} for name in names]
    for title in (*names[:4], "a & b"):
        page = map_page(title, points)
        assert page.isascii()
        assert page.count("<script") == 2
        assert "<img" not in page
        assert re.search(r"(?i)https?://(?!www\.w3\.org/2000/svg)", page) is None
        data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
        assert [each["name"] for each in data["points"]] == names


def test_a_sound_is_opened_where_it_is(tmp_path: Path) -> None:
    """Guards against names that are an address, and pieces that are played from the beginning of their file."""
    point = MapPoint("x", "recording", "", 0, 0, 2.0, str(tmp_path / "in" / "javascript:a b%#.wav"), 1.5)
    assert url_of(point, tmp_path / "map.html") == "./in/javascript%3Aa%20b%25%23.wav#t=1.500,3.500"
    elsewhere = url_of(point, tmp_path / "other" / "map.html")
    assert elsewhere.startswith("file:///")
    assert elsewhere.endswith("b%25%23.wav#t=1.500,3.500")
    assert url_of(MapPoint("x", "given", "", 0, 0, 2.0, ""), tmp_path / "map.html") == ""
