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
    "Reverse all letters of a text, so that it reads backwards. "
    "Flips a word or string back to front, character by character, for instance to check "
    "palindromes.",
    returns="The text with its letters in reverse.",
    text=text("Text whose letters are reversed.", 2, 3),
    ask=[
        'Reverse the letters of "{text}".',
        'Spell "{text}" backwards, letter by letter.',
        'What does "{text}" look like with all letters reversed?',
        'Write the text "{text}" with its letters from back to front.',
        'Turn "{text}" around letter by letter.',
        'Mirror "{text}" so the final letter comes first.',
        'How do you write "{text}" backwards?',
        'Flip the characters in "{text}" end to end.',
        '"{text}" read from right to left, please',
        'If I read "{text}" from its last character to its first, what do I get?',
        'Can you show me the mirror spelling for "{text}"?',
        'I\'d like to check for a palindrome, so give me "{text}" with the characters reversed.',
        'Begin at the end of "{text}" and copy each character until the start.',
        'Make a backwards string out of "{text}".',
        (
            'For a secret message, turn every character sequence around: "{text}" should '
            "run from end to beginning."
        ),
    ],
    held=[
        'How is "{text}" spelled when the letters go backwards?',
        'I want every letter of "{text}" in reverse.',
    ],
)
def reverse_letters(text):
    return text[::-1]


@tool(
    "Reverse the order of the words in a text. "
    "Puts the last word of a sentence first and so on, each word staying readable.",
    returns="The text with its words in reverse order.",
    text=text("Text whose words are reversed.", 2, 4),
    ask=[
        'Reverse the word order of "{text}".',
        'Put the words of "{text}" in reverse order.',
        'What is "{text}" with the last word first and the first word last?',
        'Write "{text}" with its words from back to front.',
        'Turn the order of the words around in "{text}".',
        (
            'Rearrange "{text}" so that its final word opens the sentence and so on, back '
            "to the first."
        ),
        'How does "{text}" sound when the words come in opposite order?',
        'Flip the sequence of words in "{text}", but leave each word\'s spelling alone.',
        '"{text}" word by word from the end, please',
        'List the words from "{text}" starting at the last and ending at the first.',
        'Could you invert the word sequence of the sentence "{text}"?',
        (
            'I want to speak like a backwards robot: reorder all words of "{text}" from '
            "last to first."
        ),
        'Read "{text}" backwards by whole words and write down the result.',
        'Swap the arrangement of words in "{text}" end for end.',
        'My sentence "{text}" should have its words the other way round. What does it become?',
    ],
    held=[
        'How does "{text}" read when the words come in opposite order?',
        'Keep each word, but reverse the order of words in "{text}".',
    ],
)
def reverse_word_order(text):
    return " ".join(reversed(text.split()))


@tool(
    "Find the longest word of a text. "
    "Picks the word with the most letters out of a sentence or phrase.",
    returns="The longest word, the first of equals.",
    text=text("Text to search.", 3, 4),
    ask=[
        'What is the longest word in "{text}"?',
        'Find the longest word of "{text}".',
        'Which word of the text "{text}" is longest?',
        'From "{text}", pick the longest word.',
        'Which word has the most letters in "{text}"?',
        'Look through "{text}" and tell me its lengthiest word.',
        'Longest word wanted, text is "{text}"',
        'My sentence is "{text}". What word in it takes up the most space?',
        'Among all the words of "{text}", name the one with the greatest length.',
        'Search "{text}" for the biggest word by number of letters.',
        'Could you single out the word with the highest letter count from "{text}"?',
        'I wrote "{text}" and wonder which word is the longest one.',
        'In the phrase "{text}", no word is longer than which?',
        'Give me the word needing the most characters out of "{text}".',
    ],
    held=[
        'Among the words of "{text}", name the longest.',
        'In "{text}", the longest of all words is which one?',
    ],
)
def longest_word_in(text):
    return max(_words(text), key=len)


@tool(
    "Find the shortest word of a text. "
    "Picks the word with the fewest letters out of a sentence or phrase.",
    returns="The shortest word, the first of equals.",
    text=text("Text to search.", 3, 4),
    ask=[
        'What is the shortest word in "{text}"?',
        'Find the shortest word of "{text}".',
        'Which word of the text "{text}" is shortest?',
        'From "{text}", pick the shortest word.',
        'Which word has the fewest letters in "{text}"?',
        'Scan "{text}" and report its tiniest word.',
        'Need shortest word, sentence: "{text}"',
        'I wrote the line "{text}". What word in it is the briefest?',
        'Among the words of "{text}", name the one with the least characters.',
        'Could you search "{text}" for the smallest word by letter count?',
        'Out of "{text}", give me whichever word is shortest.',
        'In the phrase "{text}", no word is shorter than which?',
        'Tell me the word of minimum length appearing in "{text}".',
        'Single out the word that takes the least letters to spell within "{text}".',
    ],
    held=[
        'Among the words of "{text}", name the shortest.',
        'In "{text}", the shortest of all words is which one?',
    ],
)
def shortest_word_in(text):
    return min(_words(text), key=len)


@tool(
    "Count the vowels of a text. How many a, e, i, o and u letters a word or sentence contains.",
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
    "Remove all vowels from a text. "
    "Strips a, e, i, o and u from a word or sentence, leaving the consonants.",
    returns="The text without the vowels a, e, i, o and u.",
    text=text("Text to remove from.", 1, 4),
    ask=[
        'Remove the vowels from "{text}".',
        'Write "{text}" without any vowels.',
        'What is left of "{text}" when all vowels are removed?',
        'Drop every vowel of the text "{text}".',
        'Strip "{text}" of its vowels.',
        'Delete a, e, i, o and u wherever they occur in "{text}".',
        'How would "{text}" read if only its consonants stayed?',
        'Please take the vowels out of "{text}".',
        'Vowels gone, please, everything else kept: "{text}"',
        'I want to shorten "{text}" by leaving out each vowel.',
        'Keep just the consonants of "{text}".',
        'Erase all vowels found in the phrase "{text}" and show what remains.',
        'Can you give me a vowel-free version of "{text}"?',
        'Disemvowel this for me: "{text}".',
        'My keyboard lost its vowel keys. What would typing "{text}" produce?',
    ],
    held=[
        'Take the vowels out of "{text}" and show the rest.',
        'How does "{text}" look once no vowel remains?',
    ],
)
def remove_vowels(text):
    return "".join(letter for letter in text if letter not in _VOWELS)


@tool(
    "Join the words of a text into one identifier in a naming case. "
    "Programmers make variable, class or file names in camel, Pascal, snake or kebab case.",
    returns="The identifier in that case.",
    text=text("Words to join.", 2, 3),
    style=choice("Naming case.", ["camel", "pascal", "snake", "kebab"]),
    ask=[
        'Write "{text}" in {style} case.',
        'Convert "{text}" to a {style} case identifier.',
        'What is "{text}" as a {style} case name?',
        'Make a {style} case identifier of the words "{text}".',
        'In {style} case, how is "{text}" written?',
        'I need a variable name in {style} case for "{text}".',
        'Turn the phrase "{text}" into a {style}-cased name for my code.',
        'Style {style}, words "{text}": which identifier results?',
        (
            'Connect the words of "{text}" with underscores, all in small letters.',
            {"style": "snake"},
        ),
        (
            'Please hyphenate "{text}" the kebab way so I can use it as a CSS class.',
            {"style": "kebab"},
        ),
        'Our code guide demands {style} case. How should I name something called "{text}"?',
        (
            'What would "{text}" be as a class name in Pascal case?',
            {"style": "pascal"},
        ),
        'Glue "{text}" together following the {style} naming convention.',
        (
            'Reformat "{text}" as a camelCase variable, please.',
            {"style": "camel"},
        ),
        'Using {style} notation, merge these words to one name: "{text}".',
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
    "Pad a word to a width with a fill sign on one side. "
    "Fills up a string with spaces, stars or zeros to align or centre it in columns.",
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
        'Extend "{word}" with blanks until it is {width} characters long.',
        'I need "{word}" filled up to {width} characters using "{fill}".',
        (
            'Centre "{word}" in a field {width} characters wide by padding both sides.',
            {"side": "both"},
        ),
        'Total length {width}, padding sign "{fill}", side {side}: format the word "{word}".',
        (
            'Add "{fill}" at the end of "{word}" so that it becomes {width} long.',
            {"side": "right"},
        ),
        'My table column is {width} characters wide. What does "{word}" look like padded to fit?',
        (
            'Could you put enough "{fill}" signs around "{word}", on both sides, to reach '
            "a length of {width}?",
            {"side": "both"},
        ),
        (
            'Append spaces behind "{word}" until {width} characters are reached.',
            {"side": "right"},
        ),
        (
            'Bring "{word}" up to {width} characters; the extra ones go on the {side} and '
            'are "{fill}".'
        ),
        'Choosing {side} as the padding side, stretch "{word}" to a total of {width} characters.',
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
    "Cut a text off after a number of letters. "
    "Shortens a title, message or caption to a maximum of characters, with an ellipsis if desired.",
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
    "Count the single-letter edits that turn one word into another. "
    "Levenshtein distance, for typos and spell checking: how different two spellings or "
    "strings are.",
    returns="The edit distance (insertions, deletions and substitutions).",
    first=word("Word to start from."),
    second=word("Word to reach."),
    ask=[
        'What is the edit distance between "{first}" and "{second}"?',
        'How many edits turn the word "{first}" into "{second}"?',
        'Count the letter edits from "{first}" to "{second}".',
        'To reach "{second}" from "{first}", how many edits are needed?',
        (
            'I typed "{first}" but meant "{second}". How many letters must be changed, '
            "added or deleted?"
        ),
        'Levenshtein distance from "{first}" to "{second}", please.',
        (
            "What is the minimum number of insertions, deletions and substitutions to get "
            '"{second}" out of "{first}"?'
        ),
        'Starting with "{first}", how many single-letter changes until I arrive at "{second}"?',
        (
            'Tell me how different the spellings "{first}" and "{second}" are in '
            "single-character edits."
        ),
        'How close is "{first}" to "{second}" by Levenshtein?',
        (
            'The goal is "{second}" and the start is "{first}"; give the fewest letter '
            "operations in between."
        ),
        (
            'Transform "{first}" to "{second}" one letter at a time. What\'s the least '
            "number of steps?"
        ),
        (
            'A spell checker suggests "{second}" for "{first}". Calculate how many '
            "corrections that takes."
        ),
        'Number of keystroke fixes needed, "{first}" to "{second}"?',
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
    "Make an acronym of the first letters of a text's words. "
    "Abbreviates a phrase, name or organisation to its initials, with or without periods.",
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
