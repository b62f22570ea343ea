"""Train the rows of a few vocabulary entries on a frozen model: tools that are added or changed.

Every layer and every other row stays as it is. So what does not depend on the new rows is computed
once: the hidden state at each position that no new token precedes, and the logits of all other
entries there. Only examples that go on behind a new token run through the layers in every step.
After each step the rows are scaled to the length of the other tools' rows, as TokMem does
(ICLR 2026): a long row would be produced everywhere.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr.chat.codec import IGNORE
from tinr.checkpoints.model import (
    Scale,
    head_logits,
    scale_of,
    tables_of,
    to_accelerator,
    vocabulary_rows,
)
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import Count, Positive, TrainingConfig
from tinr.data.packing import Batch, Example, make_batches
from tinr.progress import progress_bar
from tinr.records import BadInput, RunFailed
from tinr.run_log import RunLog
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.loop import labelled_loss

STATE = "rows.safetensors"
SAVE_STEPS = 50


@dataclass(frozen=True)
class RowsConfig:
    """How new rows are trained."""

    epochs: Annotated[Count, Doc("over the examples that go on behind a new token")] = 60
    learning_rate: Annotated[Positive, Doc("of Adam; falls to a tenth")] = 4e-2
    tool_tokens: Annotated[Count, Doc("tokens of each new tool in a step")] = 128
    batch_tokens: Annotated[Count, Doc("tokens of a step at most")] = 2048
    max_tokens: Annotated[Count, Doc("tokens; longer examples are dropped and counted")] = 1024


class NewRows:
    """Rows of some entries as parameters of their own, beside the tables of a frozen model.

    ids: the entries. rows: (K, H) of the input embedding and of the output head; one tensor where
    the two are tied. The model itself does not change before `write`.
    """

    def __init__(self, model: PreTrainedModel, ids: Sequence[int]):
        self.original, self.model = model, _frozen(model)
        tables = tables_of(self.model)
        self.ids = torch.tensor(sorted(ids), device=tables[0].device)
        starts = [table[self.ids.to(table.device)].float() for table in tables_of(model)]
        self.rows = [torch.nn.Parameter(start.to(self.ids.device)) for start in starts]
        self._places = torch.full((len(tables[0]),), -1, device=self.ids.device)
        self._places[self.ids] = torch.arange(len(self.ids), device=self.ids.device)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Within, the model reads and predicts the new entries by these rows."""
        embedding, head = vocabulary_rows(self.model)
        hooks = [
            embedding.register_forward_hook(self._embed),
            head.register_forward_hook(self._predict),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def places(self, ids: torch.Tensor) -> torch.Tensor:
        """Return for each id which of the new rows it has; -1: none."""
        return self._places[ids]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the products of hidden states (N, H) with the output rows, (N, K), unscaled."""
        bias = getattr(vocabulary_rows(self.model)[1], "bias", None)
        rows = self.rows[-1].to(hidden.dtype)
        return F.linear(hidden, rows, None if bias is None else bias[self.ids])

    @torch.no_grad()
    def rescale(self, lengths: Sequence[torch.Tensor]) -> None:
        """Scale each row to a length (of one tensor a table)."""
        for rows, length in zip(self.rows, lengths, strict=True):
            rows *= length / rows.norm(dim=-1, keepdim=True).clamp(min=1e-6)

    @torch.no_grad()
    def write(self) -> None:
        """Write the rows into the model's tables."""
        for table, rows in zip(tables_of(self.original), self.rows, strict=True):
            table[self.ids.to(table.device)] = rows.to(table)

    def _embed(self, module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        places = self.places(arguments[0])
        is_new = places >= 0
        if not is_new.any():
            return output
        rows = self.rows[0][places[is_new]] * getattr(module, "embed_scale", 1.0)
        output = output.clone()
        output[is_new] = rows.to(output.dtype)
        return output

    def _predict(self, module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output.index_copy(-1, self.ids, self.logits(arguments[0]).to(output.dtype))


def _frozen(model: PreTrainedModel) -> PreTrainedModel:
    """Return the model to compute with: in bfloat16 where that is faster, on an accelerator."""
    frozen: Any = model
    if use_bf16(None):
        frozen = copy.deepcopy(model).to(torch.bfloat16)  # type: ignore[arg-type]
    return to_accelerator(frozen.requires_grad_(False)).eval()


@dataclass(frozen=True)
class Fixed:
    """Positions that no new token precedes: what they contribute beside the new rows.

    hidden (N, H): the states. others (N,): logsumexp of the logits of all other entries. labels
    (N,): the logit of the label, where that is another entry. places (N,): which new row the label
    is; -1: another entry.
    """

    hidden: torch.Tensor
    others: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor
    scale: Scale

    def loss(self, rows: NewRows) -> torch.Tensor:
        """Mean cross-entropy where a new token is due, plus the mean of all other positions."""
        logits = self.scale.applied(rows.logits(self.hidden))
        totals = torch.logaddexp(self.others, logits.logsumexp(-1))
        is_new = self.places >= 0
        chosen = logits.gather(1, self.places.clamp(min=0)[:, None]).squeeze(1)
        losses = totals - torch.where(is_new, chosen, self.labels)
        return sum(
            (losses[mask].mean() for mask in (is_new, ~is_new) if mask.any()), losses.new_zeros(())
        )


@torch.no_grad()
def fixed_positions(rows: NewRows, examples: Sequence[Example], pad: int) -> Fixed:
    """Compute the labelled positions of examples, each up to its first new token."""
    config = TrainingConfig(batch_tokens=2048)
    cut_examples = [_up_to_new(example, rows) for example in examples]
    parts: list[tuple[torch.Tensor, ...]] = []
    model = rows.model
    for batch in make_batches(cut_examples, config, 0, pad):
        targets = batch["labels"][:, 1:].to(rows.ids.device)
        mask = targets != IGNORE
        hidden = _hidden(model, batch)[mask]
        logits = head_logits(model, hidden).float()
        labels = targets[mask]
        of_labels = logits.gather(1, labels[:, None]).squeeze(1)
        logits[:, rows.ids] = -torch.inf
        parts.append((hidden.float(), logits.logsumexp(-1), of_labels, rows.places(labels)))
    hidden, others, label_logits, places = (torch.cat(part) for part in zip(*parts, strict=True))
    return Fixed(hidden, others, label_logits, places, scale_of(model))


def _hidden(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    parts = _moved(batch, model)
    return model.base_model(
        input_ids=parts["input_ids"], position_ids=parts["position_ids"], use_cache=False
    ).last_hidden_state[:, :-1]


def _up_to_new(example: Example, rows: NewRows) -> Example:
    is_new = rows.places(torch.tensor(example.ids, device=rows.ids.device)) >= 0
    end = int(is_new.long().argmax()) + 1 if is_new.any() else example.width
    return Example(example.ids[:end], example.labels[:end], example.weight)


def train_rows(
    rows: NewRows,
    lengths: Sequence[torch.Tensor],
    fixed: Sequence[Example],
    running: Sequence[Sequence[Example]],
    config: RowsConfig,
    pad: int,
    log: RunLog,
    steps: Steps,
) -> tuple[int, int]:
    """Train the rows and write them into the model; returns steps and tokens.

    lengths: what the rows are scaled to, one tensor for each table. fixed: examples of which only
    what stands before the first new token counts. running: for each epoch the examples that run
    through the layers. A run that was killed goes on from its last step checkpoint.
    """
    training = TrainingConfig(
        batch_tokens=min(config.batch_tokens, config.tool_tokens * len(rows.ids)),
        row_tokens=config.tool_tokens,
        max_tokens=config.max_tokens,
    )
    batches = [
        batch
        for number, examples in enumerate(running)
        for batch in make_batches(examples, training, number, pad)
    ]
    if not batches:
        raise BadInput("rows: no example goes on behind a new token; raise rows.epochs")
    tokens = sum(int((batch["position_ids"] > 0).sum()) for batch in batches)
    optimiser = torch.optim.Adam(rows.rows, config.learning_rate, betas=(0.9, 0.95))
    rate = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, len(batches))
    first_step = _resume(steps, rows, optimiser, rate)
    model = rows.model
    with products(model), rows.live(), progress_bar(len(batches), "rows", "step") as bar:
        known = fixed_positions(rows, fixed, pad)
        bar.update(first_step)
        for step, batch in enumerate(batches[first_step:], first_step + 1):
            loss = labelled_loss(model, _moved(batch, model)) + known.loss(rows)
            optimiser.zero_grad()
            loss.backward()
            if not torch.isfinite(loss):
                raise RunFailed(
                    f"step {step}: the loss is {loss.item()}; nothing was published. Lower "
                    "rows.learning_rate"
                )
            optimiser.step()
            rate.step()
            rows.rescale(lengths)
            bar.update(1)
            log.log(step, {
                "train/loss": float(loss), "train/learning_rate": float(rate.get_last_lr()[0])
            })  # fmt: skip
            if step % SAVE_STEPS == 0:
                _save(steps, step, rows, optimiser)
    rows.write()
    return len(batches), tokens


def _moved(batch: Batch, model: PreTrainedModel) -> Batch:
    return {name: part.to(model.device) for name, part in batch.items()}


def _save(steps: Steps, step: int, rows: NewRows, optimiser: torch.optim.Optimizer) -> None:
    folder = steps.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"row{n}": row.detach() for n, row in enumerate(rows.rows)}
    for n, row in enumerate(rows.rows):
        state |= {f"{name}{n}": optimiser.state[row][name] for name in ("exp_avg", "exp_avg_sq")}
    save_file(state, folder / STATE)
    steps.complete(step)


def _resume(steps: Steps, rows: NewRows, optimiser: torch.optim.Adam, rate: Any) -> int:
    folder, step = steps.last(), steps.done
    if folder is None:
        return 0
    state = load_file(folder / STATE)
    for n, row in enumerate(rows.rows):
        row.data.copy_(state[f"row{n}"])
        optimiser.state[row] = {
            "step": torch.tensor(float(step)),
            "exp_avg": state[f"exp_avg{n}"].to(row.device),
            "exp_avg_sq": state[f"exp_avg_sq{n}"].to(row.device),
        }
    for _ in range(step):
        rate.step()
    return step
