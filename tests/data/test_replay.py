"""What is replayed is what was asked for, form by form, and nothing by a default."""

from dataclasses import fields
from pathlib import Path
from random import Random

import pytest
import yaml

import tinr
from tinr.data.alignment_examples import PairMix
from tinr.data.replay import unqueried_examples
from tinr.records import Call, Query

FORMS = {form.name for form in fields(PairMix)}
ROOT = Path(tinr.__file__).parents[1]
MIXES = {
    str(path.relative_to(ROOT)): mix
    for folder in ("tinr/chain/presets", "scripts/configs")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
    if (mix := (yaml.safe_load(path.read_text("utf-8")) or {}).get("mix")) is not None
}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_tools_without_queries_get_as_many_examples_as_asked_for(count, grown, catalogue):
    """`count` pseudo-queries and as many up to the names, for the two of three tools; 0: none."""
    queries = [Query("q", "Area?", ((Call("circle_area", {"radius": 1}),),))]
    found = unqueried_examples(grown("tiny"), catalogue, queries, count, Random(0))
    assert len(found) == 2 * (count + count)


def test_a_mix_of_some_forms_has_none_of_the_others():
    assert vars(PairMix.only()) == dict.fromkeys(FORMS, 0)
    assert vars(PairMix.only(schema=3)) == dict.fromkeys(FORMS, 0) | {"schema": 3}
    with pytest.raises(TypeError, match="schemas"):
        PairMix.only(schemas=3)


@pytest.mark.parametrize("path", MIXES)
def test_a_recipe_that_states_a_mix_states_every_form(path):
    """What is left out of it would be trained on by its default."""
    assert set(MIXES[path]) == FORMS
