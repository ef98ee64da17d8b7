"""What the prior is told of training windows, and that it is told the truth."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from distill.audio.traits import BRIGHTNESS, ONSETS, PITCH
from distill.compute.fabric import launch_fabric
from distill.models.canvas import open_canvas
from distill.models.filling import fill
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.models.sampling import clip_generator
from distill.settings.prior import PriorSettings
from distill.training.fit import fit
from distill.training.prior import asking
from distill.training.prior.asking import asked, smoothed
from distill.training.prior.beside import learned_scales, with_wishes
from distill.training.prior.codes import CodeSequences, CodeView, transposed
from distill.training.prior.task import PriorTask
from distill.training.prior.windows import Window, make_batch
from distill.training.run import Best

BANDS = 2
SETTINGS = PriorSettings(
    hidden_size=16, num_layers=1, num_heads=2, codebook_size=8, codebook_dim=4, seq_len=8, bands=BANDS, rvq_levels=2,
    batch_size=8, both_sides=True, traits=True, kinds=2, dropout=0.0, token_masking=0.0, epochs=80, learning_rate=5e-3,
)  # fmt: skip


def sequence(columns: int, seed: int) -> Tensor:
    return torch.randint(0, 8, (columns * BANDS, 2), generator=torch.Generator().manual_seed(seed))


def test_a_window_with_a_hole_has_its_targets_in_the_order_of_reading() -> None:
    """Guards against a hole that learns the codes of other places, and an end that is learned where it is told."""
    codes = sequence(4, 0)
    windows = [
        Window(codes, 0, 4, BOS, hole=(1, 3)),
        Window(codes, 0, 4, BOS, end_known=True),
        Window(codes, 0, 4, BOS),
        Window(codes, 1, 3, MID, hole=(0, 1)),
        Window(codes, 1, 3, MID, hole=(1, 3)),  # nothing lies behind it: it is read in time
    ]
    batch = make_batch(windows, SETTINGS)
    assert batch.given.order is not None
    assert batch.given.order.tolist() == [
        [0, 3, 1, 2, 4],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [1, 2, 0, 3, 4],
        [0, 1, 2, 3, 4],
    ]
    grid = codes.view(4, BANDS, 2)
    assert torch.equal(batch.targets[0, :8], grid[[0, 3, 1, 2]].flatten(0, 1))
    assert torch.equal(batch.targets[3, :6], grid[[2, 3, 1]].flatten(0, 1))
    assert (batch.targets[3, 6:] == IGNORED).all()
    assert [int(batch.targets[row, 8, 0]) for row in range(3)] == [IGNORED, IGNORED, 8]
    assert int(batch.targets[4, 6, 0]) == 8
    assert batch.given.end is not None
    assert batch.given.end.tolist() == [-1, 4, -1, -1, -1]


def test_what_is_not_asked_for_is_learned_and_sampled_alike() -> None:
    """Guards against training that adds the kind 0 to every window while sampling, with no kind wished, adds nothing."""
    codes = sequence(4, 0)
    batch = make_batch([Window(codes, 0, 4, BOS)], SETTINGS)
    prior = CodePrior(SETTINGS, torch.randn(2, 8, 4)).eval()
    torch.nn.init.normal_(prior.kind.weight)
    learned = prior(batch.codes, batch.start, batch.hidden, batch.given)
    torch.testing.assert_close(prior(batch.codes, batch.start), learned)


def test_windows_are_told_much_little_and_nothing() -> None:
    """Guards against a prior that is always told something, and against a share of windows that never is."""
    traits = torch.tensor([[-3.0, 9.0, 60.0, 1.0]]).repeat(6, 1)
    view = CodeView(sequence(6, 1), traits=traits, whole=torch.tensor([-20.0, 8.5, 61.0, 0.5]))
    rng = np.random.default_rng(0)
    told = [asked(Window(view.codes, 1, 4, MID), view, 2, SETTINGS, rng) for _ in range(600)]
    shares = {
        "hole": asking.HOLES,
        "end_known": asking.ENDS,
        "kind": asking.WISHING * asking.EACH,
    }
    for name, share in shares.items():
        found = sum(bool(getattr(each, name)) for each in told) / len(told)
        assert abs(found - share) < 0.07, name
    assert all(each.hole is None or 0 <= each.hole[0] < each.hole[1] <= 4 for each in told)
    heard = torch.stack([each.traits for each in told if each.traits is not None])
    assert set(heard[:, 0, BRIGHTNESS][~heard[:, 0, BRIGHTNESS].isnan()].tolist()) == {9.0, 8.5}
    assert set(heard[:, 0, PITCH][~heard[:, 0, PITCH].isnan()].tolist()) == {60.0, 61.0}
    assert heard[:, 3].isnan().any(dim=1).any()
    quiet = SETTINGS.model_copy(update={"both_sides": False, "traits": False, "kinds": 0})
    plain = [asked(Window(view.codes, 1, 4, MID), view, 2, quiet, rng) for _ in range(50)]
    assert all(each == Window(view.codes, 1, 4, MID) for each in plain)


def test_smoothing_leaves_gaps_out() -> None:
    """Guards against a stretch without pitch that takes its neighbours' away."""
    values = torch.tensor([1.0, math.nan, 3.0, math.nan, math.nan, math.nan, 5.0])
    assert smoothed(values, ONSETS).nan_to_num(-1.0).tolist() == [1.0, 2.0, 3.0, 3.0, -1.0, 5.0, 5.0]


def test_a_view_that_is_higher_has_a_higher_pitch() -> None:
    """Guards against wishes learned from what the file was like before it was played faster."""
    frames = torch.tensor([[-10.0, 9.0, 60.0, 0.0]])
    assert transposed(frames, 6.0)[0].tolist() == [-10.0, 9.5, 66.0, 0.0]


def test_a_kind_that_is_wished_for_comes_out() -> None:
    """Guards against wishes that are read in training and not when sounds are made, or the other way round: two kinds of
    files are learned, and each is asked for."""
    files = [torch.full((4 * BANDS, 2), code) for code in (1, 6) for _ in range(4)]
    views = tuple(
        (CodeView(codes, traits=torch.full((4, 4), math.nan), whole=torch.full((4,), math.nan)),) for codes in files
    )
    sequences = CodeSequences(views, tuple(files[3:5]), (1,) * 4 + (2,) * 4, ("low", "high"))
    kept: list[Best] = []
    task = PriorTask(sequences, torch.randn(2, 8, 4), SETTINGS, kept.append)
    for _ in fit(task, launch_fabric("cpu", 0)):
        pass
    task.objective.load_state_dict(kept[-1].state)
    canvases = [
        replace(open_canvas(4, BANDS, 2, "never"), kind=kind, strength=1.5) for kind in (1, 2) for _ in range(8)
    ]
    filling = fill(task.prior, canvases, [clip_generator(seed) for seed in range(16)])
    *_, drawn = filling
    means = torch.stack([codes.double().mean() for codes in drawn]).view(2, 8).median(dim=1).values
    assert abs(float(means[0]) - 1.0) < 1.0
    assert abs(float(means[1]) - 6.0) < 1.0


def test_scales_are_the_corpus_own() -> None:
    """Guards against ranges of other values: the lowest and highest of what the files are like, and unlike counts of onsets."""
    whole = torch.tensor([[-30.0, 8.0, math.nan, 0.5], [-20.0, 10.0, math.nan, 1.0], [-10.0, 9.0, math.nan, 1.0]])
    views = tuple(
        (CodeView(sequence(8, row), frames=96, whole=each, traits=torch.zeros(2, 4)),) for row, each in enumerate(whole)
    )
    sequences = CodeSequences(views, (sequence(2, 5),), (0, 1, 1), ("kick",), torch.zeros(3, 128))
    found = learned_scales(sequences)
    assert found["kinds"] == ["kick"]
    assert found["trait_quantiles"]["loudness"][0] == -30.0
    assert found["trait_quantiles"]["brightness"][-1] == 10.0
    assert "pitch" not in found["trait_quantiles"]
    assert {found["trait_quantiles"]["onsets"][0], found["trait_quantiles"]["onsets"][-1]} == {1.0, 2.0}
    assert found["kinds_state_dict"]["of_file"].tolist() == [0, 1, 1]
    assert with_wishes(SETTINGS, sequences).kinds == 1
