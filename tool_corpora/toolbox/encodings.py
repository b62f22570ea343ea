"""Codes and ciphers: base64, hexadecimal, Morse, Roman numerals, letter shifts."""

import base64
from random import Random

from tool_corpora.kit import flag, integer, pattern, text, tool, word

_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- "
        "...- .-- -..- -.-- --..".split(),
        strict=True,
    )
)
_LETTERS = {code: letter for letter, code in _MORSE.items()}
_ROMAN = dict(
    zip(
        "M CM D CD C XC L XL X IX V IV I".split(),
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        strict=True,
    )
)


def _drawn_word(rng: Random) -> str:
    pairs = rng.choice((2, 3, 3))
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(pairs))


def _base64(plain):
    return base64.b64encode(plain.encode()).decode()


def _roman(number):
    parts = []
    for sign, value in _ROMAN.items():
        parts.append(sign * (number // value))
        number %= value
    return "".join(parts)


def _morse(plain):
    return " ".join(_MORSE[letter] for letter in plain.lower() if letter in _MORSE)


def _moved(plain, shifts):
    """The text with its letters moved along the alphabet, cycling through `shifts`."""
    moved, place = [], 0
    for sign in plain:
        if sign.isascii() and sign.isalpha():
            first = ord("a" if sign.islower() else "A")
            sign = chr((ord(sign) - first + shifts[place % len(shifts)]) % 26 + first)
            place += 1
        moved.append(sign)
    return "".join(moved)


@tool(
    "Encode a text into its base64 code. "
    "Packs a message or string safely for email, a data link or a web header.",
    returns="The base64 code.",
    text=text("Text to encode.", 1, 2),
    bare=flag("Leave out the equals signs at the end."),
    ask=[
        'Encode the text "{text}" as base64.',
        'What is the base64 encoding of "{text}"?',
        'Write "{text}" in base64 for me.',
        ('Encode "{text}" as bare base64.', {"bare": True}),
        ('Give the bare base64 encoding of "{text}".', {"bare": True}),
    ],
    held=[
        'How does "{text}" look once encoded with base64?',
        ('I need "{text}" encoded in base64, bare.', {"bare": True}),
    ],
)
def encode_base64(text, bare=False):
    code = _base64(text)
    return code.rstrip("=") if bare else code


@tool(
    "Decode a base64 code back into text. "
    "Unpacks an encoded string, such as one from an email, token or URL, to read it.",
    returns="The decoded text.",
    code=pattern("Base64 code.", lambda r: _base64(_drawn_word(r)), "bWVsb24="),
    ask=[
        'Decode "{code}" from its base64 form.',
        'What text does the base64 code "{code}" decode to?',
        'Read the base64 code "{code}".',
        'Turn "{code}" from base64 back into text.',
        'Somebody sent me "{code}", which looks like base64. What does it say?',
        'Convert the base64 string "{code}" to plain text.',
        'Base64 decode needed, input "{code}".',
        'What message is hidden in the base64 data "{code}"?',
        'Please unpack "{code}"; it was encoded with base64.',
        'I need the original words behind the base64 sequence "{code}".',
        'Which readable text lies behind "{code}" once base64 is undone?',
        'Reverse the base64 encoding of "{code}".',
        'Could you make the base64 token "{code}" legible for me?',
        'There\'s a base64 value "{code}" in my config file. Show it in clear text.',
    ],
    held=[
        'Someone sent me "{code}" in base64; decode it.',
        'Which words are hidden in the base64 "{code}" when decoded?',
    ],
)
def decode_base64(code):
    return base64.b64decode(code + "=" * (-len(code) % 4), validate=True).decode()


@tool(
    "Encode a word as hexadecimal character codes. "
    "Shows the bytes behind the letters of a word in hex, as in a dump.",
    returns="Two hexadecimal digits for each byte.",
    word=word("Word to encode."),
    upper=flag("Use upper-case digits."),
    ask=[
        'Encode the word "{word}" as hexadecimal.',
        'What is the hexadecimal encoding of the word "{word}"?',
        'Write the word "{word}" in hexadecimal.',
        ('Encode "{word}" as upper case hexadecimal.', {"upper": True}),
        ('In upper case, give the hexadecimal encoding of "{word}".', {"upper": True}),
        'Convert "{word}" into hex codes, character by character.',
        'Which hex bytes represent "{word}"?',
        (
            'Show me the hex dump of "{word}", letters A to F capitalised.',
            {"upper": True},
        ),
        'How does "{word}" look when each letter is replaced by its hexadecimal code?',
        (
            'Translate "{word}" to hex using capital letters for the digits.',
            {"upper": True},
        ),
        'I need "{word}" spelled out as hexadecimal bytes.',
        (
            'Hex of "{word}", in capitals, please.',
            {"upper": True},
        ),
        'Could you turn the string "{word}" into base 16 character codes?',
        'For a debugging note, represent "{word}" by its character codes in base 16.',
        (
            'My tool only accepts uppercase hex. What should I enter for "{word}"?',
            {"upper": True},
        ),
    ],
    held=[
        'How does the word "{word}" look once encoded with hexadecimal?',
        ('I need "{word}" encoded in hexadecimal, upper case.', {"upper": True}),
    ],
)
def encode_hexadecimal(word, upper=False):
    code = word.encode().hex()
    return code.upper() if upper else code


@tool(
    "Decode hexadecimal character codes back into text. "
    "Makes a hex dump readable, turning pairs of hex digits into the letters they represent.",
    returns="The decoded text.",
    code=pattern("Hexadecimal code.", lambda r: _drawn_word(r).encode().hex(), "6d656c6f6e"),
    ask=[
        'Decode "{code}" from its hexadecimal form.',
        'What text does the hexadecimal code "{code}" decode to?',
        'Read the hexadecimal code "{code}".',
        'Turn "{code}" from hexadecimal back into text.',
    ],
    held=[
        'Someone sent me "{code}" in hexadecimal; decode it.',
        'Which word is hidden in the hexadecimal "{code}" when decoded?',
    ],
)
def decode_hexadecimal(code):
    return bytes.fromhex(code).decode()


@tool(
    "Encrypt a text by shifting its letters forward in the alphabet. "
    "Makes a secret message in Caesar cipher, replacing each letter by a later one.",
    returns="The encrypted text.",
    text=text("Text to encrypt.", 1, 3),
    shift=integer("How far letters are shifted.", 0, 25, default=3),
    ask=[
        'Encrypt "{text}" by shifting its letters.',
        'Encrypt "{text}" with a shift of {shift}.',
        'Shift each letter of "{text}" forward by {shift} to encrypt it.',
        'With a letter shift of {shift}, what is "{text}" encrypted?',
        'What does "{text}" become in encrypted, letter-shifted form?',
        'Put "{text}" into Caesar cipher.',
        (
            'Make a secret message of "{text}" by moving all letters {shift} places on in '
            "the alphabet."
        ),
        'Caesar encode "{text}", offset {shift}.',
        'I\'d like to hide the note "{text}" with a simple Caesar code.',
        'How does "{text}" read once it\'s been enciphered the Caesar way?',
        'Using a displacement of {shift} letters, scramble "{text}" so nobody can read it.',
        'Replace each letter by the one {shift} further along, for the message "{text}".',
        'Disguise "{text}" as Julius Caesar would have done.',
        'What\'s the ciphertext for "{text}" if the alphabet is advanced by {shift}?',
        'Please code "{text}" by pushing its letters ahead in the alphabet.',
    ],
    held=[
        'Make a secret of "{text}": encrypt it by a shift of {shift}.',
        'Please encrypt the message "{text}" with shifted letters.',
        'Using shift {shift}, how is the message "{text}" encrypted?',
    ],
)
def shift_encrypt(text, shift=3):
    return _moved(text, [shift])


@tool(
    "Decrypt a text by shifting its letters back in the alphabet. "
    "Cracks open a secret message in Caesar cipher when the shift is known.",
    returns="The decrypted text.",
    text=text("Text to decrypt.", 1, 3),
    shift=integer("How far letters were shifted.", 0, 25, default=3),
    ask=[
        'Decrypt "{text}" by shifting its letters back.',
        'Decrypt "{text}" with a shift of {shift}.',
        'Shift each letter of "{text}" back by {shift} to decrypt it.',
        'With a letter shift of {shift}, what is "{text}" decrypted?',
        'What does the letter-shifted text "{text}" become when decrypted?',
        'Crack this Caesar cipher for me: "{text}".',
        (
            'The secret note reads "{text}" and every letter was moved {shift} places. What '
            "is the original?"
        ),
        'Undo the Caesar shift of {shift} in "{text}".',
        'Recover the plain message from the Caesar text "{text}".',
        (
            "Every letter was pushed along by {shift}; please restore the readable version of "
            '"{text}".'
        ),
        'My friend wrote "{text}" in Caesar code. What did she want to say?',
        'Caesar decode "{text}", offset {shift}.',
        'Move the letters in "{text}" backwards through the alphabet so I can read the message.',
        'Knowing the alphabet was displaced by {shift}, can you decipher "{text}"?',
        'Which plain sentence is concealed in the Caesar-enciphered "{text}"?',
    ],
    held=[
        'Undo the secret "{text}": decrypt it by a shift of {shift}.',
        'Please decrypt the message "{text}" with letters shifted back.',
        'Using shift {shift}, how is the message "{text}" decrypted?',
    ],
)
def shift_decrypt(text, shift=3):
    return _moved(text, [-shift])


@tool(
    "Encrypt or decrypt a text with a Vigenere key word. "
    "Keeps a message secret, or unlocks one, by a password rather than one fixed Caesar shift.",
    returns="The text with its letters moved by the letters of the key.",
    text=text("Text to change.", 1, 3),
    key=word("Key word of the cipher."),
    undo=flag("Decrypt instead of encrypt."),
    ask=[
        'Apply the Vigenere key "{key}" to "{text}".',
        'Encrypt "{text}" with the Vigenere cipher and the key "{key}".',
        'What is "{text}" under the Vigenere key "{key}"?',
        ('Undo the Vigenere cipher on "{text}" with the key "{key}".', {"undo": True}),
        ('With the key "{key}", undo Vigenere on the text "{text}".', {"undo": True}),
        'Scramble the message "{text}" the Vigenere way; our secret word is "{key}".',
        (
            'I received "{text}", encrypted by Vigenere with the key "{key}". What does it say?',
            {"undo": True},
        ),
        'Using the keyword "{key}", encipher "{text}" in Vigenere.',
        (
            'Decode the Vigenere message "{text}"; the keyword is "{key}".',
            {"undo": True},
        ),
        'Our password is "{key}". Turn the sentence "{text}" into Vigenere ciphertext.',
        (
            'Which plain text hides behind "{text}", given that "{key}" was the Vigenere key word?',
            {"undo": True},
        ),
        'Vigenere, key "{key}", plain text "{text}": show the ciphertext.',
        'How would "{text}" look after a Vigenere encryption keyed by "{key}"?',
        (
            'Please decipher "{text}", a Vigenere cryptogram made using "{key}".',
            {"undo": True},
        ),
        'Hide "{text}" from curious eyes with a Vigenere code based on "{key}".',
    ],
    held=[
        'My key is "{key}"; run Vigenere over "{text}".',
        ('I got "{text}" in Vigenere with key "{key}"; undo it.', {"undo": True}),
    ],
)
def vigenere_cipher(text, key, undo=False):
    shifts = [ord(letter) - 97 for letter in key.lower() if "a" <= letter <= "z"]
    if not shifts:
        raise ValueError("the key needs at least one letter")
    return _moved(text, [-shift for shift in shifts] if undo else shifts)


@tool(
    "Write a word in Morse code, as dots and dashes. "
    "Turns plain letters into telegraph signals to tap, beep or flash with a lamp.",
    returns="Dots and dashes, a blank between letters.",
    word=pattern("Word to write.", _drawn_word, "melon"),
    ask=[
        'Write "{word}" in Morse code.',
        'What is the Morse code for "{word}"?',
        'Translate the word "{word}" to Morse.',
        'In Morse, how do I send "{word}"?',
        'Spell "{word}" with dots and dashes.',
        'I have to tap out "{word}" on a telegraph key; which signals do I give?',
        'Convert "{word}" to Morse signals, please.',
        'How would a radio operator transmit "{word}" in dots and dashes?',
        'Morse signals that stand for "{word}"?',
        'Show me the sequence of shorts and longs in Morse that means "{word}".',
        'Could you put "{word}" into the Morse alphabet for me?',
        'If I flash "{word}" with a torch in Morse, what\'s the pattern?',
        'Encode the word "{word}" the way old telegraphers did, in Morse.',
        'My scout badge requires "{word}" in Morse code. What should I write down?',
    ],
    held=[
        'Tap out the word "{word}" as Morse for me.',
        'Which Morse dots and dashes spell "{word}"?',
    ],
)
def write_morse(word):
    return _morse(word)


@tool(
    "Read dots and dashes of Morse code as letters. "
    "Deciphers telegraph beeps or flashes, such as an SOS, into plain letters.",
    returns="The word in lower case.",
    signal=pattern(
        "Morse letters with a blank between.", lambda r: _morse(_drawn_word(r)[:4]), "-- . .-."
    ),
    ask=[
        'Read the Morse signal "{signal}".',
        'What word is the Morse signal "{signal}"?',
        'Translate "{signal}" from Morse to letters.',
        'Which letters does "{signal}" stand for in Morse?',
    ],
    held=[
        'I heard the Morse signal "{signal}"; what does it say?',
        'Make letters out of the Morse dots and dashes "{signal}".',
    ],
)
def read_morse(signal):
    if not all(code in _LETTERS for code in signal.split()):
        raise ValueError("the signal holds something that is no Morse letter")
    return "".join(_LETTERS[code] for code in signal.split())


@tool(
    "Write a whole number as a Roman numeral. "
    "Puts a year, chapter or ruler number into letters such as I, V, X and M.",
    returns="The Roman numeral in capitals.",
    number=integer("Number to write.", 1, 3999),
    ask=[
        "Write {number} as a Roman numeral.",
        "What is {number} in Roman numerals?",
        "Convert the number {number} to a Roman numeral.",
        "How did the Romans write {number} as a numeral?",
        "I want {number} engraved in Roman style. Which letters do I need?",
        "Translate {number} into Roman figures.",
        "How do you spell {number} using I, V, X, L, C, D and M?",
        "Roman numeral form of {number}?",
        "Give the Latin numeral equivalent to {number}.",
        "My book has a chapter {number}; show its heading number in Roman letters.",
        "Express the integer {number} the way ancient Romans would.",
        "What would appear on a Roman monument for the number {number}?",
        "Please render {number} in Roman notation.",
        "Tattoo idea: {number} in Roman numerals. What does that look like?",
    ],
    held=[
        "On a clock face with Roman numerals, what stands for {number}?",
        "I want the number {number} put into Roman form.",
    ],
)
def write_roman(number):
    if not 1 <= number <= 3999:
        raise ValueError("Roman numerals go from 1 to 3999")
    return _roman(number)


@tool(
    "Read a Roman numeral as a whole number. "
    "Makes sense of numerals such as XIV on clocks, monuments, chapters and film credits.",
    returns="The value of the numeral.",
    numeral=pattern("Roman numeral.", lambda r: _roman(r.randint(1, 3999)), "XIV"),
    ask=[
        "Read the Roman numeral {numeral}.",
        "What value has the Roman numeral {numeral}?",
        "Convert {numeral} from Roman to a number.",
        "Which whole number is {numeral} in Roman numerals?",
        "The clock tower bears the inscription {numeral}. What number is that?",
        "How much is {numeral} in ordinary digits?",
        "Translate the Roman figure {numeral} to Arabic digits.",
        "What does {numeral} stand for in the Roman system?",
        "{numeral} is carved on a stone; which number did the Romans mean?",
        "Please decipher the old Latin numeral {numeral}.",
        "Decimal value of Roman {numeral}?",
        "I can't make sense of chapter {numeral}. Give me its number in normal figures.",
        "Express {numeral}, a Roman numeral, as an integer.",
        "If a film's credits end with {numeral}, what is that as a modern number?",
    ],
    held=[
        "The stone shows the Roman numeral {numeral}; what year is that?",
        "Tell me the value behind Roman {numeral}.",
    ],
)
def read_roman(numeral):
    signs = numeral.upper()
    values = [_ROMAN.get(sign, 0) for sign in signs]
    pairs = zip(values, [*values[1:], 0], strict=True)
    total = sum(-now if now < after else now for now, after in pairs)
    if not 1 <= total <= 3999 or _roman(total) != signs:
        raise ValueError("that is not a Roman numeral")
    return total
