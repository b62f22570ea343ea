"""Bits of whole numbers: combining, shifting, counting and changing them."""

from tool_corpora.kit import choice, flag, integer, tool

_LARGEST = 2**64


def _checked(*numbers):
    if not all(0 <= n < _LARGEST for n in numbers):
        raise ValueError("the numbers must be from 0 to 2 to the power 64")


def _place(position):
    if not 0 <= position < 64:
        raise ValueError("the position must be from 0 to 63")
    return 1 << position


@tool(
    "Combine two numbers bit by bit with AND.",
    returns="The result as a whole number.",
    first=integer("First number.", 1, 4000),
    second=integer("Second number.", 1, 4000),
    ask=[
        "What is {first} AND {second} bit by bit?",
        "Compute the bitwise AND of {first} and {second}.",
        "Combine {first} with {second} by bitwise AND.",
        "Bitwise, what does {first} AND {second} give?",
        "AND the bits of {first} and {second}.",
    ],
    held=[
        "Which bits do {first} and {second} both have? Give the bitwise AND.",
        "Take {first} and {second} and return their AND, bit by bit.",
    ],
)
def bitwise_and(first, second):
    _checked(first, second)
    return first & second


@tool(
    "Combine two numbers bit by bit with OR.",
    returns="The result as a whole number.",
    first=integer("First number.", 1, 4000),
    second=integer("Second number.", 1, 4000),
    ask=[
        "What is {first} OR {second} bit by bit?",
        "Compute the bitwise OR of {first} and {second}.",
        "Combine {first} with {second} by bitwise OR.",
        "Bitwise, what does {first} OR {second} give?",
        "OR the bits of {first} and {second}.",
    ],
    held=[
        "Merge all bits of {first} and {second} with a bitwise OR.",
        "Take {first} and {second} and return their OR, bit by bit.",
    ],
)
def bitwise_or(first, second):
    _checked(first, second)
    return first | second


@tool(
    "Combine two numbers bit by bit with XOR.",
    returns="The result as a whole number.",
    first=integer("First number.", 1, 4000),
    second=integer("Second number.", 1, 4000),
    ask=[
        "What is {first} XOR {second} bit by bit?",
        "Compute the bitwise XOR of {first} and {second}.",
        "Combine {first} with {second} by XOR of their bits.",
        "Bitwise, what does {first} XOR {second} give?",
        "XOR the bits of {first} and {second}.",
    ],
    held=[
        "Toggle {first} against the mask {second} using XOR.",
        "Take {first} and {second} and return their XOR, bit by bit.",
    ],
)
def bitwise_xor(first, second):
    _checked(first, second)
    return first ^ second


@tool(
    "Shift the bits of a number left or right.",
    returns="The shifted number.",
    value=integer("Number to shift.", 1, 4000),
    direction=choice("Where the bits go.", ["left", "right"]),
    places=integer("Places to shift by.", 1, 8, default=1),
    ask=[
        "Shift {value} {direction} by {places} bits.",
        "What is {value} shifted {direction} by {places} bits?",
        "Shift the bits of {value} {direction} by one.",
        "By {places} places, shift the bits of {value} to the {direction}.",
        "Do a {direction} shift on the number {value} by {places}.",
    ],
    held=[
        "Move the bits in {value} to the {direction} with a shift of {places} places.",
        "If I shift {value} by {places} bits {direction}, what number is it?",
        "Please shift the number {value} to the {direction} once.",
    ],
)
def shift_number_bits(value, direction, places=1):
    _checked(value)
    _place(places)
    return value << places if direction == "left" else value >> places


@tool(
    "Count the one bits or the zero bits in a number.",
    returns="The count as a whole number.",
    value=integer("Number to look into.", 1, 9000),
    zeros=flag("Whether to count zero bits after the highest one."),
    ask=[
        "How many one bits are in {value}?",
        "Count the one bits of the number {value}.",
        "In binary, how many bits of {value} are one?",
        ("Count the zero bits of {value}.", {"zeros": True}),
        ("How many zero bits does the number {value} have?", {"zeros": True}),
    ],
    held=[
        "Tell me the count of one bits that {value} contains.",
        "Of the bits of {value}, how many are set to one? Count them.",
        ("Written in bits, how many zero bits are in {value}?", {"zeros": True}),
    ],
)
def count_number_bits(value, zeros=False):
    _checked(value)
    return value.bit_length() - value.bit_count() if zeros else value.bit_count()


@tool(
    "Switch on the bit at one position of a number.",
    returns="The changed number.",
    value=integer("Number to change.", 1, 4000),
    position=integer("Position, counted from 0.", 0, 15),
    ask=[
        "Switch on bit {position} of {value}.",
        "Turn the bit at position {position} in {value} on.",
        "In the number {value}, switch bit {position} on.",
        "What is {value} with the bit at position {position} switched on?",
        "Switch the bit on in {value} at position {position}.",
    ],
    held=[
        "I want position {position} of {value} to be on. Which number has that bit?",
        "Give me {value} after switching on its bit number {position}.",
    ],
)
def switch_bit_on(value, position):
    _checked(value)
    return value | _place(position)


@tool(
    "Switch off the bit at one position of a number.",
    returns="The changed number.",
    value=integer("Number to change.", 1, 4000),
    position=integer("Position, counted from 0.", 0, 11),
    ask=[
        "Switch off bit {position} of {value}.",
        "Turn the bit at position {position} in {value} off.",
        "In the number {value}, switch bit {position} off.",
        "What is {value} with the bit at position {position} switched off?",
        "Switch the bit off in {value} at position {position}.",
    ],
    held=[
        "I want position {position} of {value} to be off. Which number lacks that bit?",
        "Give me {value} after switching off its bit number {position}.",
    ],
)
def switch_bit_off(value, position):
    _checked(value)
    return value & ~_place(position)


@tool(
    "Count the bits in which two numbers differ.",
    returns="The number of differing bits.",
    first=integer("First number.", 1, 9000),
    second=integer("Second number.", 1, 9000),
    ask=[
        "In how many bits do {first} and {second} differ?",
        "Count the differing bits of {first} and {second}.",
        "How many bits differ between {first} and {second}?",
        "Number of bits that differ from {first} to {second}?",
        "Compare {first} with {second} and count where the bits differ.",
    ],
    held=[
        "Tell me how many bits are different in {first} and {second}.",
        "To turn {first} into {second}, how many differing bits must flip?",
    ],
)
def differing_bits(first, second):
    _checked(first, second)
    return (first ^ second).bit_count()


@tool(
    "Reverse the order of the bits in a number of fixed width.",
    returns="The number with its bits reversed.",
    value=integer("Number to reverse.", 1, 255),
    width=integer("Width in bits.", 8, 32, default=8),
    ask=[
        "Reverse the bits of {value}.",
        "Reverse the bit order of {value} at a width of {width} bits.",
        "With width {width}, what is {value} after its bits are reversed?",
        "What number has the bits of {value} in reverse order?",
        "Read the bits of {value} in reverse, width {width}.",
    ],
    held=[
        "Which number comes out when all bits in {value} are reversed?",
        "At {width} bits of width, give me {value} in reversed bit order.",
        "Take the number {value} and turn its bits round in reverse; the width is {width}.",
    ],
)
def reverse_bit_order(value, width=8):
    _checked(value)
    if not 1 <= width <= 64:
        raise ValueError("the width must be from 1 to 64")
    if value.bit_length() > width:
        raise ValueError("the number needs more bits than the width")
    return int(f"{value:0{width}b}"[::-1], 2)
