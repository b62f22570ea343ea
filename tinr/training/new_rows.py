"""Train the rows of a few vocabulary entries on a frozen model, for added or changed tools.

All layers and all other rows stay frozen. Everything that does not depend on the new rows is
therefore computed once: the hidden states, the logits of all other entries, and the keys and values
up to the first new token. Only what follows a new token runs through the layers in every step. Rows
are scaled to the norm of the other tools' rows, as TokMem does (ICLR 2026): a row with a larger
norm would be predicted everywhere.
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
from tinr.config import Count, TrainingConfig
from tinr.data.packing import Batch, Example, fitting, make_batches
from tinr.progress import progress_bar
from tinr.records import BadInput, RunFailed
from tinr.run_log import RunLog
from tinr.training.cpu_attention import products, use_bf16

STATE = "rows.safetensors"
HISTORY = 40  # steps that L-BFGS remembers
LEAST_GAIN = 1e-3  # decrease of the loss below which L-BFGS is not restarted
GROUP_TOKENS = 2048  # padding included; groups are large because each pass reads all weights


@dataclass(frozen=True)
class RowsConfig:
    """How new rows are trained."""

    evaluations: Annotated[Count, Doc("maximum, of loss and gradient, per new tool")] = 60
    max_tokens: Annotated[Count, Doc("longer examples are dropped, with a warning")] = 1024


class NewRows:
    """Rows of some entries, held as tensors outside the tables of a frozen model.

    ids: the entries. rows: (K, H) of the input embedding and of the output head; one tensor if the
    two are tied. The model itself does not change until `write`.
    """

    def __init__(self, model: PreTrainedModel, ids: Sequence[int]):
        self.original, self.model = model, _frozen(model)
        tables = tables_of(self.model)
        self.ids = torch.tensor(sorted(ids), device=tables[0].device)
        starts = [table[self.ids.to(table.device)].float() for table in tables_of(model)]
        self.rows = [start.detach().to(self.ids.device) for start in starts]
        self._places = torch.full((len(tables[0]),), -1, device=self.ids.device)
        self._places[self.ids] = torch.arange(len(self.ids), device=self.ids.device)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Context manager in which the model embeds and predicts new entries with these rows."""
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
        """Return the index of each id's new row; -1 if it has none."""
        return self._places[ids]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the products of hidden states (N, H) with the output rows, (N, K), unscaled."""
        bias = getattr(vocabulary_rows(self.model)[1], "bias", None)
        rows = self.rows[-1].to(hidden.dtype)
        return F.linear(hidden, rows, None if bias is None else bias[self.ids])

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
    """Return the frozen model, in bfloat16 if that is faster, on an accelerator if it fits."""
    frozen: Any = model
    if use_bf16(None):
        frozen = copy.deepcopy(model).to(torch.bfloat16)  # type: ignore[arg-type]
    return to_accelerator(frozen.requires_grad_(False)).eval()


@dataclass(frozen=True)
class Fixed:
    """Cached values of positions that no new token precedes; they do not depend on the new rows.

    hidden (N, H): the states. others (N,): logsumexp of the logits of all other entries. labels
    (N,): the logit of the label, if the label is another entry. places (N,): index of the label's
    new row; -1 if the label is another entry.
    """

    hidden: torch.Tensor
    others: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor
    scale: Scale

    def loss(self, rows: NewRows) -> torch.Tensor:
        """Mean cross-entropy where the label is a new token, plus the mean elsewhere."""
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
    """Compute the cached values at the labels of examples, up to their first new tokens."""
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
    ids, positions = (batch[name].to(model.device) for name in ("input_ids", "position_ids"))
    states = model.base_model(input_ids=ids, position_ids=positions, use_cache=False)
    return states.last_hidden_state[:, :-1]


def _up_to_new(example: Example, rows: NewRows) -> Example:
    is_new = rows.places(torch.tensor(example.ids, device=rows.ids.device)) >= 0
    end = int(is_new.long().argmax()) + 1 if is_new.any() else example.width
    return Example(example.ids[:end], example.labels[:end], example.weight)


class Continuations:
    """Examples from their first new token on; what precedes that token is computed once."""

    def __init__(self, rows: NewRows, examples: Sequence[Example], pad: int):
        self.rows, self.tokens = rows, 0
        self._groups: list[_Group] = []
        pairs = sorted(
            ((_up_to_new(example, rows).width - 1, example) for example in examples),
            key=lambda pair: pair[1].width - pair[0],
        )
        for first, end in _groups([example.width - start for start, example in pairs]):
            group = _Group.of(rows.model, pairs[first:end], pad)
            self._groups.append(group)
            self.tokens += int(group.mask[:, -group.ids.shape[1] :].sum())

    def loss(self) -> torch.Tensor:
        """Mean cross-entropy after the first new tokens."""
        losses = torch.cat([group.losses(self.rows.model) for group in self._groups])
        return losses.mean()


@dataclass(frozen=True)
class _Group:
    """Examples of similar length: ids and labels (R, T) from the first new token, padded right.

    mask (R, P + T) and cache (P positions, padded left) also cover what precedes that token.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    cache: Any

    @classmethod
    @torch.no_grad()
    def of(cls, model: PreTrainedModel, pairs: Sequence[tuple[int, Example]], pad: int) -> "_Group":
        before, behind = (max(n for n, _ in pairs), max(e.width - n for n, e in pairs))
        shape = len(pairs), before + behind
        ids, labels = torch.full(shape, pad), torch.full(shape, IGNORE)
        mask, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for row, (start, example) in enumerate(pairs):
            place = slice(before - start, before - start + example.width)
            ids[row, place] = torch.tensor(example.ids)
            labels[row, place] = torch.tensor(example.labels)
            mask[row, place] = 1
            positions[row, before - start :] = torch.arange(before + behind - (before - start))
        ids, labels, mask, positions = (
            part.to(model.device) for part in (ids, labels, mask, positions)
        )
        cache = model.base_model(
            input_ids=ids[:, :before], attention_mask=mask[:, :before],
            position_ids=positions[:, :before], use_cache=True,
        ).past_key_values  # fmt: skip
        return cls(ids[:, before:], labels[:, before:], positions[:, before:], mask, cache)

    def losses(self, model: PreTrainedModel) -> torch.Tensor:
        """Return the cross-entropy of each labelled position after the new token, (N,)."""
        hidden = model.base_model(
            input_ids=self.ids, attention_mask=self.mask, position_ids=self.positions,
            past_key_values=copy.deepcopy(self.cache), use_cache=True,
        ).last_hidden_state[:, :-1]  # fmt: skip
        targets = self.labels[:, 1:]
        is_labelled = targets != IGNORE
        logits = head_logits(model, hidden[is_labelled]).float()
        return F.cross_entropy(logits, targets[is_labelled], reduction="none")


def _groups(widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges of sorted widths that are at most GROUP_TOKENS when padded, or one example."""
    start = 0
    for end in range(1, len(widths) + 1):
        if end == len(widths) or widths[end] * (end + 1 - start) > GROUP_TOKENS:
            yield start, end
            start = end


def train_rows(
    rows: NewRows,
    lengths: Sequence[torch.Tensor],
    fixed: Sequence[Example],
    behind: Sequence[Sequence[Example]],
    config: RowsConfig,
    pad: int,
    log: RunLog,
    steps: Steps,
) -> tuple[int, int]:
    """Train the rows one by one and write them into the model. Returns evaluations and tokens.

    lengths: norms to which the rows are scaled, one tensor per table. fixed: examples of which
    only the positions before the first new token count. behind: for each row, in the order of
    `rows.ids`, the examples that continue after its token. A killed run resumes after the last
    row that it finished.
    """
    done, spent, tokens = _resume(steps, rows)
    total = config.evaluations * len(rows.ids)
    with products(rows.model), rows.live(), progress_bar(total, "rows", "step") as bar:
        known = fixed_positions(rows, fixed, pad)
        bar.update(done * config.evaluations)
        for place in range(done, len(rows.ids)):
            examples = fitting(behind[place], config.max_tokens)
            if not examples:
                raise BadInput("rows: no example continues after a new tool's token; raise behind")
            continuations = Continuations(rows, examples, pad)
            evaluations, loss = _train_row(rows, place, lengths, known, continuations, config, bar)
            spent += evaluations
            tokens += evaluations * continuations.tokens
            log.log(place + 1, {"train/loss": loss})
            _save(steps, place + 1, rows, spent, tokens)
    rows.write()
    return spent, tokens


def _train_row(
    rows: NewRows, place: int, lengths: Sequence[torch.Tensor], known: Fixed,
    continuations: Continuations, config: RowsConfig, bar: Any,
) -> tuple[int, float]:  # fmt: skip
    """Train one row with L-BFGS. Returns the number of loss evaluations and the best loss.

    The examples stay the same, so the curvature that L-BFGS gathers is valid in all steps. In
    bfloat16 its line search stops at the noise of the loss; L-BFGS is then restarted, as long as
    that lowers the loss.
    """
    tables = rows.rows
    parameters = [table[place].clone().requires_grad_() for table in tables]
    index = torch.tensor([place], device=rows.ids.device)
    spent, best, best_rows = 0, float("inf"), tables

    def with_row() -> list[torch.Tensor]:
        return [
            table.index_copy(0, index, (row * (length / row.norm().clamp(min=1e-6)))[None])
            for table, row, length in zip(tables, parameters, lengths, strict=True)
        ]

    def closure() -> float:
        nonlocal spent, best, best_rows
        rows.rows = with_row()
        loss = continuations.loss() + known.loss(rows)
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        spent += 1
        bar.update(1)
        if loss.item() < best:
            best, best_rows = loss.item(), [table.detach() for table in rows.rows]
        return loss.item()

    gain = float("inf")
    while spent < config.evaluations and gain > LEAST_GAIN:
        before, left = best, config.evaluations - spent
        optimiser = torch.optim.LBFGS(
            parameters, max_iter=left, max_eval=left, history_size=HISTORY,
            tolerance_change=1e-9, line_search_fn="strong_wolfe",
        )  # fmt: skip
        optimiser.step(closure)
        gain = before - best
    if best == float("inf"):
        raise RunFailed("rows: the loss of a new row is not finite; nothing was published")
    bar.update(max(0, config.evaluations - spent))
    rows.rows = best_rows
    return spent, best


def _save(steps: Steps, step: int, rows: NewRows, spent: int, tokens: int) -> None:
    folder = steps.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"row{n}": row.contiguous() for n, row in enumerate(rows.rows)}
    save_file(state | {"cost": torch.tensor([spent, tokens])}, folder / STATE)
    steps.complete(step)


def _resume(steps: Steps, rows: NewRows) -> tuple[int, int, int]:
    """Load the rows that are already trained. Returns their number, evaluations and tokens."""
    folder = steps.last()
    if folder is None:
        return 0, 0, 0
    state = load_file(folder / STATE)
    rows.rows = [state[f"row{n}"].to(row) for n, row in enumerate(rows.rows)]
    spent, tokens = state["cost"].tolist()
    return steps.done, spent, tokens
