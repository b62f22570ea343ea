"""The shipped tools: valid documents, safe to run, and right, or they teach wrong answers."""

import json
import time
from random import Random
from typing import Any

import jsonschema
import pytest

import tool_corpora
from tinr.catalogue.checks import check_document
from tool_corpora.kit import CorpusTool, placeholders, tool, with_phrasings, word
from tool_corpora.values import SHARED_BELOW, Side, side_of

TOOLS = tool_corpora.load("toolbox") | tool_corpora.load("fieldkit")
SIDES: tuple[Side, ...] = ("train", "dev", "test")
SAMPLES = 25  # per tool and side
SLOWEST = 0.1  # seconds of processor time for one call

# (tool, arguments, expected): each worked by hand, or a published example named behind it.
EXPECTED: list[tuple[str, dict[str, Any], Any]] = [
    # bits
    ("bitwise_and", {"first": 12, "second": 10}, 8),  # 1100 & 1010 = 1000
    ("bitwise_xor", {"first": 12, "second": 10}, 6),  # 1100 ^ 1010 = 0110
    ("shift_number_bits", {"value": 5, "direction": "left", "places": 3}, 40),  # 5 * 8
    ("count_number_bits", {"value": 10, "zeros": True}, 2),  # 1010
    ("reverse_bit_order", {"value": 6}, 96),  # 00000110 -> 01100000 = 64 + 32
    ("differing_bits", {"first": 7, "second": 8}, 4),  # 0111, 1000
    # checks
    ("luhn_check_digit", {"digits": "7992739871"}, 3),  # the usual example 79927398713
    ("passes_luhn_test", {"digits": "79927398713"}, True),
    ("passes_luhn_test", {"digits": "79927398710"}, False),
    ("valid_book_isbn", {"isbn": "0-306-40615-2"}, True),  # the usual ISBN example
    ("valid_book_isbn", {"isbn": "080442957X"}, True),  # a known one that ends in X = 10
    ("valid_product_barcode", {"barcode": "73513537"}, True),  # the usual EAN-8 example
    ("balanced_brackets", {"expression": "([a)]"}, False),
    ("is_palindrome_text", {"phrase": "Never odd or even"}, True),
    ("password_strength", {"password": "kolane42"}, "fair"),  # two kinds of signs
    # colours
    ("hex_to_rgb", {"colour": "#3fa2c8"}, [63, 162, 200]),  # 3*16+15, 10*16+2, 12*16+8
    ("contrast_ratio", {"text": "#000000", "background": "#ffffff"}, 21.0),  # 1.05 / 0.05
    ("rotate_hue", {"colour": "#ff0000", "degrees": 120}, "#00ff00"),  # red to green
    ("colour_to_grey", {"colour": "#ff0000"}, "#4c4c4c"),  # 0.299 * 255 = 76.2; 76 = 0x4c
    ("lighten_colour", {"colour": "#000000", "percent": 20}, "#333333"),  # 51 = 0x33
    ("blend_colours", {"first": "#000000", "second": "#ff0000", "percent": 20}, "#330000"),
    # dates
    ("add_days", {"start": "2024-02-28", "days": 2}, "2024-03-01"),  # 2024 has a 29 February
    ("add_months", {"start": "2023-01-31", "months": 1}, "2023-02-28"),  # last day of February
    ("weekday_of_date", {"day": "2000-01-01"}, "saturday"),  # known
    ("count_days_between", {"first": "2024-03-01", "last": "2024-02-01"}, 29),
    ("count_working_days", {"first": "2024-01-01", "last": "2024-01-13"}, 10),  # Monday to Saturday
    ("next_weekday_after", {"start": "2024-01-01", "weekday": "monday"}, "2024-01-08"),
    ("age_on_date", {"birth": "1980-06-15", "day": "2020-06-14"}, 39),  # the day before 40
    ("minutes_between_times", {"start": "23:30", "end": "00:15"}, 45),  # past midnight
    # encodings
    ("encode_base64", {"text": "Man"}, "TWFu"),  # the usual example
    ("encode_hexadecimal", {"word": "az"}, "617a"),  # a = 0x61, z = 0x7a
    ("shift_encrypt", {"text": "xyz a", "shift": 3}, "abc d"),
    ("vigenere_cipher", {"text": "attackatdawn", "key": "lemon"}, "lxfopvefrnhr"),  # usual example
    ("write_morse", {"word": "sos"}, "... --- ..."),
    ("write_roman", {"number": 1994}, "MCMXCIV"),  # 1000 + 900 + 90 + 4
    ("read_roman", {"numeral": "MMXIV"}, 2014),
    # finance
    ("simple_interest", {"principal": 1000, "rate": 5, "years": 3}, 150.0),
    ("compound_balance", {"principal": 1000, "rate": 10, "years": 2}, 1210.0),
    # 1200 * 0.01 / (1 - 1.01^-12) = 12 / (1 - 0.887449) = 106.62
    ("loan_payment", {"loan": 1200, "rate": 12, "months": 12}, 106.62),
    ("remove_sales_tax", {"price": 119, "tax": 19}, 100.0),
    ("profit_margin", {"revenue": 200, "costs": 150}, 25.0),
    ("break_even_units", {"fixed": 1001, "price": 50, "cost": 25}, 41),  # 40.04, up
    ("exchange_money", {"amount": 100, "rate": 2, "fee": 5}, 190.0),
    # geometry
    ("circle_area", {"radius": 10}, 314.1593),
    ("hypotenuse_length", {"first": 3, "second": 4}, 5.0),
    ("sphere_volume", {"radius": 3}, 113.0973),  # 36 pi
    ("sphere_volume", {"radius": 3, "half": True}, 56.5487),  # 18 pi
    ("cone_volume", {"radius": 3, "height": 4}, 37.6991),  # 12 pi
    ("box_surface", {"length": 1, "width": 2, "height": 3, "open": True}, 20),  # 22 - 2
    ("arc_length", {"radius": 2, "angle": 90}, 3.1416),  # a quarter of 4 pi
    ("polygon_corner_angle", {"sides": 6}, 120.0),
    # graphs
    ("shortest_path_hops", {"edges": "B-D, D-K, K-P, B-K", "start": "B", "goal": "P"}, 2),
    ("shortest_path_hops", {"edges": "B-D", "start": "D", "goal": "B", "directed": True}, -1),
    ("count_components", {"edges": "B-D, K-P, P-M"}, 2),
    ("graph_has_cycle", {"edges": "B-D, D-K, K-P"}, False),
    ("graph_has_cycle", {"edges": "B-D, D-K, K-B"}, True),
    ("graph_is_bipartite", {"edges": "B-D, D-K, K-B"}, False),  # an odd cycle
    ("dependency_order", {"tasks": "K-B, D-B"}, ["D", "K", "B"]),
    ("complete_graph_edges", {"vertices": 5}, 10),
    # health
    ("body_mass_index", {"weight": 80, "height": 200}, 20.0),  # 80 / 4
    # Mifflin-St Jeor: 700 + 1093.75 - 150 + 5 = 1648.75
    ("resting_calories", {"weight": 70, "height": 175, "age": 30, "sex": "male"}, 1649),
    ("maximum_heart_rate", {"age": 40, "formula": "tanaka"}, 180),  # 208 - 28
    ("target_heart_rate", {"age": 40, "resting": 60, "intensity": 50}, 120),  # 60 + 120 / 2
    ("mean_arterial_pressure", {"systolic": 120, "diastolic": 81}, 94.0),  # 81 + 13
    ("activity_calories", {"activity": "running", "minutes": 60}, 686),  # 9.8 * 70
    # lists
    ("rotate_items_right", {"items": [1, 2, 3, 4], "places": 5}, [4, 1, 2, 3]),
    ("rotate_items_left", {"items": [1, 2, 3, 4]}, [2, 3, 4, 1]),
    ("keep_list_entries", {"items": [1, 2, 3], "count": 2, "end": "finish"}, [2, 3]),
    ("missing_list_entries", {"wanted": [3, 1, 2], "present": [1]}, [3, 2]),
    ("chunk_list", {"items": [1, 2, 3, 4, 5], "size": 2}, [[1, 2], [3, 4], [5]]),
    # lookups
    ("capital_of_country", {"country": "Australia"}, "Canberra"),
    ("country_of_capital", {"city": "Oslo"}, "Norway"),
    ("country_dialling_code", {"country": "Kenya", "prefix": "zeros"}, "00254"),
    ("mountain_height", {"mountain": "Everest", "unit": "feet"}, 29032),  # 8849 m, published
    ("year_of_book", {"title": "Dracula"}, 1897),
    ("group_of_animals", {"animal": "lion"}, "pride"),
    # number theory
    ("greatest_common_divisor", {"first": 48, "second": 36}, 12),
    ("least_common_multiple", {"first": 4, "second": 6}, 12),
    ("prime_factors", {"number": 360}, [2, 2, 2, 3, 3, 5]),
    ("next_prime", {"number": 89}, 97),
    ("previous_prime", {"number": 97}, 89),
    ("sum_divisors", {"number": 28, "proper": True}, 28),  # a perfect number
    ("modular_power", {"base": 3, "exponent": 7, "modulus": 5}, 2),  # 2187 = 437 * 5 + 2
    ("collatz_steps", {"number": 6}, 8),  # 6 3 10 5 16 8 4 2 1
    ("count_coprimes", {"number": 36}, 12),  # 36 * 1/2 * 2/3
    ("digit_sum", {"number": 9875, "repeat": True}, 2),  # 29, 11, 2
    # physics
    ("kinetic_energy", {"mass": 2, "speed": 3}, 9.0),
    ("fall_time", {"height": 19.62}, 2.0),  # sqrt(39.24 / 9.81)
    ("impact_speed", {"height": 19.62}, 19.62),  # 9.81 * 2 s
    ("pendulum_period", {"length": 9.81}, 6.283),  # 2 pi
    ("spring_energy", {"stiffness": 100, "stretch": 2}, 200.0),
    ("projectile_flight", {"speed": 19.62}, 39.24),  # 19.62^2 / 9.81
    ("projectile_flight", {"speed": 19.62, "peak": True}, 9.81),  # 19.62^2 / 2 / 19.62
    # probability
    ("dice_total_chance", {"dice": 2, "total": 7}, 16.6667),  # 6 of 36
    ("coin_heads_chance", {"flips": 10, "heads": 5}, 24.6094),  # 252 of 1024
    ("coin_heads_chance", {"flips": 5, "heads": 4, "least": True}, 18.75),  # 6 of 32
    ("at_least_once_chance", {"percent": 50, "tries": 3}, 87.5),
    ("first_success_chance", {"percent": 50, "attempt": 3}, 12.5),
    ("either_event_chance", {"first": 50, "second": 20}, 60.0),  # 70 - 10
    ("positive_test_chance", {"ill": 1, "detected": 90, "alarms": 9}, 9.1743),  # 0.9 / 9.81
    ("poisson_chance", {"average": 2, "count": 1}, 27.0671),  # 2 / e^2
    ("shared_birthday_chance", {"people": 23}, 50.7297),  # the published birthday problem
    # statistics
    ("geometric_mean", {"values": [2, 8]}, 4.0),
    ("harmonic_mean", {"values": [40, 60]}, 48.0),
    ("median_value", {"values": [9, 1, 4, 2]}, 3.0),
    ("standard_deviation", {"values": [2, 4, 4, 4, 5, 5, 7, 9]}, 2.0),  # sqrt(32 / 8)
    ("standard_deviation", {"values": [1, 3], "sample": True}, 1.4142),  # sqrt(2 / 1)
    ("weighted_average", {"values": [80, 90], "weights": [1, 3]}, 87.5),
    ("pearson_correlation", {"xs": [1, 2, 3], "ys": [1, 3, 2]}, 0.5),  # 1 / (sqrt 2 sqrt 2)
    ("percentile_value", {"values": [4, 1, 2, 3], "percentile": 50}, 2.5),
    # text
    ("edit_distance", {"first": "kitten", "second": "sitting"}, 3),  # the usual example
    ("join_naming_case", {"text": "one two three", "style": "camel"}, "oneTwoThree"),
    ("pad_word", {"word": "ab", "width": 4, "fill": "*"}, "**ab"),
    ("truncate_text", {"text": "one two", "limit": 3, "dots": True}, "one..."),
    # units
    ("convert_length", {"length": 1, "source": "mile", "target": "yard"}, 1760.0),
    ("convert_mass", {"mass": 1, "source": "stone", "target": "pound"}, 14.0),
    ("convert_temperature", {"temperature": 100, "source": "celsius", "target": "fahrenheit"}, 212),
    ("convert_liquid_volume", {"volume": 1, "source": "gallon", "target": "cup"}, 16.0),
    ("convert_land_area", {"area": 1, "source": "hectare", "target": "acre"}, 2.4711),
    ("convert_speed", {"speed": 1, "source": "knot", "target": "kmh"}, 1.852),
    ("convert_pressure", {"pressure": 1, "source": "atm", "target": "psi"}, 14.6959),
    ("convert_angle", {"angle": 180, "source": "degree"}, 3.1416),
    ("mpg_to_litres", {"economy": 23.5215}, 10.0),  # 235.215 / mpg
    ("split_feet_inches", {"inches": 67}, "5 ft 7 in"),
    # vectors
    ("cross_product", {"first": [1, 0, 0], "second": [0, 1, 0]}, [0, 0, 1]),
    ("unit_vector", {"vector": [3, 0, -4]}, [0.6, 0, -0.8]),
    ("angle_between_vectors", {"first": [1, 0, 0], "second": [1, 1, 0]}, 45.0),
    ("vector_distance", {"first": [0, 0, 0], "second": [1, -2, 2]}, 3.0),  # sqrt 9
    # astronomy
    ("parallax_distance", {"parallax": 100, "unit": "lightyears"}, 32.616),  # 10 parsecs
    ("absolute_magnitude", {"apparent": 5, "parsecs": 100}, 0.0),  # 5 - 5 log10(10)
    ("telescope_magnification", {"focal": 1000, "eyepiece": 25, "barlow": 2}, 80.0),
    ("kepler_orbit_period", {"axis": 4, "mass": 4}, 4.0),  # sqrt(64 / 4)
    # cards
    ("blackjack_total", {"hand": "A-A-9"}, 21),  # 11 + 1 + 9
    ("bridge_honour_points", {"holding": "AKJ74", "length": True}, 9),  # 4 + 3 + 1, and 1
    ("poker_hand_category", {"hand": "AH-2D-3C-4S-5H"}, "straight"),  # the ace is low
    ("poker_hand_category", {"hand": "KH-KD-7S-7C-7H"}, "full house"),
    ("cards_per_player", {"players": 5, "jokers": True}, 10),  # 54 // 5
    # chemistry
    ("molar_mass", {"formula": "H2SO4"}, 98.072),  # 2.016 + 32.06 + 63.996
    ("dilution_stock_volume", {"stock": 10, "target": 1, "volume": 100}, 10.0),
    ("solution_ph", {"millimolar": 10, "ion": "hydroxide"}, 12.0),  # 14 - 2
    # electronics
    ("led_series_resistor", {"supply": 9, "forward": 2, "milliamps": 20}, 350.0),  # 7 / 0.02
    ("combine_capacitors", {"capacitors": [6, 3], "wiring": "series"}, 2.0),
    ("rc_cutoff_frequency", {"ohms": 1000, "nanofarads": 1000}, 159.15),  # 1000 / (2 pi)
    ("battery_runtime", {"capacity": 2000, "draw": 100, "reserve": 20}, 16.0),
    # gardening
    ("plants_in_bed", {"length": 2.1, "width": 1, "spacing": 50}, 8),  # 4 by 2
    ("mulch_litres", {"area": 10, "depth": 5}, 500.0),  # 0.5 cubic metres
    ("growing_degrees", {"warmest": 30, "coolest": 16}, 13.0),  # 23 - 10
    ("seeds_to_sow", {"plants": 10, "germination": 30}, 34),  # 33.3, up
    # genetics
    ("transcribe_dna", {"strand": "ATGC", "template": True}, "UACG"),
    ("complement_strand", {"strand": "GATTACA", "reverse": True}, "TGTAATC"),
    ("translate_codons", {"codons": "AUGUGGUAAGCC", "long": True}, "Met-Trp"),  # UAA stops
    ("punnett_cross", {"mother": "Aa", "father": "Aa"}, "25% AA, 50% Aa, 25% aa"),
    # maps: a quarter of the globe along the equator is 6371 * pi / 2 = 10007.5 km
    (
        "globe_distance",
        dict(start_latitude=0, start_longitude=0, end_latitude=0, end_longitude=90),
        10007.5,
    ),
    (
        "starting_bearing",  # due west along the equator
        dict(start_latitude=0, start_longitude=0, end_latitude=0, end_longitude=-90),
        270.0,
    ),
    ("compass_point", {"heading": 350, "detail": "sixteen"}, "N"),  # nearer 360 than 337.5
    ("ground_kilometres", {"centimetres": 4, "scale": 50000}, 2.0),
    # music
    ("note_frequency", {"note": "C4"}, 261.63),  # published, for A4 = 440
    ("spell_scale", {"tonic": "Eb", "mode": "major"}, "Eb F G Ab Bb C D"),
    ("spell_chord", {"root": "F#", "quality": "diminished"}, "F# A C"),
    ("bar_duration", {"tempo": 120}, 2.0),
    # networking
    ("subnet_mask", {"prefix": 20, "wildcard": True}, "0.0.15.255"),
    ("usable_hosts", {"prefix": 24}, 254),
    ("usable_hosts", {"prefix": 31}, 2),  # point to point, RFC 3021
    ("network_address", {"address": "10.1.7.20", "prefix": 22}, "10.1.4.0"),
    ("broadcast_address", {"address": "10.1.7.20", "prefix": 22}, "10.1.7.255"),
    ("download_seconds", {"megabytes": 100, "megabits": 100, "efficiency": 50}, 16.0),
    # sports
    ("earned_run_average", {"runs": 3, "innings": 9}, 3.0),
    ("league_points", {"wins": 10, "draws": 5}, 35),
    ("running_pace", {"kilometres": 10, "minutes": 52.5}, "5:15"),
    # expected 1 / 11, so 1600 + 32 * 10 / 11 = 1629.1
    ("elo_rating_update", {"rating": 1600, "opponent": 2000, "result": "win"}, 1629.1),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), EXPECTED)
def test_result_is_the_one_worked_by_hand(name: str, arguments: dict[str, Any], expected: Any):
    result = TOOLS[name].run(**arguments)
    assert result == expected
    assert isinstance(result, bool) == isinstance(expected, bool)


def test_hand_worked_results_cover_every_domain():
    checked = {name for name, _, _ in EXPECTED}
    assert len(checked) >= 60
    for domain in {one.domain for one in TOOLS.values()}:
        assert sum(TOOLS[name].domain == domain for name in checked) >= 3, domain


def test_corpora_are_large_and_apart():
    toolbox, fieldkit = (tool_corpora.load(corpus) for corpus in tool_corpora.NAMES)
    domains = [{tool.domain for tool in corpus.values()} for corpus in (toolbox, fieldkit)]
    assert len(toolbox) >= 150 and len(domains[0]) >= 12
    assert len(fieldkit) >= 40
    assert not domains[0] & domains[1]
    assert not toolbox.keys() & fieldkit.keys()


@pytest.mark.parametrize("name", TOOLS)
def test_document_is_valid_and_describes_the_tool(name: str):
    document = TOOLS[name].document()
    check_document(json.loads(json.dumps(document)), name)
    properties = document["parameters"]["properties"]
    for key, schema in properties.items():
        assert schema["description"], key
        assert ("default" in schema) != (key in document["parameters"]["required"])
    assert document["returns"]


def _sampled(tool: CorpusTool, rng: Random, side: Side) -> dict[str, Any]:
    """Arguments as a query on that side gives them."""
    sentence, fixed = rng.choice(tool.phrasings(side))
    drawn = {key: tool.parameters[key].sample(rng, side) for key in placeholders(sentence)}
    return drawn | dict(fixed)


@pytest.mark.parametrize("name", TOOLS)
def test_runs_on_sampled_values(name: str):
    tool, refused = TOOLS[name], 0
    fits = jsonschema.Draft202012Validator(tool.document()["parameters"])
    for side in SIDES:
        rng = Random(f"{name}/{side}")
        for _ in range(SAMPLES):
            arguments = _sampled(tool, rng, side)
            assert fits.is_valid(arguments), arguments
            try:
                text = json.dumps(tool.run(**arguments), allow_nan=False)
            except ValueError as error:
                assert "Out of range float" not in str(error), arguments
                refused += 1
            else:
                assert len(text) < 400, "the environment would cut this result"
    assert refused < 0.2 * len(SIDES) * SAMPLES


STRINGS = ["", " ", "\x00", "é²٣ßﬁ", "\"'; DROP", "-", ",", "9999-12-31", "0001-01-01", "24:00"]
STRINGS += [sign * 5000 for sign in "a9(-,. "] + ["a-b, " * 2000, "Aa1!@." * 900, "[](" * 900]
NUMBERS = [0, -1, 5e-324, 1e-9, -0.0, 1e9, 1e308, -1e308, 10**40, -(10**40)]


def _extremes(schema: dict[str, Any]) -> list[Any]:
    """Values at the edges of a parameter's schema; every one of them fits it."""
    kind = schema["type"]
    if "enum" in schema:
        return list(schema["enum"])
    if kind == "integer":
        return [schema["minimum"], schema["maximum"]]
    if kind == "array":
        plain = {"string": STRINGS, "integer": [0, -1, 10**40], "number": NUMBERS}
        items = plain[schema["items"]["type"]]
        return [[], items, *([item] * 3 for item in items), items * 500]
    return {"number": NUMBERS, "string": STRINGS, "boolean": [False, True]}[kind]


def _timed(tool, arguments):
    """What a tool returns, None where it refuses, and its processor seconds."""
    begun = time.process_time()
    try:
        result = tool.run(**arguments)
    except ValueError:
        result = None
    return result, time.process_time() - begun


@pytest.mark.parametrize("name", TOOLS)
def test_extreme_arguments_give_a_result_or_a_refusal(name: str):
    tool, rng = TOOLS[name], Random(name)
    edges = {key: _extremes(dict(p.schema)) for key, p in tool.parameters.items()}
    plain = {key: p.sample(rng, "train") for key, p in tool.parameters.items()}
    tried = [plain | {key: value} for key, values in edges.items() for value in values]
    tried += [{key: rng.choice(values) for key, values in edges.items()} for _ in range(30)]
    for arguments in tried:
        result, spent = _timed(tool, arguments)
        if spent >= SLOWEST:  # once more: other threads of this process count too
            result, spent = _timed(tool, arguments)
        assert spent < SLOWEST, str(arguments)[:300]
        json.dumps(result, allow_nan=False)


def _values(value: Any, schema: Any) -> list[Any]:
    """The single values of an argument: entries of a list, words of a text, else itself."""
    if isinstance(value, list):
        return value
    plain = schema["type"] == "string" and "examples" not in schema and "format" not in schema
    return value.lower().split() if plain else [value]


@pytest.mark.parametrize("name", TOOLS)
def test_sampled_values_stay_on_their_side(name: str):
    """The sides would otherwise ask about the same things, and tests measure memory."""
    for key, parameter in TOOLS[name].parameters.items():
        schema = parameter.schema
        if "enum" in schema or schema["type"] == "boolean" or schema.get("format") == "time":
            continue
        for side in SIDES:
            rng = Random(f"{name}/{key}/{side}")
            for _ in range(SAMPLES):
                for value in _values(parameter.sample(rng, side), schema):
                    small = isinstance(value, int) and abs(value) < SHARED_BELOW
                    assert small or side_of(value) == side, (key, value)


def test_declaring_a_tool_checks_its_phrasings():
    good = ["a {x}", "b {x}", "c {x}", "d {x}"]

    def declared(ask: list[str], held: list[str]):
        return tool("Say.", returns="It.", x=word("Word."), ask=ask, held=held)(lambda x: x)

    assert declared(good, ["e {x}", "f {x}"]).run(x="y") == "y"
    with pytest.raises(ValueError, match="at least 4 phrasings"):
        declared(good[:3], ["e {x}", "f {x}"])
    with pytest.raises(ValueError, match="stands twice"):
        declared(good, ["a {x}", "f {x}"])
    with pytest.raises(ValueError, match=r"unknown \['y'\]"):
        declared(good, ["e {x} {y}", "f {x}"])
    with pytest.raises(ValueError, match=r"lacks \['x'\]"):
        declared(good, ["e", "f {x}"])


def test_further_phrasings_are_for_training_and_say_which_words_imply_a_value():
    made = TOOLS["coin_heads_chance"]
    row = {"sentence": "{flips} flips, {heads} or up", "fixed": {"least": True},
           "words": {"least": "or up"}}  # fmt: skip
    grown = with_phrasings(made, [row])
    assert grown.train[-1] == ("{flips} flips, {heads} or up", {"least": True})
    assert grown.implied["{flips} flips, {heads} or up"] == {"least": "or up"}
    assert (grown.dev, grown.test) == (made.dev, made.test)
    again = with_phrasings(grown, [row])
    assert again.train == grown.train  # the words of a phrasing that is there
    for words in ({"least": "or more"}, {"heads": "or up"}):
        with pytest.raises(ValueError, match="do not imply"):
            with_phrasings(made, [row | {"words": words}])
    with pytest.raises(ValueError, match="lacks"):
        with_phrasings(made, [{"sentence": "{heads} or up"}])
