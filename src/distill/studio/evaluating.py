"""What a model loses, measured."""

from collections.abc import Generator
from functools import partial
from pathlib import Path

from distill.compute.device import choose_device
from distill.corpus.scan import scan
from distill.errors import DistillError
from distill.evaluation.scores import evaluate_sounds
from distill.events import Event
from distill.instrument.synthesisers import check_synthesiser, choose_synthesiser
from distill.library.models import find_model
from distill.modelfile.opened import load_model


def evaluate(
    model: str, dataset: Path | None = None, device: str = "auto", synthesiser: str = "auto"
) -> Generator[Event, None, None]:
    """Measure the codec: on its own held-out files, or on every usable sound in `dataset` if that is another folder."""
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    manifest = loaded.card.corpus_manifest
    # Cut as the model's sounds were, its held-out pieces are found again, whatever else is in the folder now.
    corpus = yield from scan(dataset or Path(manifest.folder), slicing="on" if manifest.recordings else "auto")
    trained_on = {file.sha256 for file in manifest.train}
    held_out = {file.content for file in manifest.val}
    fresh = [file for file in corpus.manifest.files if file.sha256 not in trained_on or file.content in held_out]
    if not fresh:
        raise DistillError(
            f"{path} has learned from every sound in {corpus.manifest.folder}. Give others with --corpus DIR."
        )
    sounds = [(file.name, partial(corpus.samples, file)) for file in fresh]
    yield from evaluate_sounds(loaded, sounds, choose_synthesiser(loaded, synthesiser, chosen), chosen)
