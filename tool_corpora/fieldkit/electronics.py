"""Resistors, capacitors and batteries in circuits."""

import math

from tool_corpora.kit import choice, integer, number, numbers, tool


@tool(
    "Choose the series resistor that an LED needs. "
    "Hobbyists find how many ohms keep a light-emitting diode from burning out.",
    returns="The resistance in ohms, rounded to 1 decimal.",
    supply=number("Supply voltage.", 5, 24, 1),
    forward=number("Forward voltage of the LED.", 1.6, 3.6, 1),
    milliamps=integer("Current through the LED, milliamps.", 1, 1000),
    ask=[
        "Which resistor does an LED need at supply {supply}, forward {forward}, "
        "{milliamps} milliamps?",
        "Choose an LED resistor for a {supply} volt supply, {forward} volt forward and "
        "{milliamps} milliamps.",
        "My LED draws {milliamps} milliamps at forward {forward}; the supply is {supply}. "
        "Which resistor?",
        "LED with forward voltage {forward} and {milliamps} milliamps on a supply of {supply}: "
        "what resistor?",
    ],
    held=[
        "To run an LED from a supply of {supply} with forward {forward} and {milliamps} "
        "milliamps, what resistor do I solder in?",
        "Size the resistor before an LED: {milliamps} milliamps, forward voltage {forward}, "
        "supply voltage {supply}.",
    ],
)
def led_series_resistor(supply, forward, milliamps):
    if not 0 <= forward <= supply <= 1e4:
        raise ValueError("the supply must be at least the forward voltage and at most 10000")
    return round((supply - forward) / milliamps * 1000, 1)


@tool(
    "Combine several capacitors into one total capacitance. "
    "Works out what several caps wired in series or in parallel amount to together.",
    returns="The total capacitance, rounded to 4 decimals.",
    capacitors=numbers("Capacitances in microfarads.", 0.5, 90, 1, 2, 4),
    wiring=choice("How they are connected.", ["series", "parallel"]),
    ask=[
        "What total capacitance have the capacitors {capacitors} in {wiring}?",
        "Combine capacitors of {capacitors} in {wiring}.",
        "Give the capacitance of {wiring} capacitors {capacitors}.",
        "I put capacitors {capacitors} in {wiring}. What is the total?",
    ],
    held=[
        "Wired in {wiring}, what do the capacitors {capacitors} add up to?",
        "Find one capacitor that replaces {capacitors} connected in {wiring}.",
    ],
)
def combine_capacitors(capacitors, wiring):
    if not capacitors or not all(1e-6 <= c <= 1e9 for c in capacitors):
        raise ValueError("give at least one capacitance, each from 0.000001 to 1e9")
    if wiring == "parallel":
        return round(math.fsum(capacitors), 4)
    return round(1 / math.fsum(1 / c for c in capacitors), 4)


def _check_rc(ohms, nanofarads):
    if not (1e-3 <= ohms <= 1e9 and 1e-3 <= nanofarads <= 1e9):
        raise ValueError("ohms and nanofarads must each be from 0.001 to 1e9")


@tool(
    "Compute the cutoff frequency of an RC filter. "
    "The corner point where a low-pass or high-pass made of resistor and capacitor rolls off.",
    returns="The cutoff frequency in hertz, rounded to 2 decimals.",
    ohms=number("Resistance in ohms.", 10, 90000, 0),
    nanofarads=number("Capacitance in nanofarads.", 1, 900, 1),
    ask=[
        "What is the cutoff frequency of an RC filter with {ohms} ohms and {nanofarads} "
        "nanofarads?",
        "Find the RC cutoff for {nanofarads} nanofarads and {ohms} ohms.",
        "An RC filter has {ohms} ohms, {nanofarads} nanofarads. Compute its cutoff frequency.",
        "At which cutoff frequency works a filter of {ohms} ohms with {nanofarads} nanofarads?",
    ],
    held=[
        "Where does my filter cut off, given {nanofarads} nanofarads and {ohms} ohms?",
        "I built an RC filter from {ohms} ohms and {nanofarads} nanofarads; tell me the cutoff.",
    ],
)
def rc_cutoff_frequency(ohms, nanofarads):
    _check_rc(ohms, nanofarads)
    return round(1e9 / (2 * math.pi * ohms * nanofarads), 2)


@tool(
    "Compute the time constant of an RC circuit. "
    "Tells how fast a capacitor charges or discharges through a resistor, known as tau.",
    returns="The time constant in microseconds, rounded to 3 decimals.",
    ohms=number("Resistance in ohms.", 10, 90000, 0),
    nanofarads=number("Capacitance in nanofarads.", 1, 900, 1),
    ask=[
        "What is the time constant of an RC circuit with {ohms} ohms and {nanofarads} nanofarads?",
        "Find the RC time constant for {nanofarads} nanofarads and {ohms} ohms.",
        "An RC circuit has {ohms} ohms, {nanofarads} nanofarads. Compute its time constant.",
        "Give the time constant when {ohms} ohms charge {nanofarads} nanofarads.",
    ],
    held=[
        "Which time constant results from {nanofarads} nanofarads behind {ohms} ohms?",
        "I charge {nanofarads} nanofarads through {ohms} ohms; tell me the time constant.",
    ],
)
def rc_time_constant(ohms, nanofarads):
    _check_rc(ohms, nanofarads)
    return round(ohms * nanofarads / 1000, 3)


@tool(
    "Estimate how many hours a battery runs a device. "
    "How long a power bank, phone or gadget lasts on one charge before it is empty.",
    returns="The running time in hours, rounded to 2 decimals.",
    capacity=number("Battery capacity in milliamp-hours.", 100, 9000, 0),
    draw=number("Current the device draws, milliamps.", 1, 800, 1),
    reserve=integer("Percent of the capacity left unused.", 0, 99, default=0),
    ask=[
        "How many hours does a battery of capacity {capacity} run with a draw of {draw}?",
        "Battery capacity {capacity}, draw {draw}, reserve {reserve} percent: how many hours?",
        "A device with a draw of {draw} milliamps uses a {capacity} battery. How long does it run?",
        "Estimate the battery hours at draw {draw} and capacity {capacity}.",
        "Keeping a reserve of {reserve}, how long runs a {capacity} battery at a draw of {draw}?",
    ],
    held=[
        "When is my battery empty if its capacity is {capacity} and the device has a draw of "
        "{draw}?",
        "How long will a {capacity} battery last given a draw of {draw} and a reserve of "
        "{reserve}?",
    ],
)
def battery_runtime(capacity, draw, reserve=0):
    if not (0 <= capacity <= 1e9 and 1e-3 <= draw <= 1e9):
        raise ValueError("capacity must be 0 to 1e9 and draw 0.001 to 1e9")
    return round(capacity * (100 - reserve) / 100 / draw, 2)
