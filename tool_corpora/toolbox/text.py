"""Texts and words: reversing, shortening, padding, comparing."""

from tool_corpora.kit import choice, flag, integer, pattern, text, tool, word

_VOWELS = frozenset("aeiouAEIOU")


def _words(phrase):
    """The words of a text that must have at least one."""
    found = phrase.split()
    if not found:
        raise ValueError("the text has no words")
    return found


@tool(
    "Reverse all letters of a text, so that it reads backwards.",
    returns="The text with its letters in reverse.",
    text=text("Text whose letters are reversed.", 2, 3),
    ask=[
        'Reverse the letters of "{text}".',
        'Spell "{text}" backwards, letter by letter.',
        'What does "{text}" look like with all letters reversed?',
        'Write the text "{text}" with its letters from back to front.',
        'Turn "{text}" around letter by letter.',
    ],
    held=[
        'How is "{text}" spelled when the letters go backwards?',
        'I want every letter of "{text}" in reverse.',
    ],
)
def reverse_letters(text):
    return text[::-1]


@tool(
    "Reverse the order of the words in a text.",
    returns="The text with its words in reverse order.",
    text=text("Text whose words are reversed.", 2, 4),
    ask=[
        'Reverse the word order of "{text}".',
        'Put the words of "{text}" in reverse order.',
        'What is "{text}" with the last word first and the first word last?',
        'Write "{text}" with its words from back to front.',
        'Turn the order of the words around in "{text}".',
    ],
    held=[
        'How does "{text}" read when the words come in opposite order?',
        'Keep each word, but reverse the order of words in "{text}".',
    ],
)
def reverse_word_order(text):
    return " ".join(reversed(text.split()))


@tool(
    "Find the longest word of a text.",
    returns="The longest word, the first of equals.",
    text=text("Text to search.", 3, 4),
    ask=[
        'What is the longest word in "{text}"?',
        'Find the longest word of "{text}".',
        'Which word of the text "{text}" is longest?',
        'From "{text}", pick the longest word.',
    ],
    held=[
        'Among the words of "{text}", name the longest.',
        'In "{text}", the longest of all words is which one?',
    ],
)
def longest_word_in(text):
    return max(_words(text), key=len)


@tool(
    "Find the shortest word of a text.",
    returns="The shortest word, the first of equals.",
    text=text("Text to search.", 3, 4),
    ask=[
        'What is the shortest word in "{text}"?',
        'Find the shortest word of "{text}".',
        'Which word of the text "{text}" is shortest?',
        'From "{text}", pick the shortest word.',
    ],
    held=[
        'Among the words of "{text}", name the shortest.',
        'In "{text}", the shortest of all words is which one?',
    ],
)
def shortest_word_in(text):
    return min(_words(text), key=len)


@tool(
    "Count the vowels of a text.",
    returns="The number of vowels a, e, i, o and u.",
    text=text("Text to count in.", 1, 4),
    ask=[
        'How many vowels are in "{text}"?',
        'Count the vowels of "{text}".',
        'Tell me the number of vowels in the text "{text}".',
        'In "{text}", how many letters are vowels?',
        'Give a count of all vowels that "{text}" contains.',
    ],
    held=[
        'Go through "{text}" and count each vowel.',
        'What number of vowels does one meet in "{text}"?',
    ],
)
def count_vowels(text):
    return sum(letter in _VOWELS for letter in text)


@tool(
    "Remove all vowels from a text.",
    returns="The text without the vowels a, e, i, o and u.",
    text=text("Text to remove from.", 1, 4),
    ask=[
        'Remove the vowels from "{text}".',
        'Write "{text}" without any vowels.',
        'What is left of "{text}" when all vowels are removed?',
        'Drop every vowel of the text "{text}".',
        'Strip "{text}" of its vowels.',
    ],
    held=[
        'Take the vowels out of "{text}" and show the rest.',
        'How does "{text}" look once no vowel remains?',
    ],
)
def remove_vowels(text):
    return "".join(letter for letter in text if letter not in _VOWELS)


@tool(
    "Join the words of a text into one identifier in a naming case.",
    returns="The identifier in that case.",
    text=text("Words to join.", 2, 3),
    style=choice("Naming case.", ["camel", "pascal", "snake", "kebab"]),
    ask=[
        'Write "{text}" in {style} case.',
        'Convert "{text}" to a {style} case identifier.',
        'What is "{text}" as a {style} case name?',
        'Make a {style} case identifier of the words "{text}".',
        'In {style} case, how is "{text}" written?',
    ],
    held=[
        'I need the variable "{text}" named in {style} case.',
        'Use {style} case to join "{text}" into an identifier.',
        'Our code style wants {style} case; apply it to "{text}".',
    ],
)
def join_naming_case(text, style):
    parts = [part.lower() for part in _words(text)]
    if style in ("snake", "kebab"):
        return ("_" if style == "snake" else "-").join(parts)
    joined = "".join(part.capitalize() for part in parts)
    return joined if style == "pascal" else parts[0] + joined[len(parts[0]) :]


@tool(
    "Pad a word to a width with a fill sign on one side.",
    returns="The padded word; a longer word stays as it is.",
    word=word("Word to pad."),
    width=integer("Width to reach.", 10, 32),
    side=choice("Side that is padded.", ["left", "right", "both"], default="left"),
    fill=pattern("Sign to pad with.", lambda r: r.choice("*-_#+=.~:"), "*", default=" "),
    ask=[
        'Pad the word "{word}" to a width of {width}.',
        'Pad "{word}" on the {side} to a width of {width}.',
        'Make "{word}" {width} signs wide by padding with "{fill}".',
        'Fill up "{word}" with "{fill}" on the {side} until its width is {width}.',
        'With "{fill}" as fill, pad the word "{word}" to width {width}.',
    ],
    held=[
        'The column has width {width}; pad "{word}" on the {side}.',
        'I want "{word}" padded with "{fill}" so that its width is {width}.',
    ],
)
def pad_word(word, width, side="left", fill=" "):
    if len(fill) != 1 or width > 1000:
        raise ValueError("the fill must be one sign and the width at most 1000")
    if side == "both":
        return word.center(width, fill)
    return word.rjust(width, fill) if side == "left" else word.ljust(width, fill)


@tool(
    "Cut a text off after a number of letters.",
    returns="The beginning of the text, with at most that many letters (and the dots).",
    text=text("Text to cut.", 3, 4),
    limit=integer("Number of letters and blanks to keep.", 3, 24),
    dots=flag("Put three dots after a cut text."),
    ask=[
        'Cut "{text}" off after {limit} letters.',
        'Shorten the text "{text}" to {limit} letters.',
        'Keep only the first {limit} letters of "{text}".',
        ('Cut "{text}" after {limit} letters and put dots at the end.', {"dots": True}),
        ('With dots for what is missing, shorten "{text}" to {limit} letters.', {"dots": True}),
    ],
    held=[
        'The label holds {limit} letters; cut "{text}" to fit.',
        ('Show the first {limit} letters of "{text}" followed by dots.', {"dots": True}),
    ],
)
def truncate_text(text, limit, dots=False):
    if len(text) <= limit:
        return text
    return text[: max(limit, 0)] + ("..." if dots else "")


@tool(
    "Count the single-letter edits that turn one word into another.",
    returns="The edit distance (insertions, deletions and substitutions).",
    first=word("Word to start from."),
    second=word("Word to reach."),
    ask=[
        'What is the edit distance between "{first}" and "{second}"?',
        'How many edits turn the word "{first}" into "{second}"?',
        'Count the letter edits from "{first}" to "{second}".',
        'To reach "{second}" from "{first}", how many edits are needed?',
    ],
    held=[
        'Compare "{first}" with "{second}" by their edit distance.',
        'A typist changed "{first}" to "{second}". How many single edits was that?',
    ],
)
def edit_distance(first, second):
    if max(len(first), len(second)) > 100:
        raise ValueError("the words may have at most 100 letters")
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@tool(
    "Make an acronym of the first letters of a text's words.",
    returns="The acronym in capitals.",
    text=text("Text to make the acronym of.", 3, 5),
    dotted=flag("Put a dot after each letter."),
    ask=[
        'Make an acronym of "{text}".',
        'What is the acronym for "{text}"?',
        'Take the first letter of each word in "{text}" as an acronym.',
        ('Make a dotted acronym of "{text}".', {"dotted": True}),
        ('What acronym, dotted, does "{text}" have?', {"dotted": True}),
    ],
    held=[
        'Our club is called "{text}"; which acronym stands for it?',
        ('The initials of "{text}" as a dotted acronym, please.', {"dotted": True}),
    ],
)
def make_acronym(text, dotted=False):
    return "".join(part[0].upper() + ("." if dotted else "") for part in _words(text))
