"""The page trains a model again with new recordings."""

from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.modelfile.file import read_card
from distill.ui.adding import train_again
from distill.ui.live import live_view
from distill.ui.page_state import PageState
from tiny import hit, write_sounds


def test_a_folder_is_added_from_the_page(library: Path, tmp_path: Path) -> None:
    """Guards against a button that trains nothing, and a training that no live view shows."""
    page_state = PageState(tmp_path / "room", any_folder=True)
    added = write_sounds(tmp_path / "more", 2, lambda number: hit(40 + 3 * number, 0.3))
    job = train_again(page_state, "kit", str(added), False)
    assert page_state.jobs.latest("prior") is job
    assert job.wait(60)
    assert not job.error
    assert "kit with new recordings" in live_view(page_state, job).html
    assert read_card(library / "kit.distill").corpus_manifest.added_folders == {"more": str(added.resolve())}
    again = train_again(page_state, "kit", "", False)
    assert again.wait(60)
    assert "There are no new recordings" in again.error


def test_a_page_for_others_opens_no_folder(library: Path, tmp_path: Path) -> None:
    """Guards against a page on the network that reads any folder of this machine."""
    with pytest.raises(DistillError, match="cannot be opened from this page"):
        train_again(PageState(tmp_path, any_folder=False), "kit", str(tmp_path), False)
