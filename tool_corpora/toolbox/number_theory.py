"""Divisors, primes and digits of whole numbers."""

import math

from tool_corpora.kit import flag, integer, tool


def _limited(number, low=1, high=1_000_000):
    """The number, if it lies between the limits."""
    if not low <= number <= high:
        raise ValueError(f"the number must be between {low} and {high}")
    return number


def _factors(number):
    """The prime factors of a number up to a million, smallest first, repeated."""
    rest, found, divisor = _limited(number), [], 2
    while divisor * divisor <= rest:
        while rest % divisor == 0:
            found.append(divisor)
            rest //= divisor
        divisor += 1
    return [*found, rest] if rest > 1 else found


def _divisors(number):
    """All divisors of a number up to a million."""
    small = [d for d in range(1, math.isqrt(_limited(number)) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


@tool(
    "Find the greatest common divisor of two whole numbers.",
    returns="The greatest common divisor.",
    first=integer("One number.", 1, 100_000),
    second=integer("The other number.", 1, 100_000),
    ask=[
        "What is the greatest common divisor of {first} and {second}?",
        "Find the greatest common divisor of {first} and {second}.",
        "Which common divisor of {first} and {second} is greatest?",
        "For the numbers {first} and {second}, compute the greatest common divisor.",
    ],
    held=[
        "By which greatest common divisor can I reduce {first} over {second}?",
        "The numbers are {first} and {second}; name their greatest common divisor.",
    ],
)
def greatest_common_divisor(first, second):
    return math.gcd(_limited(first), _limited(second))


@tool(
    "Find the least common multiple of two whole numbers.",
    returns="The least common multiple.",
    first=integer("One number.", 1, 100_000),
    second=integer("The other number.", 1, 100_000),
    ask=[
        "What is the least common multiple of {first} and {second}?",
        "Find the least common multiple of {first} and {second}.",
        "Which common multiple of {first} and {second} is least?",
        "For the numbers {first} and {second}, compute the least common multiple.",
    ],
    held=[
        "Two buses come every {first} and {second} minutes; what is their least common multiple?",
        "The numbers are {first} and {second}; name their least common multiple.",
    ],
)
def least_common_multiple(first, second):
    return math.lcm(_limited(first), _limited(second))


@tool(
    "Split a whole number into its prime factors.",
    returns="The prime factors, smallest first, repeated or each once.",
    number=integer("Number to split.", 2, 100_000),
    distinct=flag("List each prime factor only once."),
    ask=[
        "What are the prime factors of {number}?",
        "Split {number} into prime factors.",
        "Write {number} as a product of prime factors.",
        ("What are the distinct prime factors of {number}?", {"distinct": True}),
        ("List the prime factors of {number}, distinct ones only.", {"distinct": True}),
    ],
    held=[
        "Into which prime factors does {number} break up?",
        ("Name every distinct prime factor that {number} has.", {"distinct": True}),
    ],
)
def prime_factors(number, distinct=False):
    found = _factors(number)
    return sorted(set(found)) if distinct else found


@tool(
    "Find the next prime after a whole number.",
    returns="The smallest prime above the number.",
    number=integer("Number to start above.", 0, 100_000),
    ask=[
        "What is the next prime after {number}?",
        "Find the next prime above {number}.",
        "Which prime comes next after {number}?",
        "Going up from {number}, what is the next prime?",
    ],
    held=[
        "Count upward past {number} until you meet the next prime.",
        "Name the prime that stands next in line above {number}.",
    ],
)
def next_prime(number):
    found = _limited(number, 0, 900_000) + 1
    while len(_factors(found)) != 1:
        found += 1
    return found


@tool(
    "Find the previous prime before a whole number.",
    returns="The largest prime below the number.",
    number=integer("Number to start below.", 3, 100_000),
    ask=[
        "What is the previous prime before {number}?",
        "Find the previous prime below {number}.",
        "Which prime comes just before {number}?",
        "Going down from {number}, what is the previous prime?",
    ],
    held=[
        "Count downward under {number} until you meet the previous prime.",
        "Name the previous prime in line under {number}.",
    ],
)
def previous_prime(number):
    found = _limited(number, 3) - 1
    while len(_factors(found)) != 1:
        found -= 1
    return found


@tool(
    "Count the divisors of a whole number.",
    returns="How many divisors the number has, 1 and itself included.",
    number=integer("Number to look at.", 1, 100_000),
    ask=[
        "How many divisors does {number} have?",
        "Count the divisors of {number}.",
        "Give the number of divisors of {number}.",
        "Tell me the count of all divisors {number} has.",
    ],
    held=[
        "By how many divisors can {number} be split evenly?",
        "I need a count: the divisors of {number}.",
    ],
)
def count_divisors(number):
    return len(_divisors(number))


@tool(
    "Add up the divisors of a whole number.",
    returns="The sum of the divisors, with or without the number itself.",
    number=integer("Number to look at.", 1, 100_000),
    proper=flag("Leave the number itself out."),
    ask=[
        "What is the sum of the divisors of {number}?",
        "Add up all divisors of {number}.",
        "Find the total of the divisors that {number} has.",
        ("What is the sum of the proper divisors of {number}?", {"proper": True}),
        ("Add up only the proper divisors of {number}.", {"proper": True}),
    ],
    held=[
        "If I add together the divisors of {number}, what sum comes out?",
        ("Take the proper divisors of {number} and give me their sum.", {"proper": True}),
    ],
)
def sum_divisors(number, proper=False):
    return sum(_divisors(number)) - (number if proper else 0)


@tool(
    "Add up the decimal digits of a whole number.",
    returns="The digit sum, or with `repeat` the one digit it comes down to.",
    number=integer("Number whose digits are added.", 0, 10_000_000),
    repeat=flag("Repeat until one digit is left."),
    ask=[
        "What is the sum of the digits of {number}?",
        "Add up the digits of {number}.",
        "Find the digit sum of {number}.",
        ("Add up the digits of {number} and repeat until one is left.", {"repeat": True}),
        ("Repeat the digit sum of {number} down to a single digit.", {"repeat": True}),
    ],
    held=[
        "When I add each digit in {number}, what do I get?",
        ("For {number}, repeat adding the digits to the very end.", {"repeat": True}),
    ],
)
def digit_sum(number, repeat=False):
    total = sum(map(int, str(_limited(number, 0, 10**15))))
    while repeat and total > 9:
        total = sum(map(int, str(total)))
    return total


@tool(
    "Find the remainder of a power divided by a modulus.",
    returns="The remainder, from 0 to the modulus less 1.",
    base=integer("Base of the power.", 0, 5000),
    exponent=integer("Exponent of the power.", 0, 2000),
    modulus=integer("Modulus to divide by.", 1, 5000),
    ask=[
        "What is {base} to the exponent {exponent} with modulus {modulus}?",
        "Raise base {base} to exponent {exponent} and reduce it by modulus {modulus}.",
        "With modulus {modulus}, compute the power of base {base} and exponent {exponent}.",
        "Find the remainder under modulus {modulus} of the power {base} with exponent {exponent}.",
    ],
    held=[
        "The base is {base}, the exponent {exponent}, the modulus {modulus}. What remains?",
        "Under modulus {modulus}, which remainder has exponent {exponent} on base {base}?",
    ],
)
def modular_power(base, exponent, modulus):
    limit = 10**12
    return pow(_limited(base, 0, limit), _limited(exponent, 0, limit), _limited(modulus, 1, limit))


@tool(
    "Count the steps of the Collatz rule until a number reaches 1.",
    returns="The number of Collatz steps.",
    number=integer("Number to start with.", 1, 100_000),
    ask=[
        "How many Collatz steps does {number} take to reach 1?",
        "Count the Collatz steps from {number}.",
        "Starting with {number}, how long is the Collatz run down to 1?",
        "Give the number of Collatz steps for {number}.",
    ],
    held=[
        "Follow the Collatz rule from {number}; after how many steps is it over?",
        "What count of steps does the Collatz game need for {number}?",
    ],
)
def collatz_steps(number):
    value, steps = _limited(number), 0
    while value != 1:
        value = 3 * value + 1 if value % 2 else value // 2
        steps += 1
    return steps


@tool(
    "Count the smaller numbers that are coprime to a whole number.",
    returns="Euler's totient of the number.",
    number=integer("Number to look at.", 2, 100_000),
    ask=[
        "How many smaller numbers are coprime to {number}?",
        "Count the numbers coprime to {number}.",
        "How many numbers up to {number} are coprime with it?",
        "Give the count of coprime numbers below {number}.",
    ],
    held=[
        "Of all numbers under {number}, how many are coprime to it?",
        "Which count of coprime values belongs to {number}?",
    ],
)
def count_coprimes(number):
    total = _limited(number, 2)
    for prime in set(_factors(number)):
        total -= total // prime
    return total
