"""Views of sounds that come round again: in time with the columns of codes, and what of that reaches the prior."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from distill.audio.beat import beat_periods
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import load_model
from distill.settings.auto import Resolved
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN
from distill.settings.prior import PriorSettings
from distill.training.prior import asking
from distill.training.prior.asking import asked
from distill.training.prior.beside import learned_scales, settled, with_wishes
from distill.training.prior.codes import CodeSequences, CodeView, extract_code_sequences, tempo_ratios
from distill.training.prior.windows import Window, make_batch
from tiny import RATE, exhausted, hit, write_sounds

CPU = torch.device("cpu")
PERIOD_SECONDS = 1.003
"""5.88 columns of codes."""
SETTINGS = PriorSettings(codebook_size=16, rvq_levels=3, seq_len=24 * BANDS, both_sides=True)


def loop(number: int) -> npt.NDArray[np.float32]:
    """Seven bars, of a loud hit and two soft ones."""
    sound = np.zeros(round(7 * PERIOD_SECONDS * RATE) + RATE, np.float32)
    for bar in range(7):
        for place, (share, gain) in enumerate(((0.0, 1.0), (0.4, 0.2), (0.7, 0.3))):
            first = round((bar + share) * PERIOD_SECONDS * RATE)
            struck = hit(number + 3 * place) * np.float32(gain)
            sound[first : first + len(struck)] += struck
    return sound[: round(7 * PERIOD_SECONDS * RATE)]


def repeated(codes: Tensor, columns: int) -> float:
    """The share of the coarsest codes that were there so many columns before."""
    coarse = codes[:, 0].view(-1, BANDS)
    return float((coarse[columns:] == coarse[:-columns]).float().mean())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return exhausted(scan(write_sounds(tmp_path_factory.mktemp("loops"), 5, loop)))


@pytest.fixture(scope="module")
def sequences(corpus: Corpus, tiny_model: Path) -> CodeSequences:
    return exhausted(extract_code_sequences(load_model(tiny_model).codec, corpus, CPU, 6, 0))


def test_a_loop_has_views_in_which_its_codes_come_back(sequences: CodeSequences) -> None:
    """Guards against views that are brought to another tempo than said, or begun later and out of time again."""
    for views in sequences.train:
        assert [view.period for view in views] == [0, 6, 0, 0, 6, 6]
        assert [view.from_start for view in views] == [True, True, False, True, False, True]
        for view in views:
            if view.period:  # what is left differs from machine to machine, as the tiny codec does: 2 to 5 of 100 codes
                assert 1.0 - repeated(view.codes, 6) < 0.4 * (1.0 - repeated(views[0].codes, 6))


def test_what_has_no_period_near_whole_columns_is_left_alone() -> None:
    """Guards against loops that are played a fifth faster, and short sounds that get a period."""
    mel = np.full((900, 32), -70.0, np.float32)
    for first in range(0, 890, 56):  # 3.5 columns; two of them are 7
        mel[first : first + 5] = -10.0
    assert [each[1] for each in tempo_ratios(mel)] == [7]
    assert tempo_ratios(mel)[0][0] == pytest.approx(1.0, abs=0.003)
    assert tempo_ratios(mel[:120]) == []
    slow = np.full((900, 32), -70.0, np.float32)
    slow[::300] = -10.0  # longer than two thirds of a window
    assert tempo_ratios(slow) == []
    assert beat_periods(slow, 4 * FRAMES_PER_COLUMN, 16 * FRAMES_PER_COLUMN) == []


def test_the_prior_is_told_of_periods_where_there_are_any(sequences: CodeSequences) -> None:
    """Guards against a period that is told of windows out of time, or always, and of corpora that have none."""
    assert with_wishes(SETTINGS, sequences).periods
    assert learned_scales(sequences)["periods"] == [6] * len(sequences.train)
    settings = with_wishes(SETTINGS, sequences)
    plain, in_time = sequences.train[0][:2]
    rng = np.random.default_rng(0)
    windows = [asked(Window(in_time.codes, 0, 24, 0), in_time, 0, settings, rng) for _ in range(400)]
    assert {window.period for window in windows} == {0, 6}
    assert abs(sum(window.period > 0 for window in windows) / 400 - asking.PERIODS) < 0.07
    assert all(not asked(Window(plain.codes, 0, 24, 0), plain, 0, settings, rng).period for _ in range(50))
    period = make_batch(windows, settings).given.period
    assert period is not None
    assert period.tolist() == [window.period for window in windows]
    without = CodeSequences(tuple((CodeView(codes),) for codes in sequences.train_codes), sequences.val)
    assert not with_wishes(SETTINGS, without).periods
    auto = Resolved(SETTINGS, {"epochs": "auto"})
    assert settled(auto, sequences, resumed=False).settings.epochs == SETTINGS.epochs // 2
    assert settled(auto, sequences, resumed=True).settings.epochs == SETTINGS.epochs  # halved when it began
    assert settled(Resolved(SETTINGS, {"epochs": "set"}), sequences, resumed=False).settings.epochs == SETTINGS.epochs
    assert settled(auto, without, resumed=False).settings.epochs == SETTINGS.epochs
    assert make_batch(windows, with_wishes(SETTINGS, without)).given.period is None
