"""Validators for codes, addresses, passwords, brackets and order."""

import re
from itertools import pairwise

from tool_corpora.kit import choice, flag, integer, integers, pattern, tool

_PAIRS = {")": "(", "]": "[", "}": "{"}


def _digits(text, *, last_may_be_x=False):
    plain = re.sub(r"[\s-]", "", text).upper()
    if not re.fullmatch(r"[0-9]{1,39}[0-9X]" if last_may_be_x else r"[0-9]{1,40}", plain):
        raise ValueError("only digits are allowed, at most 40")
    return [10 if c == "X" else int(c) for c in plain]


def _luhn(digits):
    """The Luhn sum of digits whose last one is the check digit."""
    doubled = [d * 2 for d in digits[-2::-2]]
    return sum(digits[-1::-2]) + sum(d - 9 if d > 9 else d for d in doubled)


def _isbn(digits):
    return sum(weight * d for weight, d in zip(range(10, 0, -1), digits, strict=False))


def _ean(digits):
    return sum(d * (3 if i % 2 == 0 else 1) for i, d in enumerate(digits))


def _code(length, checksum, modulus):
    """Draw digits of which about half have the right check digit."""

    def draw(rng):
        digits = [rng.randint(0, 9) for _ in range(length)]
        if rng.random() < 0.5:
            for last in range(10):
                digits[-1] = last
                if checksum(digits) % modulus == 0:
                    break
        return "".join(map(str, digits))

    return draw


def _seven(rng):
    return "".join(rng.choice("0123456789") for _ in range(7))


def _syllables(rng, low=2, high=3):
    return "".join(
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(low, high))
    )


def _email(rng):
    user, host = _syllables(rng), _syllables(rng)
    end = rng.choice(["com", "org", "net", "info"])
    shapes = [f"{user}@{host}.{end}"] * 3 + [f"{user}@{host}", f"{user}.{host}.{end}"]
    return rng.choice([*shapes, f"{user}@@{host}.{end}"])


def _mirror(rng):
    half = _syllables(rng, 1, 2)
    return half + half[-2::-1] if rng.random() < 0.5 else _syllables(rng, 2, 3)


def _brackets(rng):
    made = ""
    for _ in range(rng.randint(2, 3)):
        left, right = rng.choice(["()", "[]"])
        made = rng.choice([f"{left}{made}{right}", f"{made}{left}{rng.choice('abcxyz')}{right}"])
    if rng.random() < 0.4:
        cut = rng.randrange(len(made))
        made = made[:cut] + made[cut + 1 :]
    return made


def _secret(rng):
    made = _syllables(rng, 3, 4)
    made = made.capitalize() if rng.random() < 0.7 else made
    made += str(rng.randint(1, 999)) if rng.random() < 0.6 else ""
    return made + (rng.choice("!?#%+") if rng.random() < 0.5 else "")


@tool(
    "Check whether a card number passes the Luhn test. "
    "Catches typos in a complete credit card number by testing its checksum.",
    returns="True if the number passes.",
    digits=pattern("Digits of the card number.", _code(8, _luhn, 10), "79927398"),
    ask=[
        "Does {digits} pass the Luhn test?",
        "Check the card number {digits} with Luhn.",
        "Is {digits} a number that passes Luhn?",
        "Run the Luhn test on the card number {digits}.",
        "Luhn test for {digits}, please.",
        "Could {digits} be a genuine card number as far as the Luhn checksum goes?",
        "Verify the credit card number {digits} via the mod 10 check.",
        "A customer gave us {digits} as a card number. Is its checksum right?",
        "Is the Luhn checksum of {digits} correct?",
        "Card {digits}: valid by Luhn or not?",
        "Tell me whether {digits} fails or satisfies the Luhn algorithm.",
        "Did I mistype my card number {digits}? Use Luhn's formula to see.",
        "Please validate {digits} as a payment card number with the modulus 10 method.",
        "Would a shop's Luhn verification accept {digits}?",
        "Put the number {digits} through a Luhn validation and report yes or no.",
    ],
    held=[
        "I typed the card number {digits}. Will it pass a Luhn test?",
        "Tell me if Luhn accepts {digits} or not, does it pass?",
    ],
)
def passes_luhn_test(digits):
    found = _digits(digits)
    return len(found) > 1 and _luhn(found) % 10 == 0


@tool(
    "Compute the Luhn check digit to put after some digits. "
    "Supplies the missing last digit that completes a new card or account number.",
    returns="The check digit from 0 to 9.",
    digits=pattern("Digits without the check digit.", _seven, "7992739"),
    ask=[
        "Which Luhn check digit comes after {digits}?",
        "Compute the check digit by Luhn for {digits}.",
        "I need a Luhn check digit to append to {digits}.",
        "What check digit completes {digits} under Luhn?",
        "For the digits {digits}, give the Luhn check digit.",
        "Our customer number is {digits}, still lacking its final Luhn digit. Which one is it?",
        "Work out the last digit that makes {digits} valid according to the Luhn formula.",
        "Luhn check digit for {digits}?",
        "Which single digit must be added behind {digits} so the mod 10 algorithm accepts it?",
        "Calculate a mod-10 checksum digit for the sequence {digits}.",
        "I'm generating card numbers: the payload is {digits}, what control digit follows?",
        "Determine the Luhn control digit belonging to {digits}.",
        "Append what to {digits} to satisfy Luhn?",
        "Please find the missing checksum digit at the end of {digits}, using Luhn's method.",
        "Given {digits} without its verification digit, tell me that digit (Luhn).",
    ],
    held=[
        "The card starts with {digits}. What must its Luhn check digit be?",
        "Find the check digit that Luhn puts behind {digits}.",
    ],
)
def luhn_check_digit(digits):
    return -_luhn([*_digits(digits), 0]) % 10


@tool(
    "Check whether a book number is a valid ISBN of ten digits. "
    "Librarians and booksellers catch a mistyped code from the back of a paperback.",
    returns="True if the ISBN is valid.",
    isbn=pattern("The ISBN to check.", _code(10, _isbn, 11), "0306406152"),
    ask=[
        "Is {isbn} a valid ISBN?",
        "Check the book number {isbn} as an ISBN.",
        "Does the ISBN {isbn} have a valid last digit?",
        "Tell me if the ISBN {isbn} is valid.",
        "Validate ISBN {isbn} for my book list.",
    ],
    held=[
        "The back of the book says ISBN {isbn}. Can that be valid?",
        "I doubt this ISBN: {isbn}. Is it a valid one?",
    ],
)
def valid_book_isbn(isbn):
    found = _digits(isbn, last_may_be_x=True)
    return len(found) == 10 and _isbn(found) % 11 == 0


@tool(
    "Check whether the barcode of a product is a valid EAN. "
    "Tests the checksum of the short code under the stripes on groceries and shop goods.",
    returns="True if the barcode is valid.",
    barcode=pattern("Eight digits of the barcode.", _code(8, _ean, 10), "73513537"),
    ask=[
        "Is {barcode} a valid product barcode?",
        "Check the EAN barcode {barcode}.",
        "Does the barcode {barcode} of this product check out?",
        "Tell me if the EAN {barcode} is valid.",
        "Validate barcode {barcode} for a product label.",
        "The scanner read {barcode} off a package. Is that a correct EAN code?",
        "Eight-digit EAN {barcode}: genuine or faulty?",
        "Verify the product code {barcode} printed beneath the bars.",
        "Could {barcode} be a real EAN number on an article?",
        "Is the check digit of the product barcode {barcode} right?",
        "I copied {barcode} from the back of a cereal box; does this EAN hold up?",
        "Please test whether {barcode} is a properly formed article barcode.",
        "Would a supermarket till accept the barcode {barcode} as valid?",
        "Did I type the EAN {barcode} wrong, or is it fine?",
        "See if the eight-digit goods code {barcode} has a correct checksum.",
    ],
    held=[
        "The scanner read the barcode {barcode}. Is it a valid EAN?",
        "Can a product carry {barcode} as its barcode?",
    ],
)
def valid_product_barcode(barcode):
    found = _digits(barcode)
    return len(found) == 8 and _ean(found) % 10 == 0


@tool(
    "Check whether a text has the shape of an email address. "
    "Form validation that catches a mistyped mail address, without sending any message to it.",
    returns="True if it looks like an email address.",
    address=pattern("Address to check.", _email, "anna@mail.com"),
    ask=[
        "Is {address} an email address?",
        "Check the email address {address}.",
        "Does {address} look like an email address?",
        'Someone signed up with "{address}". Is the email well formed?',
        'Could "{address}" be used as an email address?',
    ],
    held=[
        'Tell me whether the email "{address}" has a proper shape.',
        "I want to send an email to {address}. Is that address written right?",
    ],
)
def looks_like_email(address):
    shape = r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
    return len(address) <= 254 and re.fullmatch(shape, address) is not None


@tool(
    "Check whether a text is a palindrome that reads the same backwards. "
    "For words, names or phrases that may be the same forwards and in reverse.",
    returns="True if it is a palindrome.",
    phrase=pattern("Text to check.", _mirror, "level"),
    strict=flag("Whether capitals and spaces count."),
    ask=[
        'Is the text "{phrase}" a palindrome?',
        'Check whether "{phrase}" reads the same backwards.',
        'Does the text "{phrase}" form a palindrome?',
        ('Is "{phrase}" a palindrome under strict rules?', {"strict": True}),
        ('Do a strict palindrome check of "{phrase}".', {"strict": True}),
    ],
    held=[
        'Read "{phrase}" backwards. Do we get the same, a palindrome?',
        'I think "{phrase}" might be a palindrome; am I right?',
        ('Strictly, would you call "{phrase}" a palindrome?', {"strict": True}),
    ],
)
def is_palindrome_text(phrase, strict=False):
    plain = phrase if strict else "".join(c for c in phrase.lower() if c.isalnum())
    return plain == plain[::-1]


@tool(
    "Check whether the brackets in an expression are balanced. "
    "Spots a missing or misplaced parenthesis, square bracket or brace in code or a formula.",
    returns="True if every bracket is closed in the right order.",
    expression=pattern("Expression with brackets.", _brackets, "([a]b)"),
    ask=[
        'Are the brackets in "{expression}" balanced?',
        'Check the expression "{expression}" for balanced brackets.',
        'Does "{expression}" close all its brackets?',
        'Is "{expression}" balanced as to brackets?',
        'Find out if the brackets of "{expression}" match.',
        'I typed "{expression}"; did I forget a closing bracket anywhere?',
        'Do the opening and closing parentheses pair up properly in "{expression}"?',
        'Verify that every bracket of "{expression}" has its partner.',
        '"{expression}" - are all brackets nested correctly?',
        'Is there an unmatched bracket somewhere in "{expression}"?',
        'Look at the formula "{expression}" and say whether its parentheses are well formed.',
        'My parser chokes on "{expression}". Is the bracketing OK?',
        'Please test if the bracket structure in "{expression}" is sound.',
        'Does each bracket that opens in "{expression}" get shut in the proper sequence?',
        'Bracket check needed, input expression "{expression}".',
    ],
    held=[
        'I wrote the expression "{expression}". Did I balance the brackets?',
        'Is there a bracket left open in "{expression}", or is it balanced?',
    ],
)
def balanced_brackets(expression):
    open_ones = []
    for sign in expression:
        if sign in "([{":
            open_ones.append(sign)
        elif sign in _PAIRS and (not open_ones or open_ones.pop() != _PAIRS[sign]):
            return False
    return not open_ones


@tool(
    "Rate how strong a password is. "
    "Judges if a passphrase or login secret is safe enough or too easy to guess.",
    returns="One of weak, fair and strong.",
    password=pattern("Password to rate.", _secret, "Kolane42!"),
    shortest=integer("Shortest length that is not weak.", 6, 11, default=8),
    ask=[
        'How strong is the password "{password}"?',
        'Please rate the password "{password}".',
        'Is the password "{password}" strong if the shortest length is {shortest}?',
        'With {shortest} as shortest length, rate "{password}" as a password.',
        'Would you call "{password}" a strong password?',
        'I plan to log in using "{password}"; is that secure enough?',
        'Assess the security of "{password}" as a login password.',
        (
            "Anything below {shortest} characters counts as weak. How good is my password "
            '"{password}"?'
        ),
        'Weak, fair or strong: which applies to the passphrase "{password}"?',
        'Grade "{password}" for password safety, with a minimum length of {shortest}.',
        (
            "Our policy demands at least {shortest} characters; judge the password "
            '"{password}" by it.'
        ),
        'Could a hacker easily guess the password "{password}"? Give me a rating.',
        'Evaluate how safe "{password}" would be as my new password.',
        'Password "{password}", minimum {shortest} characters - strength?',
        (
            'What strength does the secret "{password}" reach when passwords shorter than '
            "{shortest} are considered weak?"
        ),
    ],
    held=[
        'I want to use "{password}" as my password. Is it strong enough?',
        'Our shortest password length is {shortest}. How strong is "{password}" then?',
        'Give a rating for password "{password}" where {shortest} is the shortest length.',
    ],
)
def password_strength(password, shortest=8):
    if len(password) < shortest:
        return "weak"
    kinds = [r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"]
    found = sum(re.search(kind, password) is not None for kind in kinds)
    return "strong" if found == 4 else "fair" if found >= 2 else "weak"


@tool(
    "Check whether numbers stand in rising or falling order. "
    "Says if a list is already sorted, ascending or descending, without sorting it.",
    returns="True if the numbers are in that order.",
    numbers=integers("Numbers to check.", 1, 99, 2, 4),
    order=choice("Order to check for.", ["rising", "falling"], default="rising"),
    ask=[
        "Are the numbers {numbers} in {order} order?",
        "Check if {numbers} stand in order.",
        "Do the numbers {numbers} form a {order} row?",
        "Is the order of {numbers} {order}?",
        "Are {numbers} already in order?",
        "Is the list {numbers} sorted from smallest to largest?",
        (
            "Does the sequence {numbers} go down all the way?",
            {"order": "falling"},
        ),
        (
            "Here are my readings: {numbers}. Are they ascending?",
            {"order": "rising"},
        ),
        (
            "Verify that {numbers} is arranged in descending order.",
            {"order": "falling"},
        ),
        "Tell me whether these values are {order}: {numbers}.",
        "I want to know whether {numbers} is sorted already, lowest first.",
        (
            "Highest first, lowest last: does that hold for {numbers}?",
            {"order": "falling"},
        ),
        "Test for a {order} sequence in {numbers}, please.",
        "Have I sorted {numbers} correctly, in increasing order?",
        (
            "The prices were {numbers}; did they keep dropping?",
            {"order": "falling"},
        ),
    ],
    held=[
        "I lined up the numbers {numbers}. Is that {order} order?",
        "Tell me whether the order is {order} in {numbers}.",
        "Check that the numbers {numbers} are in the right order.",
    ],
)
def numbers_in_order(numbers, order="rising"):
    steps = list(pairwise(numbers))
    return all(a <= b if order == "rising" else a >= b for a, b in steps)
