"""Whose the recordings are: a line for a file, a folder, or all."""

from pathlib import Path

import pytest
import torch

import distill
from distill import studio
from distill.corpus.consents import consent_of, consents_for, without_consent
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.modelfile.file import read_card, read_contents
from distill.modelfile.locks import claimed


def manifest(library: Path) -> CorpusManifest:
    return read_card(library / "kit.distill").corpus_manifest


def test_a_line_is_kept_and_the_rest_of_the_file_is_as_it_was(library: Path) -> None:
    """Guards against lines that are lost, and against a file that loses something else for them."""
    before = read_contents(library / "kit.distill", mapped=False)
    studio.consent("kit", ["hit 1.wav"], whose=" Ada ", licence="CC0")
    assert [each.line for each in distill.consent("kit", whose="me")] == ["me", "Ada, CC0"]
    after = read_contents(library / "kit.distill", mapped=False)
    assert set(after) == set(before)
    assert after["metadata"] == before["metadata"]
    assert all(torch.equal(after["prior_state_dict"][name], each) for name, each in before["prior_state_dict"].items())
    found = manifest(library)
    assert [(each.of, each.line) for each in found.consents] == [("", "me"), ("hit 1.wav", "Ada, CC0")]
    assert [each.line for each in consents_for(found, ["hit 1.wav"])] == ["Ada, CC0"]
    assert {each.line for each in consents_for(found)} == {"me", "Ada, CC0"}
    assert not without_consent(found)
    studio.consent("kit", ["hit 1.wav"], licence="CC BY 4.0")
    assert [each.line for each in consents_for(manifest(library), ["hit 1.wav"])] == ["CC BY 4.0"]
    studio.consent("kit", remove=True)
    assert len(without_consent(manifest(library))) == len(found.files) - 1


def test_the_nearest_line_holds(library: Path) -> None:
    """Guards against a folder's line that hides a file's own, and against one that ends at the folder's name."""
    found = manifest(library)
    renamed = [file.model_copy(update={"name": name}) for file, name in zip(
        found.files, ["a/b/1.wav", "a/2.wav", "ab/3.wav", "4.wav", *(f"{n}.wav" for n in range(5, 10))], strict=True
    )]  # fmt: skip
    lines = [{"of": of, "whose": whose} for of, whose in (("a", "A"), ("a/b", "B"), ("4.wav", "F"))]
    folders = CorpusManifest.model_validate({**found.model_dump(), "files": renamed, "consents": lines})
    held = [consent_of(folders, file) for file in folders.files[:5]]
    assert [each and each.whose for each in held] == ["B", "A", None, "F", None]
    assert without_consent(folders)[0] == "ab/3.wav"


def test_what_cannot_be_is_said(library: Path) -> None:
    with pytest.raises(DistillError, match=r"nearest is 'hit 1.wav'"):
        studio.consent("kit", ["hitt 1.wav"], whose="me")
    with pytest.raises(DistillError, match="Say whose they are"):
        studio.consent("kit", ["hit 1.wav"])
    with pytest.raises(DistillError, match="leave out --whose and --licence"):
        studio.consent("kit", ["hit 1.wav"], whose="me", remove=True)
    with claimed(library / "kit.distill", "prior"), pytest.raises(DistillError, match="being trained already"):
        studio.consent("kit", whose="me")
