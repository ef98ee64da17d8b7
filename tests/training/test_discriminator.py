"""The adversary: each side learns from its own loss alone, and it does learn."""

import torch

from distill.training.synthesiser.discriminator import Adversary


def noise(seed: int, batch: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 8_192, generator=torch.Generator().manual_seed(seed))


def test_one_backward_pass_serves_both_sides_and_mixes_nothing() -> None:
    """Guards against an adversary that learns to be deceived, and against sounds that learn to be found out."""
    torch.manual_seed(0)
    adversary, target = Adversary(), noise(0)
    together = noise(1).requires_grad_()
    sum(adversary(target, together)).backward()
    assert together.grad is not None
    weights = {name: p.grad.clone() for name, p in adversary.named_parameters() if p.grad is not None}
    assert weights.keys() == dict(adversary.named_parameters()).keys()
    adversary.zero_grad()
    making = noise(1).requires_grad_()
    adversary(target, making)[0].backward()
    assert torch.equal(making.grad, together.grad)  # type: ignore[arg-type]
    assert all(p.grad is None for p in adversary.parameters())
    learning = noise(1).requires_grad_()
    adversary(target, learning)[1].backward()
    assert learning.grad is None
    for name, p in adversary.named_parameters():
        assert torch.equal(p.grad, weights[name])  # type: ignore[arg-type]


def test_it_learns_to_tell_a_tone_from_noise() -> None:
    """The known answer: two kinds of sound that anyone can tell apart."""
    torch.manual_seed(0)
    adversary = Adversary()
    optimizer = torch.optim.AdamW(adversary.parameters(), 3e-3, betas=(0.5, 0.9))
    tone = 0.1 * torch.sin(torch.arange(8_192) * 0.1).expand(2, -1)
    losses = []
    for step in range(15):
        loss = adversary(tone, noise(step))[1]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_silence_is_no_trouble() -> None:
    torch.manual_seed(0)
    silent = torch.zeros(2, 8_192, requires_grad=True)
    sum(Adversary()(torch.zeros(2, 8_192), silent)).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()
