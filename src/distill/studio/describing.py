"""What a model's file says of itself."""

from pathlib import Path

from distill.audio.pictures import usage_heatmap
from distill.errors import DistillError
from distill.events import CodebookHealth
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.file import read_card


def info(model: str) -> tuple[Path, ModelCard]:
    """What a model's file says of itself; loads no weights."""
    path = find_model(model)
    return path, read_card(path)


def draw_usage(card: ModelCard, picture: Path) -> None:
    """Draw how often each code of a model is used, as a PNG.

    Raises:
        DistillError: it is not to be called as one: what is there under another suffix is no older picture.
    """
    if picture.suffix.lower() != ".png":
        raise DistillError(f"--heatmap {picture} must end with .png.")
    usage_heatmap(CodebookHealth.from_dict(card.codebook_health_snapshot.model_dump()), picture)
