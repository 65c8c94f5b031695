"""Muon and AdamW as one optimiser."""

import copy

import torch

from rscovlm.training.optimizer import MuonAdamW


def _model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))


def _steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        model.zero_grad()
        model(inputs).pow(2).mean().backward()
        optimizer.step()


def test_it_takes_the_steps_of_its_parts() -> None:
    model, other = _model(), _model()
    _steps(model, MuonAdamW(model.named_parameters()), 0, 5)
    muon = torch.optim.Muon([p for p in other.parameters() if p.ndim == 2], lr=1e-2, weight_decay=0.01)
    adamw = torch.optim.AdamW(
        [p for p in other.parameters() if p.ndim != 2], lr=1e-3, betas=(0.9, 0.98), weight_decay=0
    )
    for step in range(5):
        _steps(other, muon, step, step + 1)
        adamw.step()
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_a_saved_state_continues_the_same_course() -> None:
    whole, halved = _model(), _model()
    _steps(whole, MuonAdamW(whole.named_parameters()), 0, 8)
    first = MuonAdamW(halved.named_parameters())
    _steps(halved, first, 0, 4)
    state = copy.deepcopy(first.state_dict())
    second = MuonAdamW(halved.named_parameters())
    second.load_state_dict(state)
    _steps(halved, second, 4, 8)
    assert all(a.equal(b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


def test_a_schedule_reaches_both_parts() -> None:
    model = _model()
    optimizer = MuonAdamW(model.named_parameters(), lr=1e-3, muon_lr=1e-2)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    before = [weight.clone() for weight in model.parameters()]
    _steps(model, optimizer, 0, 2)
    assert all(a.equal(b) for a, b in zip(before, model.parameters(), strict=True))
