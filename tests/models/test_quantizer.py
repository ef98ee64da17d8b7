"""The residual quantiser, with the library that the first models were made with as the slow oracle."""

import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional as F
from vector_quantize_pytorch import ResidualVQ

from distill.models.quantizer import DEAD_CODE_THRESHOLD, DECAY, ResidualQuantizer

LEVELS, SIZE, DIM = 3, 24, 8


def pair(seed: int = 0) -> tuple[ResidualVQ, ResidualQuantizer]:
    """The library's quantiser and ours, made from the same random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        oracle = ResidualVQ(
            dim=DIM, num_quantizers=LEVELS, codebook_size=SIZE, decay=DECAY,
            threshold_ema_dead_code=DEAD_CODE_THRESHOLD, rotation_trick=False,
        )  # fmt: skip
        torch.manual_seed(seed)
        return oracle, ResidualQuantizer(LEVELS, SIZE, DIM)


def latents(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)) * 0.4


def test_a_training_is_the_librarys_step_by_step() -> None:
    """Guards against other codes, averages, dead codes, losses or gradients than the first models were trained with."""
    oracle, ours = pair()
    put_back = 0
    for step in range(12):
        x = latents(60, step) * (1 + step % 3)
        theirs, mine = x[None].clone().requires_grad_(), x.clone().requires_grad_()
        weights = latents(60, 100 + step)
        with torch.random.fork_rng():
            torch.manual_seed(step)
            quantised, codes, losses = oracle(theirs)
            after = torch.rand(1)
            torch.manual_seed(step)
            made = ours(mine)
            assert torch.equal(torch.rand(1), after)  # as many random numbers drawn
        assert torch.equal(made.codes, codes[0])
        torch.testing.assert_close(made.latents, quantised[0])
        torch.testing.assert_close(made.commitment_loss, losses.sum())
        ((quantised * weights).sum() + 3 * losses.sum()).backward()
        ((made.latents * weights).sum() + 3 * made.commitment_loss).backward()
        torch.testing.assert_close(mine.grad, theirs.grad[0])  # type: ignore[index]
        torch.testing.assert_close(dict(ours.state_dict()), dict(oracle.state_dict()))
        put_back += sum(int((level.cluster_size == DEAD_CODE_THRESHOLD).sum()) for level in ours.levels())
    assert put_back > 50  # else nothing is said about dead codes


def test_files_made_by_the_library_give_the_same_codes() -> None:
    """Guards against a model file of an earlier version that no longer loads, or decodes to another sound."""
    oracle, ours = pair()
    for step in range(5):
        oracle(latents(500, step)[None])
    for layer in oracle.layers:  # close calls and ties
        vectors = layer._codebook.embed[0]
        vectors[12:18] = vectors[:6]
        vectors[18:] = vectors[6:12] * (1 + 1e-7)
    ours.load_state_dict(oracle.state_dict())
    oracle.eval(), ours.eval()
    x = latents(20_000, 9)
    quantised, codes, losses = oracle(x[None])
    made = ours(x)
    assert torch.equal(made.codes, codes[0])
    assert torch.equal(made.latents, quantised[0])
    assert float(made.commitment_loss) == float(losses.detach().sum()) == 0.0
    some = codes.masked_fill(torch.arange(LEVELS) > torch.arange(20_000)[:, None] % (LEVELS + 1) - 1, -1)
    assert torch.equal(ours.decode(some), oracle.get_output_from_indices(some))
    assert float(ours.decode(some)[0, 0].abs().sum()) == 0.0


def test_names_in_model_files_stay() -> None:
    """Guards against renamed buffers: these are the keys and shapes of every model file since the first."""
    shapes = {"initted": (), "cluster_size": (1, SIZE), "embed_avg": (1, SIZE, DIM), "embed": (1, SIZE, DIM)}
    expected = {f"layers.{n}._codebook.{name}": shape for n in range(LEVELS) for name, shape in shapes.items()}
    assert {name: tuple(tensor.shape) for name, tensor in pair()[1].state_dict().items()} == expected


def test_shape_in_front_does_not_matter() -> None:
    ours = pair()[1].eval()
    x = latents(48, 1)
    flat, shaped = ours(x), ours(x.view(2, 4, 6, DIM))
    assert torch.equal(shaped.codes, flat.codes.view(2, 4, 6, LEVELS))
    assert torch.equal(shaped.latents, flat.latents.view(2, 4, 6, DIM))


def test_fewer_latents_than_dead_codes_are_each_used_once() -> None:
    """Guards against codes that are copies of each other, and against a crash, after one very short sound."""
    ours = pair()[1]
    book = next(ours.levels())
    book.cluster_size.zero_()
    x = latents(5, 3)
    ours(x)
    assert int((book.vectors[:, None] == x).all(-1).any(-1).sum()) == len(x)
    assert int((book.cluster_size < DEAD_CODE_THRESHOLD).sum()) == SIZE - len(x)


def test_codebooks_start_from_k_means_of_what_is_left() -> None:
    """Guards against levels that all start on the same latents, and averages that forget the start in one step."""
    ours = pair()[1]
    x = latents(2000, 4)
    ours.start(x, positions_per_step=240.0, seed=0)
    residual = x
    for level in ours.levels():
        codes = level.nearest(residual)
        means = torch.stack([residual[codes == code].mean(0) for code in range(SIZE)])
        assert float((level.vectors - means).norm() / means.norm()) < 0.15
        uses = codes.bincount(minlength=SIZE) / len(x) * 240.0
        torch.testing.assert_close(level.cluster_size[0], uses.clamp_min(0.5))
        torch.testing.assert_close(level.embed_avg[0], level.vectors * level.cluster_size[0, :, None])
        residual = residual - level.vectors[codes]
    assert float(F.mse_loss(ours.eval()(x).latents, x)) < 0.15 * float(x.var())


PROCESS = """
import sys
import torch
import torch.distributed as group
from distill.models.quantizer import ResidualQuantizer
number, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
group.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
quantizer = ResidualQuantizer(3, 24, 8)
quantizer.load_state_dict(torch.load(f"{folder}/start.pt"))
torch.manual_seed(number)  # processes draw differently
quantizer(torch.load(f"{folder}/latents.pt")[[slice(13), slice(13, None)][number]])
torch.save(quantizer.state_dict(), f"{folder}/{number}.pt")
group.barrier()
group.destroy_process_group()
"""


def test_two_processes_hold_the_codebooks_that_one_would(tmp_path: Path) -> None:
    """Guards against averages of one process's share, and dead codes that each process puts back by itself."""
    one, x = pair()[1], latents(60, 5) + 0.3
    for level in one.levels():
        level.cluster_size.fill_(1.02)  # one use keeps a code alive, none does not
    torch.save(one.state_dict(), tmp_path / "start.pt")
    torch.save(x, tmp_path / "latents.pt")
    lines = [[sys.executable, "-c", PROCESS, str(number), str(tmp_path)] for number in range(2)]
    running = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True) for line in lines]
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of which latents are drawn, some are of each share
        one(x)
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    two = pair()[1]
    two.load_state_dict(first)
    for ours, theirs in zip(one.levels(), two.levels(), strict=True):
        alive = ours.cluster_size[0] > DEAD_CODE_THRESHOLD
        torch.testing.assert_close(theirs.cluster_size, ours.cluster_size)
        torch.testing.assert_close(theirs.vectors[alive], ours.vectors[alive])
    for trained in (one, two):  # as many different latents are codes now, of both shares
        drawn = (next(trained.levels()).vectors[:, None] == x).all(-1).any(0)  # [N]
        assert int(drawn.sum()) == int((next(one.levels()).cluster_size == DEAD_CODE_THRESHOLD).sum())
        assert int(drawn[:13].sum()) > 0 < int(drawn[13:].sum())
