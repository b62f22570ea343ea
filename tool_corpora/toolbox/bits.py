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
    "Combine two numbers bit by bit with AND. "
    "Good for masking flags, keeping only the ones that both integers have in common.",
    returns="The result as a whole number.",
    first=integer("First number.", 1, 4000),
    second=integer("Second number.", 1, 4000),
    ask=[
        "What is {first} AND {second} bit by bit?",
        "Compute the bitwise AND of {first} and {second}.",
        "Combine {first} with {second} by bitwise AND.",
        "Bitwise, what does {first} AND {second} give?",
        "AND the bits of {first} and {second}.",
        "I have the masks {first} and {second}; which number keeps only the ones they share?",
        "Result of {first} & {second}, please.",
        "Mask {first} using {second} and show me what survives.",
        "Given {second} as a bit mask, which value is left of {first} after ANDing?",
        "Keep just the bits that are set in both {first} and {second}.",
        "Could you evaluate {first} & {second} as a binary AND operation?",
        "Which integer has a 1 exactly where {second} and {first} both have a 1?",
        "Perform a logical AND on the binary digits of {first} and {second}.",
        "Two integers, {first} and {second}: give their bit intersection.",
        "My register holds {first}. Apply an AND with {second}, what's in it now?",
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
    "Combine two numbers bit by bit with OR. "
    "Merges flags or permission masks, keeping every one that is set in either integer.",
    returns="The result as a whole number.",
    first=integer("First number.", 1, 4000),
    second=integer("Second number.", 1, 4000),
    ask=[
        "What is {first} OR {second} bit by bit?",
        "Compute the bitwise OR of {first} and {second}.",
        "Combine {first} with {second} by bitwise OR.",
        "Bitwise, what does {first} OR {second} give?",
        "OR the bits of {first} and {second}.",
        "Give me {first} | {second} as an integer.",
        "Merge the set bits of {first} and {second} into a single number.",
        "Which integer has a 1 wherever {first} or {second} has one?",
        "Flags {first} and {second} should be united; what's the combined value?",
        "Perform a logical OR on the binary digits of {first} and {second}.",
        "My register contains {first}. After ORing in {second}, what will it hold?",
        "Please work out the union of bits for {second} and {first}.",
        "Take every bit that's on in at least one of {first}, {second}: total value?",
        "Could you evaluate {first} | {second} as a binary OR operation?",
        "I want all flags from {first} plus all flags from {second}, overlaps only once, using OR.",
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
    "Combine two numbers bit by bit with XOR. "
    "Exclusive or for toggling flags, parity and masks, keeping ones set in only one integer.",
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
    "Shift the bits of a number left or right. "
    "Moves the whole binary pattern sideways, a quick doubling or halving by powers of two.",
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
    "Count the one bits or the zero bits in a number. "
    "Popcount of a single integer: how many ones, or zeros, its binary form has.",
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
    "Switch on the bit at one position of a number. "
    "Sets a single flag, making that binary digit a one and leaving the others untouched.",
    returns="The changed number.",
    value=integer("Number to change.", 1, 4000),
    position=integer("Position, counted from 0.", 0, 15),
    ask=[
        "Switch on bit {position} of {value}.",
        "Turn the bit at position {position} in {value} on.",
        "In the number {value}, switch bit {position} on.",
        "What is {value} with the bit at position {position} switched on?",
        "Switch the bit on in {value} at position {position}.",
        "Set bit number {position} in {value}, please.",
        "Make the bit with index {position} of the integer {value} a one.",
        "My options are stored as {value}. Enable the flag at bit {position}.",
        "Which number do I get by activating bit {position} in {value}?",
        "Counting from zero, force position {position} of {value} to be a 1 bit.",
        "Value {value}, bit {position} set: what's the new value?",
        "Put a 1 into binary place {position} of {value} without touching anything else.",
        "Could you raise the bit at index {position} within {value}?",
        "What does {value} become once bit {position} is made 1?",
        "Ensure that flag {position} is lit in {value} and hand me the updated integer.",
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
    "Switch off the bit at one position of a number. "
    "Clears a single flag, setting that binary digit to zero and leaving the rest alone.",
    returns="The changed number.",
    value=integer("Number to change.", 1, 4000),
    position=integer("Position, counted from 0.", 0, 11),
    ask=[
        "Switch off bit {position} of {value}.",
        "Turn the bit at position {position} in {value} off.",
        "In the number {value}, switch bit {position} off.",
        "What is {value} with the bit at position {position} switched off?",
        "Switch the bit off in {value} at position {position}.",
        "Clear bit number {position} in {value}, please.",
        "Set the bit with index {position} of the integer {value} to zero.",
        "I've a flag field equal to {value}. Disable the flag at bit {position}.",
        "Which number do I get by unsetting bit {position} in {value}?",
        "Reset bit index {position} to 0 within {value}.",
        "Counting from zero, force position {position} of {value} to be a 0 bit.",
        "Value {value}, bit {position} cleared: what's the new value?",
        "Knock out the one at binary position {position} from {value}, if there is any.",
        "Could you make bit {position} zero and leave the other bits of {value} alone?",
        "What remains of {value} once the bit in place {position} has been erased?",
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
    "Count the bits in which two numbers differ. "
    "Hamming distance of two integers, how many binary places are not the same.",
    returns="The number of differing bits.",
    first=integer("First number.", 1, 9000),
    second=integer("Second number.", 1, 9000),
    ask=[
        "In how many bits do {first} and {second} differ?",
        "Count the differing bits of {first} and {second}.",
        "How many bits differ between {first} and {second}?",
        "Number of bits that differ from {first} to {second}?",
        "Compare {first} with {second} and count where the bits differ.",
        "What's the Hamming distance between {first} and {second}?",
        "Write {first} and {second} in binary: how many places don't match?",
        "How many bit flips turn {first} into {second}?",
        "Hamming distance, integers {first} and {second}.",
        "I sent {first} but received {second}; tell me how many bits got corrupted.",
        "Tally the binary positions at which {first} isn't the same as {second}.",
        "Give the amount of mismatching binary digits in the pair {first}, {second}.",
        "By how many bits is {second} unlike {first}?",
        "To get from {first} to {second}, how many bits must I toggle?",
        "Please determine the number of ones in the XOR of {first} and {second}.",
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
    "Reverse the order of the bits in a number of fixed width. "
    "Mirrors a byte or word, so that the lowest binary digit becomes the highest.",
    returns="The number with its bits reversed.",
    value=integer("Number to reverse.", 1, 255),
    width=integer("Width in bits.", 8, 32, default=8),
    ask=[
        "Reverse the bits of {value}.",
        "Reverse the bit order of {value} at a width of {width} bits.",
        "With width {width}, what is {value} after its bits are reversed?",
        "What number has the bits of {value} in reverse order?",
        "Read the bits of {value} in reverse, width {width}.",
        "Mirror the binary digits of {value} and tell me the resulting number.",
        "Flip {value} end to end in binary, treating it as a {width}-bit number.",
        "If I read the byte {value} from right to left in binary, which integer results?",
        "Using {width} bits in total, swap the bit sequence of {value} back to front.",
        "I've got a value of {value} in a register {width} bits wide. What is it mirrored bitwise?",
        "Turn the bit sequence of {value} around, lowest bit first.",
        (
            "Which integer appears when the least significant bit of {value} becomes the most "
            "significant, and so on?"
        ),
        "Bit mirror of {value}, word size {width}.",
        "Could you put the binary digits of {value} backwards for me?",
        "Our device sends its bits backwards. Correct the number {value}, given {width}-bit words.",
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
