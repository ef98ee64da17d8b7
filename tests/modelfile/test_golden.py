"""What earlier programs wrote is read today as it was meant (tests/golden/README.md)."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import torch

from distill import studio
from distill.modelfile.file import read_contents, write_model
from distill.modelfile.migrate import lacks
from distill.modelfile.opened import load_model
from distill.models.filling import sample_codes
from distill.models.prior import BOS, MID
from distill.models.sampling import clip_generator
from distill.settings.geometry import LEAST_ENDS
from distill.training.prior.codes import unpack_codes

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMES = ["first", "0.1.0"]


def golden(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    path = folder / f"{name}.distill"
    path.write_bytes(lzma.decompress((GOLDEN / f"{name}.distill.xz").read_bytes()))
    return path, json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_it_means_what_it_meant(tmp_path: Path, name: str) -> None:
    """Guards weights under other names, in another order or of another meaning; the figures are the earlier program's."""
    path, was = golden(name, tmp_path)
    loaded = load_model(path)
    assert loaded.prior is not None
    codes = torch.arange(2 * 24 * 2).view(2, 24, 2) * 7 % 16
    with torch.no_grad():
        logits = loaded.prior(codes, torch.tensor([BOS, MID])).log_softmax(-1)[:, ::8, :, ::5].flatten()
        mel = loaded.codec.codes_to_mel(codes)
    assert torch.allclose(logits, torch.tensor(was["logits"]), atol=1e-4)
    contrast = 1.25 if name == "first" else 1.0  # its codec had another scale of decibels; `lacks` says so
    assert torch.allclose(mel[0, 0, ::16, ::5].flatten(), contrast * torch.tensor(was["mel_db"]), atol=1e-2)
    if loaded.synthesiser is not None:
        with torch.no_grad():
            logs = loaded.synthesiser(mel[0], mel[0].amax((1, 2)))
        assert [float(log.mean()) for log in logs] == pytest.approx(was["log_magnitudes"], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_draws_the_codes_it_drew(tmp_path: Path, name: str) -> None:
    path, was = golden(name, tmp_path)
    prior = load_model(path).prior
    assert prior is not None
    drawn = [list(found) for found in sample_codes(prior, [clip_generator(7)], 3, may_end=False)][-1]
    assert drawn[0].tolist() == was["drawn"]


def test_it_says_what_it_lacks(tmp_path: Path) -> None:
    first, newer = (studio.info(str(golden(name, tmp_path)[0]))[1] for name in NAMES)
    words = ("decibels", "patterns", "grain", "sounds end", "How loud")
    assert [word for word in words if word in " ".join(lacks(first))] == list(words)
    learned = newer.model_copy(update={"has_endings": True})
    for samples, count, said in (
        (24_000, LEAST_ENDS, True),
        (24_000, LEAST_ENDS - 1, False),
        (480_000, LEAST_ENDS, False),
    ):
        files = (newer.corpus_manifest.train[0].model_copy(update={"samples": samples}),) * count
        manifest = newer.corpus_manifest.model_copy(update={"files": files})
        assert ("sound on" in " ".join(lacks(learned.model_copy(update={"corpus_manifest": manifest})))) == said
    assert [word for word in words if word in " ".join(lacks(newer))] == ["grain", "sounds end", "How loud"]
    manifest = first.corpus_manifest
    wide = manifest.model_copy(update={"files": tuple(f.model_copy(update={"channels": 2}) for f in manifest.files)})
    assert "stereo" in " ".join(lacks(first.model_copy(update={"corpus_manifest": wide})))
    assert "stereo" not in " ".join(lacks(first))
    assert newer.has_codes
    assert newer.has_synthesiser
    assert not first.has_codes


def test_what_follows_from_the_rest_is_filled_in(tmp_path: Path) -> None:
    """Guards numbers that would be wrong: the first files were not begun from anything, and did not say how large."""
    path, _ = golden("first", tmp_path)
    card = studio.info(str(path))[1]
    prior = load_model(path).prior
    assert card.training_config.pretrained is False
    assert card.prior_training_config is not None
    assert card.prior_training_config.views == 1
    assert card.prior_metadata is not None
    assert prior is not None
    assert card.prior_metadata.parameters == sum(p.numel() for p in prior.parameters())
    assert (card.prior_metadata.hidden_size, card.prior_metadata.num_layers) == (16, 1)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_rewritten_without_loss(tmp_path: Path, name: str) -> None:
    path, _ = golden(name, tmp_path)
    before = read_contents(path, mapped=False)
    write_model(path, before)
    after = read_contents(path)
    assert after.keys() == before.keys()
    assert all(torch.equal(after["model_state_dict"][key], t) for key, t in before["model_state_dict"].items())


def test_the_codes_in_it_are_read(tmp_path: Path) -> None:
    contents = read_contents(golden("0.1.0", tmp_path)[0])
    card = studio.info(str(tmp_path / "0.1.0.distill"))[1]
    sequences = unpack_codes(contents["codes"], card.corpus_manifest, 16, 2)
    assert len(sequences.train) == len(card.corpus_manifest.train)
