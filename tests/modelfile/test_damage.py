"""However a model file is damaged, it is told in one sentence, or works."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from damage import KINDS, part_enlarged, with_part
from distill.errors import DistillError
from distill.library.models import import_model
from distill.modelfile.file import read_card, read_contents
from distill.modelfile.opened import load_model

VARIANTS = 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_damage_gets_its_sentence(tiny_model: Path, tmp_path: Path, kind: object) -> None:
    """Guards against tracebacks: of 300 damaged files 17 ended in one, most from the archive's directory."""
    whole, path = tiny_model.read_bytes(), tmp_path / "kit.distill"
    number = KINDS.index(kind)  # type: ignore[arg-type]
    for seed in range(VARIANTS):
        path.write_bytes(kind(whole, np.random.default_rng((number, seed))))  # type: ignore[operator]
        try:
            (load_model if seed % 2 else read_card)(path)
        except DistillError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)


def test_a_tensor_ends_where_its_part_ends(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against weights that are read on into the next part of the archive, whose checksums are all right."""
    whole = tiny_model.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        name = max((e for e in archive.infolist() if "/data/" in e.filename), key=lambda e: e.file_size).filename
        content = archive.read(name)
    for part in (b"", content[:-4], content + b"more"):
        (tmp_path / "short.distill").write_bytes(with_part(whole, name, part))
        for mapped in (True, False):
            with pytest.raises(DistillError, match="damaged"):
                read_contents(tmp_path / "short.distill", mapped)


def test_import_names_the_file_that_was_given(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a sentence about a temporary copy that the user has never seen."""
    path = tmp_path / "from a friend.distill"
    content = bytearray(tiny_model.read_bytes())
    content[len(content) // 2] ^= 255  # a weight: only the copy is read so far
    path.write_bytes(content)
    with pytest.raises(DistillError, match="checksums") as raised:
        import_model(path)
    assert str(path) in str(raised.value)
    assert "importing" not in str(raised.value)
    assert sorted(each.name for each in library.iterdir()) == ["kit.distill"]


def test_the_damage_is_damage(tiny_model: Path) -> None:
    """Guards against variants that are all alike, or the file itself."""
    whole = tiny_model.read_bytes()
    made = {part_enlarged(whole, np.random.default_rng(seed)) for seed in range(4)}
    assert len(made) == 4
    assert whole not in made


def test_values_have_their_checksum_compared_without_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a card with one letter changed that `info` and the library believe."""
    whole = tiny_model.read_bytes()
    assert whole.count(b"hit 3.wav") >= 1
    (tmp_path / "rotten.distill").write_bytes(whole.replace(b"hit 3.wav", b"hit 8.wav"))
    with pytest.raises(DistillError, match="checksums"):
        read_card(tmp_path / "rotten.distill")
