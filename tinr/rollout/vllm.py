"""Rollouts by a vLLM server: the same conversations as the local sampler's, turn by turn.

TRL starts the server (`trl vllm-serve`) and puts the policy's weights into it before each
rollout; here its completions become rows. Whether the weights arrive is checked, because a
server that goes on with old ones fails silently: the rewards just stop rising.
Untested with a real server: vLLM needs an accelerator. The tests put a local model in its
place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinr.records import BadInput, GateFailed
from tinr.rollout.generate import Respond, Row

STALE_ROLLOUTS = 3  # rollouts in a row that may give the same probabilities to the last bit
PROBED = 8  # tokens whose probabilities are asked for
CERTAIN = -1e-3  # log-probability above which a trained model may stay whatever its weights do


class Client(Protocol):
    """What of TRL's `VLLMClient` is used."""

    def generate(self, prompts: list[list[int]], **settings: Any) -> dict[str, Any]:
        """`completion_ids` (B, T) and `logprobs` (B, T, 1) of prompts given as ids."""
        ...


def connect(address: str) -> Client:
    """A client of the server at `address`; BadInput without vLLM, or where nobody answers."""
    try:
        from trl.generation.vllm_client import VLLMClient

        client: Any = VLLMClient(base_url=address, connection_timeout=60.0)
        return client
    except ImportError as error:
        raise BadInput(
            f"policy.vllm: {address}: vLLM is not installed here; pip install vllm, or leave the "
            "key out: the local sampler rolls out"
        ) from error
    except (ConnectionError, OSError) as error:
        raise BadInput(
            f"policy.vllm: {address}: no server answers; start one: trl vllm-serve --model FOLDER"
        ) from error


@dataclass
class Served:
    """The sampler's place taken by a server; called with the sampler's own arguments."""

    client: Client
    _asked: list[int] = field(default_factory=list)  # the prompt that is asked every time
    _seen: list[tuple[float, ...]] = field(default_factory=list)  # how sure it was, the last times

    def __call__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        respond: Respond,
        stops: frozenset[int],
        *,
        max_tokens: int,
        pad: int,
        group: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Row]:
        """`group` completions of each prompt, as `tinr.rollout.generate.generate`; the seed is the
        server's own affair."""
        rows = [Row() for _ in range(len(prompts) * group)]
        running = list(range(len(rows)))
        while running:
            for near, room in _by_room(rows, running, max_tokens):
                given = self.client.generate(
                    prompts=[[*prompts[r // group], *rows[r].ids] for r in near],
                    n=1,
                    temperature=temperature,
                    max_tokens=room,
                    logprobs=0,
                    generation_kwargs={"stop_token_ids": sorted(stops)},
                )
                for r, ids, logprobs in zip(
                    near, given["completion_ids"], given["logprobs"], strict=True
                ):
                    if not ids:
                        raise GateFailed("policy.vllm: the server wrote nothing; look at its log")
                    _take(rows[r], r, ids, [one[0] for one in logprobs], respond, stops, max_tokens)
            running = [r for r in running if not rows[r].finished and len(rows[r].ids) < max_tokens]
        return rows

    def check(self, prompt: Sequence[int]) -> None:
        """Ask, once a rollout, how sure the server is of what follows half of the first prompt.

        Raises GateFailed where that never changes: the policy's weights do not arrive there.
        Half of it, because a trained model is certain of how a reply begins; what it is
        certain of says nothing.
        """
        self._asked = self._asked or list(prompt[: len(prompt) // 2 + 1])
        given = self.client.generate(
            prompts=[self._asked], n=1, temperature=0.0, max_tokens=PROBED, logprobs=0
        )
        said = tuple(float(one[0]) for one in given["logprobs"][0])
        if not any(logprob < CERTAIN for logprob in said):
            return
        self._seen = [*self._seen[-STALE_ROLLOUTS:], said]
        if len(self._seen) > STALE_ROLLOUTS and len(set(self._seen)) == 1:
            raise GateFailed(
                f"policy.vllm: the server gave the same probabilities in {STALE_ROLLOUTS + 1} "
                "rollouts running: the policy's weights do not reach it; restart the server"
            )


def _by_room(
    rows: Sequence[Row], running: Sequence[int], max_tokens: int
) -> Iterator[tuple[list[int], int]]:
    """Rows that are asked for together, and tokens that each of them has room for: at least half
    of what it has, since rooms of one power of two go together."""
    rooms = {r: max_tokens - len(rows[r].ids) for r in running}
    for power in sorted({room.bit_length() for room in rooms.values()}):
        near = [r for r in running if rooms[r].bit_length() == power]
        yield near, min(rooms[r] for r in near)


def _take(
    row: Row, number: int, ids: Sequence[int], logprobs: Sequence[float],
    respond: Respond, stops: frozenset[int], max_tokens: int,
) -> None:  # fmt: skip
    """Append what the server wrote, and what the environment answers to it."""
    for token, logprob in list(zip(ids, logprobs, strict=True))[: max_tokens - len(row.ids)]:
        row.ids.append(token)
        row.mask.append(1)
        row.logprobs.append(logprob)
    if row.ids[-1] not in stops:
        return
    answer = respond(number, row.ids)
    if answer is None:
        row.finished = True
        return
    for token in list(answer)[: max_tokens - len(row.ids)]:
        row.ids.append(token)
        row.mask.append(0)
        row.logprobs.append(0.0)
