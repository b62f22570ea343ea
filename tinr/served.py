"""Rollouts by a vLLM server: the same conversations as the local sampler's, turn by turn.

TRL starts the server (`trl vllm-serve`) and puts the policy's weights into it before each
rollout; here its completions become rows. Whether the weights arrive is checked, because a
server that goes on with old ones fails silently: the rewards just stop rising.
Untested with a real server: vLLM needs an accelerator. The tests put a local model in its
place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinr.records import BadInput, GateFailed
from tinr.sampler import Respond, Row

PATIENCE = 3  # rollouts in a row that may give one probability to the last bit


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
    _seen: list[float] = field(default_factory=list)  # how sure the server was, the last times

    def __call__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        respond: Respond,
        stops: frozenset[int],
        *,
        longest: int,
        pad: int,
        group: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Row]:
        """`group` completions of each prompt, as `tinr.sampler.generate`; the seed is the
        server's own affair."""
        rows = [Row() for _ in range(len(prompts) * group)]
        running = list(range(len(rows)))
        while running:
            room = max(longest - len(rows[r].ids) for r in running)
            given = self.client.generate(
                prompts=[[*prompts[r // group], *rows[r].ids] for r in running],
                n=1,
                temperature=temperature,
                max_tokens=room,
                logprobs=0,
                generation_kwargs={"stop_token_ids": sorted(stops)},
            )
            for r, ids, logprobs in zip(
                running, given["completion_ids"], given["logprobs"], strict=True
            ):
                _take(rows[r], r, ids, [one[0] for one in logprobs], respond, stops, longest)
            running = [r for r in running if not rows[r].finished and len(rows[r].ids) < longest]
        return rows

    def check(self, prompt: Sequence[int]) -> None:
        """Ask, once a rollout, how sure the server is of the token after the first such prompt.

        Raises GateFailed where that never changes: the policy's weights do not arrive there.
        """
        self._asked = self._asked or list(prompt)
        given = self.client.generate(
            prompts=[self._asked], n=1, temperature=0.0, max_tokens=1, logprobs=0
        )
        self._seen = [*self._seen[-PATIENCE:], float(given["logprobs"][0][0][0])]
        if len(self._seen) > PATIENCE and len(set(self._seen)) == 1:
            raise GateFailed(
                f"policy.vllm: the server gave one token the same probability in {PATIENCE + 1} "
                "rollouts running: the policy's weights do not reach it; restart the server"
            )


def _take(
    row: Row, number: int, ids: Sequence[int], logprobs: Sequence[float],
    respond: Respond, stops: frozenset[int], longest: int,
) -> None:  # fmt: skip
    """Append what the server wrote, and what the environment answers to it."""
    for token, logprob in list(zip(ids, logprobs, strict=True))[: longest - len(row.ids)]:
        row.ids.append(token)
        row.mask.append(1)
        row.logprobs.append(logprob)
    if not ids or row.ids[-1] not in stops:
        return
    answer = respond(number, row.ids)
    if answer is None:
        row.finished = True
        return
    for token in list(answer)[: longest - len(row.ids)]:
        row.ids.append(token)
        row.mask.append(0)
        row.logprobs.append(0.0)
