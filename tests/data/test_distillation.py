"""Distributions of a teacher: stored in part, compared as a whole, taught in place of labels."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.chat.codec import IGNORE
from tinr.data import distillation
from tinr.data.distillation import Distributions, distributions_of
from tinr.data.packing import Example, collate
from tinr.training.loop import labelled_loss


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=1, initializer_range=0.5,
        )
    ).eval()  # fmt: skip


def test_a_divergence_worked_by_hand() -> None:
    """Teacher (1/2, 1/4) and 1/4 for the rest; student (1/4, 1/4, 1/4, 1/4) over four entries:
    1/2 ln 2 + 1/4 ln 1 + 1/4 ln(1/4 / 1/2) = 1/4 ln 2."""
    table = Distributions(torch.tensor([[0, 0], [2, 0]]), torch.tensor([[0.0, 0.0], [0.5, 0.25]]))
    found = table.divergence(torch.zeros(1, 4), torch.tensor([1]))
    assert found.item() == pytest.approx(math.log(2) / 4, abs=1e-4)


def test_a_student_like_its_teacher_pays_nothing_and_any_other_pays(model, monkeypatch) -> None:
    monkeypatch.setattr(distillation, "ENTRIES", 8)
    table = distributions_of(model, [[1, 2]], [[3, 4, 5]])
    assert table.ids.shape == (4, 8) and not table.probs[0].any()
    logits = model(torch.tensor([[1, 2, 3, 4]])).logits[0, 1:]
    rows = torch.tensor([1, 2, 3])
    same = table.divergence(logits, rows)
    assert same.abs().max() < 1e-3
    other = table.divergence(logits + torch.randn_like(logits), rows)
    assert (other > 0.01).all()


def test_the_stored_divergence_is_below_the_whole_one(model) -> None:
    table = distributions_of(model, [[1]], [[2, 3]])
    logits = model(torch.tensor([[1, 2]])).logits[0]
    student = logits + torch.randn_like(logits)
    p, q = torch.log_softmax(logits, -1), torch.log_softmax(student, -1)
    whole = (p.exp() * (p - q)).sum(-1)
    found = table.divergence(student, torch.tensor([1, 2]))
    assert (found <= whole + 1e-3).all() and (found > 0).all()


def test_only_positions_with_a_row_are_distilled(model) -> None:
    """The others keep their labels; a row without a label is never read."""
    hard = Example([1, 2, 3], [IGNORE, 2, 3])
    table = distributions_of(model, [[4]], [[5, 6]])
    soft = Example([4, 5, 6], [IGNORE, 5, 6], soft=[0, 1, 2])
    batch = collate([[hard], [soft]], 0)
    assert batch["soft"].tolist() == [[0, 0, 0], [0, 1, 2]]
    alone = labelled_loss(model, collate([[hard]], 0))
    both = labelled_loss(model, batch, None, None, table)
    assert both.item() == pytest.approx(alone.item() / 2, abs=1e-3)  # the teacher is the student
    assert labelled_loss(model, batch).item() > both.item() + 0.1


def test_the_gradient_leads_to_the_teacher(model) -> None:
    logits = torch.zeros(1, 50, requires_grad=True)
    table = distributions_of(model, [[4]], [[5]])
    table.divergence(logits, torch.tensor([1])).sum().backward()
    assert logits.grad is not None
    assert int(logits.grad.argmin()) == int(table.ids[1, 0])  # its likeliest entry goes up most
