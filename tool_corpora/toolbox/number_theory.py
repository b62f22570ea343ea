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
    "Find the greatest common divisor of two whole numbers. "
    "The GCD, also highest common factor (HCF), as needed when simplifying fractions.",
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
    "Find the least common multiple of two whole numbers. "
    "The LCM, for common denominators or finding when two repeating cycles coincide again.",
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
    "Split a whole number into its prime factors. "
    "Factorises an integer into the primes that multiply to it, with or without repetition.",
    returns="The prime factors, smallest first, repeated or each once.",
    number=integer("Number to split.", 2, 100_000),
    distinct=flag("List each prime factor only once."),
    ask=[
        "What are the prime factors of {number}?",
        "Split {number} into prime factors.",
        "Write {number} as a product of prime factors.",
        ("What are the distinct prime factors of {number}?", {"distinct": True}),
        ("List the prime factors of {number}, distinct ones only.", {"distinct": True}),
        "Factorise the integer {number} completely.",
        "Which primes multiplied together make {number}?",
        (
            "By which primes is {number} divisible? Name each a single time.",
            {"distinct": True},
        ),
        "Prime decomposition of {number}, please.",
        "Break {number} down until only primes are left.",
        (
            "I need the set of different primes that divide {number}, without repeats.",
            {"distinct": True},
        ),
        "Decompose {number}: what primes, with repeats, is it built from?",
        (
            "What unique primes go into {number}?",
            {"distinct": True},
        ),
        "Do the factorisation of {number} into primes for me.",
        (
            "Take {number} apart into primes and drop all duplicates.",
            {"distinct": True},
        ),
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
    "Find the next prime after a whole number. "
    "Looks upward for the closest prime number larger than the given one.",
    returns="The smallest prime above the number.",
    number=integer("Number to start above.", 0, 100_000),
    ask=[
        "What is the next prime after {number}?",
        "Find the next prime above {number}.",
        "Which prime comes next after {number}?",
        "Going up from {number}, what is the next prime?",
        "What is the smallest prime number greater than {number}?",
        "Counting upwards past {number}, where do I meet the first prime?",
        "First prime bigger than {number}, please.",
        "I am at {number} and look for the closest larger prime.",
        "Tell me which prime follows {number}.",
        "Search upward from {number} and stop at the earliest prime beyond it.",
        "Which number exceeding {number} is the lowest one divisible only by 1 and itself?",
        "My hash table needs a prime size just over {number}. What should I take?",
        "Give the least prime that is larger than {number}.",
        "After {number}, how far up is the following prime located? Name that prime.",
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
    "Find the previous prime before a whole number. "
    "Looks downward for the closest prime number smaller than the given one.",
    returns="The largest prime below the number.",
    number=integer("Number to start below.", 3, 100_000),
    ask=[
        "What is the previous prime before {number}?",
        "Find the previous prime below {number}.",
        "Which prime comes just before {number}?",
        "Going down from {number}, what is the previous prime?",
        "What is the largest prime number less than {number}?",
        "Counting downwards from {number}, where do I meet the first prime?",
        "Last prime smaller than {number}, please.",
        "I am at {number} and look for the closest lower prime.",
        "Tell me which prime precedes {number}.",
        "Search downward from {number} and stop as soon as a prime under it turns up.",
        "Which number below {number} is the highest one divisible only by 1 and itself?",
        "Give the greatest prime that is still under {number}.",
        (
            "Name the prime that comes right ahead of {number} on the number line, on the "
            "smaller side."
        ),
        (
            "My table must be of prime size but stay under {number}. What is the biggest "
            "possible size?"
        ),
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
    "Count the divisors of a whole number. "
    "Tells how many factors an integer has, that is, how many numbers divide it evenly.",
    returns="How many divisors the number has, 1 and itself included.",
    number=integer("Number to look at.", 1, 100_000),
    ask=[
        "How many divisors does {number} have?",
        "Count the divisors of {number}.",
        "Give the number of divisors of {number}.",
        "Tell me the count of all divisors {number} has.",
        "By how many whole numbers can {number} be divided without remainder?",
        "In how many ways can I share {number} sweets equally among some number of children?",
        "Total of factors that {number} possesses, 1 and itself included?",
        "How many integers go evenly into {number}?",
        "Determine the amount of positive factors of {number}.",
        "I wonder how many different numbers divide {number} exactly.",
        "Take {number} and say how many factors it has.",
        "tau({number}): find the divisor function's value.",
        "Work out what quantity of positive integers {number} is a multiple of.",
        "{number} has how many whole-number divisors altogether?",
    ],
    held=[
        "By how many divisors can {number} be split evenly?",
        "I need a count: the divisors of {number}.",
    ],
)
def count_divisors(number):
    return len(_divisors(number))


@tool(
    "Add up the divisors of a whole number. "
    "Totals all factors, or only the proper ones, to check for perfect or abundant numbers.",
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
    "Add up the decimal digits of a whole number. "
    "Sums up the figures of an integer, or reduces them to its digital root.",
    returns="The digit sum, or with `repeat` the one digit it comes down to.",
    number=integer("Number whose digits are added.", 0, 10_000_000),
    repeat=flag("Repeat until one digit is left."),
    ask=[
        "What is the sum of the digits of {number}?",
        "Add up the digits of {number}.",
        "Find the digit sum of {number}.",
        ("Add up the digits of {number} and repeat until one is left.", {"repeat": True}),
        ("Repeat the digit sum of {number} down to a single digit.", {"repeat": True}),
        "What do all digits of {number} make when totalled?",
        "Cross sum of {number}, please.",
        (
            "Find the digital root of {number}.",
            {"repeat": True},
        ),
        "Take {number} apart into its digits and give me their total.",
        (
            "Keep summing the digits of {number} until only one digit remains.",
            {"repeat": True},
        ),
        "If I add every single figure in {number} together, what do I get?",
        "The number on my ticket is {number}. How much do its figures come to in total?",
        (
            "Which one-digit number does {number} reduce to by adding its digits over and over?",
            {"repeat": True},
        ),
        "Calculate the total of the individual decimal figures in {number}.",
        (
            "Numerology says to boil {number} down to one figure by summing again and again. "
            "Which figure?",
            {"repeat": True},
        ),
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
    "Find the remainder of a power divided by a modulus. "
    "Modular exponentiation, as in RSA cryptography: raises a base to an exponent mod another "
    "number.",
    returns="The remainder, from 0 to the modulus less 1.",
    base=integer("Base of the power.", 0, 5000),
    exponent=integer("Exponent of the power.", 0, 2000),
    modulus=integer("Modulus to divide by.", 1, 5000),
    ask=[
        "What is {base} to the exponent {exponent} with modulus {modulus}?",
        "Raise base {base} to exponent {exponent} and reduce it by modulus {modulus}.",
        "With modulus {modulus}, compute the power of base {base} and exponent {exponent}.",
        "Find the remainder under modulus {modulus} of the power {base} with exponent {exponent}.",
        "What is left over when {base} raised to the power {exponent} is divided by {modulus}?",
        "Please compute {base}^{exponent} mod {modulus}.",
        (
            "Modulus {modulus}, exponent {exponent}, base {base}: result of the modular "
            "exponentiation?"
        ),
        "Divide by {modulus} the number {base} to the power of {exponent}. Which remainder stays?",
        (
            "For a cipher exercise I need base {base} with exponent {exponent}, taken modulo "
            "{modulus}."
        ),
        "Working modulo {modulus}, how much is {base} to the power {exponent}?",
        (
            "Exponent {exponent}, modulus {modulus}, base {base}. Please do the modular "
            "exponentiation."
        ),
        (
            "Exponentiate {base} by {exponent}, then give the rest that remains after "
            "dividing by {modulus}."
        ),
        (
            "Tell me the residue modulo {modulus} if the exponent is {exponent} and the base "
            "is {base}."
        ),
        (
            "The power has {exponent} as exponent and {base} as base. Find its rest on "
            "division by {modulus}."
        ),
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
    "Count the steps of the Collatz rule until a number reaches 1. "
    "Halve if even, else triple plus one: tells how long that hailstone sequence takes.",
    returns="The number of Collatz steps.",
    number=integer("Number to start with.", 1, 100_000),
    ask=[
        "How many Collatz steps does {number} take to reach 1?",
        "Count the Collatz steps from {number}.",
        "Starting with {number}, how long is the Collatz run down to 1?",
        "Give the number of Collatz steps for {number}.",
        "Halve if even, triple and add one if odd: how many moves bring {number} to 1?",
        "How long does the hailstone sequence of {number} last until it hits 1?",
        "Apply the 3n+1 rule to {number} and tell me after how many steps 1 shows up.",
        "3n+1 problem, starting value {number}, length of the run?",
        "I begin the Collatz game at {number}. After what number of turns do I arrive at one?",
        "Work out how often the Collatz rule must be applied before {number} becomes 1.",
        "What is the total stopping time of {number}?",
        "Let {number} go through the Collatz sequence; report the step count.",
        "For the start value {number}, determine the Collatz path length down to one.",
        "If {number} follows the hailstone rule, when is 1 reached, counted in steps?",
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
    "Count the smaller numbers that are coprime to a whole number. "
    "Euler's phi function: how many lower integers share no factor with the given one.",
    returns="Euler's totient of the number.",
    number=integer("Number to look at.", 2, 100_000),
    ask=[
        "How many smaller numbers are coprime to {number}?",
        "Count the numbers coprime to {number}.",
        "How many numbers up to {number} are coprime with it?",
        "Give the count of coprime numbers below {number}.",
        "What is Euler's phi of {number}?",
        "Compute the totient for {number}.",
        "How many positive integers not above {number} share no factor with it except 1?",
        "phi({number}), please: I need the value.",
        "Tell me how many smaller integers are relatively prime to {number}.",
        (
            "Take {number}. With how many of the numbers below it is the greatest common "
            "divisor just 1?"
        ),
        "Work out the value of Euler's totient function at {number}.",
        "How many fractions with denominator {number} between 0 and 1 cannot be reduced?",
        (
            "Find out the quantity of integers below {number} that have nothing in common "
            "with it but 1."
        ),
        "Relative primes to {number}, not exceeding it: what quantity?",
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
