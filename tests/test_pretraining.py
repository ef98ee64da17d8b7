"""`tools/pretrain_codec.py`, which makes the weights that codecs start from, from its first line to its last."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import distill.weights
from distill.models.codec import ConvVQVAE
from distill.settings.auto import epoch_crops
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import SpectrogramConfig
from distill.weights import start_from

SMALL = VQVAEConfig(channels=24, codebook_size=16)


@pytest.fixture
def pretrain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool, called with arguments: six sounds, two epochs, a small network."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "tools"))
    monkeypatch.setenv("DISTILL_CACHE", "")  # the tool sets its own; this puts it back
    tool = importlib.import_module("pretrain_codec")

    def run(*arguments: str | Path) -> None:
        small = ["--sounds", "6", "--crops", "12", "--channels", "24", "--codebook-size", "16"]
        monkeypatch.setattr(sys, "argv", ["pretrain_codec.py", *small, *map(str, arguments)])
        tool.main()

    return run


def network(seed: int) -> ConvVQVAE:
    torch.manual_seed(seed)
    return ConvVQVAE(SMALL, SpectrogramConfig())


def test_weights_are_written_and_can_be_gone_on_from(
    pretrain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against an hour of pre-training whose last line fails, whose file no codec starts from, or that is not gone on
    from when it should be; a second run that renders all sounds once more, or learns from others than it is told."""
    monkeypatch.setattr(distill.weights, "HERE", tmp_path)
    kept, again = tmp_path / "codec.pt", tmp_path / "again.pt"
    pretrain("--work", tmp_path / "work", "--out", kept)
    assert f"{kept}: " in capsys.readouterr().out.splitlines()[-1]
    state = torch.load(kept, weights_only=True)
    assert all(tensor.dtype == torch.float16 for tensor in state.values())
    own = {name for name in network(0).state_dict() if not name.startswith(("quantizer.", "typical_"))}
    assert set(state) == own
    codec, other = network(0), network(1)
    assert start_from(codec, "codec")
    assert start_from(other, "codec")
    mel = -60.0 + 20.0 * torch.randn(1, 1, 128, 96)
    assert torch.equal(codec.encode(mel), other.encode(mel))

    sounds = sorted((tmp_path / "work" / "sounds").iterdir())
    rendered = [(path.stat().st_ino, path.read_bytes()) for path in sounds]
    assert len(sounds) == 6
    sounds[-1].unlink()  # as if the run had been ended while it rendered
    pretrain("--continued", "--seed", "7", "--sounds-seed", "5", "--work", tmp_path / "work", "--out", again)
    assert [path.stat().st_ino for path in sounds[:-1]] == [number for number, _ in rendered[:-1]]
    assert [path.read_bytes() for path in sounds] == [made for _, made in rendered]

    def apart(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
        return sum(float((one[name].float() - two[name].float()).square().sum()) for name in own) ** 0.5

    further, unlike = torch.load(again, weights_only=True), network(3).state_dict()
    assert 0.0 < apart(state, further) < 0.1 * apart(state, unlike)

    middle = tmp_path / "middle.pt"
    pretrain("--average", kept, again, "--out", middle)
    between = torch.load(middle, weights_only=True)
    assert all(tensor.dtype == torch.float16 for tensor in between.values())
    assert apart(between, state) == pytest.approx(apart(between, further), rel=0.05)
    assert apart(between, state) == pytest.approx(0.5 * apart(state, further), rel=0.05)


def test_weights_of_another_width_are_not_gone_on_from(pretrain: Any, tmp_path: Path) -> None:
    """Guards against a training that silently starts from nothing, with the small steps of one that goes on."""
    with pytest.raises(SystemExit, match="2"):
        pretrain("--continued", "--out", tmp_path / "codec.pt")
    assert not (tmp_path / "codec.pt").exists()


def test_many_sounds_are_learned_from_as_often_as_is_said(pretrain: Any) -> None:
    """Guards against epochs that are counted as if each went through all sounds: of 6,000 it is a tenth."""
    tool = importlib.import_module("pretrain_codec")
    corpus = SimpleNamespace(manifest=SimpleNamespace(facts=lambda: SimpleNamespace(crops=9_000)))
    in_all = tool.epochs_of(238_000, corpus) * epoch_crops(9_000, "standard")
    assert in_all == pytest.approx(238_000, rel=0.01)
    assert tool.epochs_of(1, corpus) == 2
