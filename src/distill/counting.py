"""How many there are of something, as a sentence says it."""


def counted(number: int, noun: str) -> str:
    """`1 sound`, `2 sounds`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
