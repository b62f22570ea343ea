"""Rollouts on a vLLM server: the same conversations as the local sampler's, turn by turn.

The server is `vllm serve` with SERVING; TRL's client sends it the policy's weights before each
rollout. This module turns its completions into rows. It checks that the weights arrive, because a
server with old weights fails silently: the rewards just stop rising.
Untested with a real server: vLLM needs an accelerator. The tests use a local model instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinr.records import BadInput, RunFailed
from tinr.rollout.generate import Respond, Row

# What TRL's client needs: the routes for weights, and log-probabilities at the temperature.
SERVING = (
    'VLLM_SERVER_DEV_MODE=1 vllm serve FOLDER --weight-transfer-config \'{"backend": "nccl"}\' '
    "--logprobs-mode processed_logprobs --max-logprobs -1"
)
STALE_ROLLOUTS = 3  # consecutive rollouts that may give bit-identical probabilities
PROBED = 8  # tokens whose probabilities are requested
CERTAIN = -1e-3  # a log-probability above this may stay the same under new weights


class Client(Protocol):
    """The part of TRL's `VLLMClient` that this module uses."""

    def generate(self, prompts: list[list[int]], **settings: Any) -> dict[str, Any]:
        """Return `completion_ids` (B, T) and `logprobs` (B, T, 1) for prompts of ids."""
        ...


def connect(address: str) -> Client:
    """Connect to the server at `address`. BadInput without vLLM, or if no server answers."""
    try:
        from trl.generation.vllm_client import VLLMClient

        client: Any = VLLMClient(base_url=address, connection_timeout=60.0)
        return client
    except ImportError as error:
        raise BadInput(
            f"policy.vllm: {address}: vLLM is not installed here; pip install vllm, or remove the "
            "key to use the local sampler"
        ) from error
    except (ConnectionError, OSError) as error:
        raise BadInput(
            f"policy.vllm: {address}: no server answers; start one: {SERVING}"
        ) from error


@dataclass
class Served:
    """Replaces the local sampler with a server; takes the same arguments."""

    client: Client
    _asked: list[int] = field(default_factory=list)  # prompt of the check, always the same
    _seen: list[tuple[float, ...]] = field(
        default_factory=list
    )  # log-probabilities of the last checks

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
        """Generate `group` completions per prompt, as `tinr.rollout.generate.generate` does.

        The server uses its own seed.
        """
        rows = [Row() for _ in range(len(prompts) * group)]
        numbers = list(range(len(rows)))
        while numbers:
            for batch, room in _by_room(rows, numbers, max_tokens):
                response = self.client.generate(
                    prompts=[[*prompts[r // group], *rows[r].ids] for r in batch],
                    n=1,
                    temperature=temperature,
                    max_tokens=room,
                    logprobs=0,
                    generation_kwargs={"stop_token_ids": sorted(stops)},
                )
                for r, ids, logprobs in zip(
                    batch, response["completion_ids"], response["logprobs"], strict=True
                ):
                    if not ids:
                        raise RunFailed("policy.vllm: the server wrote nothing; check its log")
                    _take(
                        rows[r],
                        r,
                        ids,
                        [entry[0] for entry in logprobs],
                        respond,
                        stops,
                        max_tokens,
                    )
            numbers = [r for r in numbers if not rows[r].finished and len(rows[r].ids) < max_tokens]
        return rows

    def check(self, prompt: Sequence[int]) -> None:
        """Check once per rollout that the policy's weights reach the server.

        Requests the probabilities after half of the first prompt, and raises RunFailed if they
        never change. It uses half of the prompt because a trained model is certain of the start of
        a reply: its probabilities there would not show new weights.
        """
        self._asked = self._asked or list(prompt[: len(prompt) // 2 + 1])
        response = self.client.generate(
            prompts=[self._asked], n=1, temperature=0.0, max_tokens=PROBED, logprobs=0
        )
        logprobs = tuple(float(entry[0]) for entry in response["logprobs"][0])
        if not any(logprob < CERTAIN for logprob in logprobs):
            return
        self._seen = [*self._seen[-STALE_ROLLOUTS:], logprobs]
        if len(self._seen) > STALE_ROLLOUTS and len(set(self._seen)) == 1:
            raise RunFailed(
                f"policy.vllm: the server gave the same probabilities in {STALE_ROLLOUTS + 1} "
                "consecutive rollouts: the policy's weights do not reach it; restart the server"
            )


def _by_room(
    rows: Sequence[Row], numbers: Sequence[int], max_tokens: int
) -> Iterator[tuple[list[int], int]]:
    """Yield groups of rows for one request each, and the token limit of each group.

    The limit is at least half of what each row has room for, because the rooms of a group have the
    same power of two.
    """
    rooms = {r: max_tokens - len(rows[r].ids) for r in numbers}
    for power in sorted({room.bit_length() for room in rooms.values()}):
        batch = [r for r in numbers if rooms[r].bit_length() == power]
        yield batch, min(rooms[r] for r in batch)


def _take(
    row: Row, number: int, ids: Sequence[int], logprobs: Sequence[float],
    respond: Respond, stops: frozenset[int], max_tokens: int,
) -> None:  # fmt: skip
    """Append the server's tokens, and the environment's response to them."""
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
