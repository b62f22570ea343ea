"""Forms of text values that only a parameter's description states. No torch.

Real documents write "in the format 'YYYY-MM-DD'" or "such as 'New York, NY'" where a schema could
have a format or a pattern.
"""

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from tinr.catalogue.words import like_words, random_moment

INTRODUCTION = (
    r"\b(?:format(?:ted)?|such as|e\.g\.|for example|example \w+ (?:is|could be)|like)"
    r"(?: of| as| is|:|,)*\s+"
)
QUOTED = r"['\"`‘“](?P<form>[^'\"`‘“’”<>\n]{2,30})['\"`’”]"
STATED = re.compile(INTRODUCTION + QUOTED, re.IGNORECASE)
PARTS = {  # of a form that states a date or a time; a month behind an hour is minutes
    "YYYY": "%Y", "HH:MM": "%H:%M", "MM": "%m", "DD": "%d", "HH": "%H", "SS": "%S",
}  # fmt: skip
PART = re.compile("|".join(PARTS), re.IGNORECASE)


def stated_form(spec: Any) -> str:
    """Return the form that a parameter's description states for its text values; "" if none.

    The form of a date or a time comes first, else the last one: examples follow general forms.
    """
    text = spec.get("description") if isinstance(spec, Mapping) else None
    forms = [match["form"] for match in STATED.finditer(text)] if isinstance(text, str) else []
    moments = [form for form in forms if _pattern(form)]
    return moments[0] if moments else forms[-1] if forms else ""


def draw_of(form: str, rng: Random) -> str:
    """Draw a value of a form: a date or time of it, or a similar text."""
    pattern = _pattern(form)
    return f"{random_moment(rng):{pattern}}" if pattern else like_words(rng, form)


def _pattern(form: str) -> str:
    """Return the form as a pattern of strftime; "" if it is not one of dates or times."""
    pattern = PART.sub(lambda part: PARTS[part[0].upper()], form.replace("%", "%%"))
    rest = re.sub(r"%[YmdHMST]", "", pattern)
    return "" if pattern == form or re.search(r"[^\W_TZ]|%", rest) else pattern
