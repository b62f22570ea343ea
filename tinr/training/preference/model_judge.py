"""Grade replies by a model behind an OpenAI-compatible endpoint instead of by rules.

The prompt contains the conversation, the tools' documents, the reference, the reply, the five
criteria and the four grades. The model's grade replaces that of the rules; the criteria stay those
of the rules. The model is not called if the rules are certain: for a reply that is exactly right, a
malformed reply, or a query that expects no call. No failure of the endpoint ends a search: without
a readable answer the rules' grade stays, which is counted and reported in a single warning.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe
from tinr.config import Count, Formerly, Positive, Weight
from tinr.data.teacher.endpoint import EndpointConfig, TokenUse, ask_each, check_client
from tinr.evaluation.errors.faults import GRADES
from tinr.evaluation.errors.grades import Verdict, is_malformed, judge
from tinr.records import BadInput, Call, Query, Reply

PROMPT = """You grade how an assistant called tools. You are given the conversation, the documents \
of the tools, the reference calls, and the calls of the assistant. Weigh five things: the names of \
the tools; how many parameters are given; the names of the parameters; their values and types; and \
how near in meaning what differs is to the reference. The grades:
excellent: all five are right; what differs in writing means the same
acceptable: tools and parameters are right, and values are off but near in meaning
fair: about half of it is right
poor: less than that

Answer with one JSON object and nothing else: {"reason": "one sentence", "grade": "fair"}"""


UNANSWERED_BATCHES = 3  # consecutive batches without an answer, after which the judge is off


@dataclass(frozen=True)
class JudgeConfig(EndpointConfig):
    """Settings of the judge; off without an endpoint."""

    attempts: Annotated[Count, Doc("per request, with growing pauses")] = 3
    timeout: Annotated[Positive, Doc("seconds per request")] = 60.0
    temperature: Weight = 0.0
    max_tokens: Annotated[Count, Formerly("longest"), Doc("maximum tokens of an answer")] = 256

    def __post_init__(self) -> None:
        if bool(self.endpoint) != bool(self.model):
            raise BadInput("judge: an endpoint and a model belong together; give both or neither")


class ModelJudge:
    """Gives verdicts with a model's grades. BadInput if the openai package is missing."""

    def __init__(self, catalogue: Catalogue, config: JudgeConfig):
        check_client()
        self._catalogue = catalogue
        self._config = config
        self._known: dict[str, str] = {}  # request -> grade
        self._off = self._warned = False
        self._asked = self._unanswered = self._silent = 0
        self._spent = TokenUse()  # over all batches: shows whether the endpoint ever answered

    def __call__(self, replies: Sequence[tuple[Reply, Query]]) -> list[Verdict]:
        """Judge each reply to its query."""
        verdicts = [judge(reply, query, self._catalogue) for reply, query in replies]
        requests = {
            index: json.dumps(messages(reply, query, self._catalogue))
            for index, (reply, query) in enumerate(replies)
            if query.calls and verdicts[index].grade != "excellent" and not is_malformed(reply)
        }
        self._ask([text for text in dict.fromkeys(requests.values()) if text not in self._known])
        self._asked += len(requests)
        for index, text in requests.items():
            grade: Any = self._known.get(text)
            if grade is None:
                self._unanswered += 1
            else:
                verdicts[index] = replace(verdicts[index], grade=grade)
        return verdicts

    def counts(self) -> tuple[int, int]:
        """Count the requests since the last call, and those that kept the rules' grade."""
        totals = self._asked, self._unanswered
        self._asked = self._unanswered = 0
        return totals

    def _ask(self, texts: Sequence[str]) -> None:
        if not texts or self._off:
            return
        try:
            answers = ask_each([json.loads(text) for text in texts], self._config, self._spent)
        except BadInput as error:  # the endpoint refuses the key or does not know the model
            self._off = True
            self._warn(str(error))
            return
        grades = [read_grade(answer) for answer in answers]
        self._known |= {t: g for t, g in zip(texts, grades, strict=True) if g is not None}
        self._silent = 0 if any(answers) else self._silent + 1
        if None in grades:
            # the endpoint does not respond: do not wait for it at every batch
            self._off = self._silent >= (UNANSWERED_BATCHES if self._spent.answered else 1)
            self._warn(f"{grades.count(None)} of {len(grades)} without a readable grade")

    def _warn(self, reason: str) -> None:
        if not self._warned:
            print(
                f"warning: {self._config.endpoint}: {reason}; the rules grade the rest",
                file=sys.stderr,
            )
        self._warned = True


def read_grade(answer: str | None) -> str | None:
    """Read the grade from the JSON object of an answer; None if there is none."""
    start = (answer or "").find("{")
    if answer is None or start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(answer, start)
    except (ValueError, RecursionError):
        return None
    grade = value.get("grade") if isinstance(value, dict) else None
    return grade if isinstance(grade, str) and grade in GRADES else None


def messages(reply: Reply, query: Query, catalogue: Catalogue) -> list[dict[str, str]]:
    """Make the chat messages of a request to the judge."""
    names = dict.fromkeys(call.name for call in (*query.calls, *reply.calls))
    documents = [describe(catalogue.by_name[n]) for n in names if n in catalogue.by_name]
    request = {
        "conversation": [
            *({"role": m.role, "content": m.content} for m in query.history),
            {"role": "user", "content": query.text},
        ],
        "documents": dict(
            zip((n for n in names if n in catalogue.by_name), documents, strict=True)
        ),
        "reference_calls": [_call_json(call) for call in query.calls],
        "assistant_calls": [_call_json(call) for call in reply.calls],
        "assistant_answer": reply.response,
    }
    content = json.dumps(request, ensure_ascii=False, default=str)
    return [{"role": "system", "content": PROMPT}, {"role": "user", "content": content}]


def _call_json(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": dict(call.arguments)}
