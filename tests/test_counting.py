"""How many there are of something."""

from distill.counting import counted


def test_one_is_not_several() -> None:
    """Guards against "1 sounds"."""
    assert [counted(number, "sound") for number in (0, 1, 2)] == ["0 sounds", "1 sound", "2 sounds"]
