"""Put earlier exchanges before queries, as in a conversation that a user continues.

A later turn sees only the question and the answer of an exchange, not its thought and calls, as in
`tinr call` and `tinr serve`. Without such examples a model answers a second request with the tool
and the values of the first one.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tinr.data.traces import spoken_answer
from tinr.records import UNANSWERED, Message, Query

MOST_EXCHANGES = 2  # before a training query


def exchange(query: Query) -> tuple[Message, Message]:
    """Return a query and its reference answer as two plain messages."""
    answer = spoken_answer(query) if query.turns else query.reply or query.answer or UNANSWERED
    return Message("user", query.text), Message("assistant", answer)


def after_others(query: Query, others: Sequence[Query], count: int, rng: Random) -> Query:
    """Return the query after the exchanges of `count` of the others (all, if there are fewer).

    Its own history, if any, stays in front.
    """
    answered = [other for other in others if other.id != query.id and _is_answered(other)]
    earlier = rng.sample(answered, min(count, len(answered)))
    messages = [message for other in earlier for message in exchange(other)]
    return replace(query, history=(*query.history, *messages))


def some_after_others(queries: Sequence[Query], share: float, rng: Random) -> list[Query]:
    """Return the queries; a share of those without a history follow one or two of the others."""
    return [
        after_others(query, queries, rng.randint(1, MOST_EXCHANGES), rng)
        if share and not query.history and rng.random() < share
        else query
        for query in queries
    ]


def _is_answered(query: Query) -> bool:
    return not query.turns or bool(query.reply or query.answer or query.observations)
