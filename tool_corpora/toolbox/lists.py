"""Lists of numbers or words: cutting, turning, comparing and joining them."""

from tool_corpora.kit import choice, flag, integer, integers, tool, wordlist


def _short(*lists):
    if any(len(items) > 1000 for items in lists):
        raise ValueError("a list may have at most 1000 entries")


@tool(
    "Sort a list of words alphabetically. "
    "Puts names, terms or other strings in A to Z order, or backwards from Z.",
    returns="The sorted words.",
    words=wordlist("Words to sort.", 3, 3),
    reverse=flag("Whether to go from Z to A."),
    ask=[
        "Sort the words {words} alphabetically.",
        "Put {words} in alphabetical order.",
        "What is the alphabetical order of the words {words}?",
        ("Sort {words} alphabetically in reverse.", {"reverse": True}),
        ("In reverse alphabetical order, list the words {words}.", {"reverse": True}),
        "Arrange {words} from A to Z.",
        "I have these words: {words}. How would a dictionary list them?",
        (
            "Order {words} from Z down to A.",
            {"reverse": True},
        ),
        "Please alphabetize {words} for me.",
        (
            "Line up {words} by the alphabet, but backwards.",
            {"reverse": True},
        ),
        "Words: {words}. Alphabetical listing, please.",
        "If {words} stood in an index, in which order would they appear?",
        (
            "Rank the following by letter, starting at the end of the alphabet: {words}.",
            {"reverse": True},
        ),
        "Could you bring {words} into ABC order?",
        (
            "Show {words} in descending alphabetical sequence, Z first.",
            {"reverse": True},
        ),
    ],
    held=[
        "I have the words {words} and need them sorted alphabetically.",
        "How do {words} line up when sorted by the alphabet?",
        ("Arrange the words {words} in reverse alphabetical order.", {"reverse": True}),
    ],
)
def sort_word_list(words, reverse=False):
    _short(words)
    return sorted(words, key=str.lower, reverse=reverse)


@tool(
    "Rotate a list to the left by some places. "
    "Shifts items toward the front, with those pushed off the start wrapping around to the back.",
    returns="The rotated list.",
    items=integers("List to rotate.", 1, 99, 4, 6),
    places=integer("Places to move left.", 1, 9, default=1),
    ask=[
        "Rotate {items} to the left by {places}.",
        "Rotate the list {items} left by {places} places.",
        "By {places} places, rotate to the left the list {items}.",
        "Rotate {items} one step left.",
        "What is {items} after a left rotation by {places}?",
        "Shift {items} leftwards by {places} positions, wrapping around at the end.",
        "Move the first number of {items} to the back.",
        "What do I get if {items} moves {places} positions to the left in a circle?",
        "Left shift with wraparound, {places} positions: {items}.",
        "Take the leading entry off {items} and append it at the end.",
        "The list is {items}. Cycle it {places} times towards the left.",
        "Turn {items} around to the left by a single position.",
        (
            "Starting from {items}, push everything left by {places} spots; what drops out in "
            "front returns at the back."
        ),
        "Please perform a cyclic left shift of {places} on the sequence {items}.",
        (
            "In {items}, let the first two numbers wander to the end.",
            {"places": 2},
        ),
    ],
    held=[
        "Move every entry of {items} left by {places}, rotating the front to the back.",
        "Give me the left rotation of {items} by {places} places.",
        "Please rotate the list {items} left.",
    ],
)
def rotate_items_left(items, places=1):
    _short(items)
    cut = places % len(items) if items else 0
    return items[cut:] + items[:cut]


@tool(
    "Rotate a list to the right by some places. "
    "Shifts items toward the back, with those pushed off the end wrapping around to the front.",
    returns="The rotated list.",
    items=integers("List to rotate.", 1, 99, 4, 6),
    places=integer("Places to move right.", 1, 9, default=1),
    ask=[
        "Rotate {items} right by {places}.",
        "Rotate the list {items} by {places} places to the right.",
        "How does {items} look rotated right by {places}?",
        "Do one rotation to the right on {items}.",
        "With {places} places to the right, rotate {items}.",
        "Shift {items} rightwards by {places} positions, wrapping around to the front.",
        "Bring the last number of {items} to the front.",
        "What comes out when {items} moves {places} positions to the right in a circle?",
        "Right shift with wraparound, {places} positions: {items}.",
        "Take the final entry off {items} and put it at the beginning.",
        "My list reads {items}. Cycle it {places} times towards the right.",
        "Turn {items} around to the right by a single position.",
        (
            "Push {items} right; each number moves {places} spots and whatever falls off the "
            "end reappears at the start."
        ),
        "Please perform a cyclic right shift of {places} on the sequence {items}.",
        (
            "In {items}, let the last two numbers jump ahead of all the others.",
            {"places": 2},
        ),
    ],
    held=[
        "Bring the back of {items} to the front: rotate right by {places}.",
        "What list comes out when {items} is rotated {places} to the right?",
        "Make a right rotation of the list {items}.",
    ],
)
def rotate_items_right(items, places=1):
    _short(items)
    cut = -places % len(items) if items else 0
    return items[cut:] + items[:cut]


@tool(
    "Keep only some entries from one end of a list. "
    "Takes just the first or last few items (head or tail) and discards the rest.",
    returns="The kept entries.",
    items=integers("List to take from.", 1, 99, 4, 6),
    count=integer("Entries to keep.", 1, 4),
    end=choice("End to keep from.", ["start", "finish"], default="start"),
    ask=[
        "Keep {count} entries of {items}.",
        "From the {end} of {items}, keep {count} entries.",
        "Take the list {items} and keep just {count} from the {end}.",
        "Which entries stay if I keep {count} of {items}?",
        "Keep {count} of the list {items} at the {end}.",
    ],
    held=[
        "I only want to keep {count} entries out of {items}.",
        "At the {end} of the list {items}, keep {count} and lose the others.",
        "Shorten {items} so that you keep {count} entries from the {end}.",
    ],
)
def keep_list_entries(items, count, end="start"):
    _short(items)
    if count < 0:
        raise ValueError("the count must not be negative")
    return items[:count] if end == "start" else items[max(0, len(items) - count) :]


@tool(
    "Drop some entries from one end of a list. "
    "Throws away the first or last few items and returns whatever is left.",
    returns="The remaining entries.",
    items=integers("List to cut.", 1, 99, 4, 6),
    count=integer("Entries to drop.", 1, 3),
    end=choice("End to drop from.", ["start", "finish"], default="start"),
    ask=[
        "Drop {count} entries of {items}.",
        "Drop {count} from the {end} of {items}.",
        "What is left of {items} after dropping {count} entries?",
        "From {items}, drop the {count} entries at the {end}.",
        "At the {end}, drop {count} of the list {items}.",
    ],
    held=[
        "Cut {items} by dropping {count} entries from its {end}.",
        "Which entries remain once I drop {count} out of {items}?",
        "I need {items} with {count} entries dropped at the {end}.",
    ],
)
def drop_list_entries(items, count, end="start"):
    _short(items)
    if count < 0:
        raise ValueError("the count must not be negative")
    return items[count:] if end == "start" else items[: max(0, len(items) - count)]


@tool(
    "Find the entries that two lists have in common. "
    "Gives the intersection or overlap: which numbers show up in both lists.",
    returns="The common entries in the order of the first list.",
    first=integers("First list.", 1, 9, 4, 5),
    second=integers("Second list.", 1, 9, 4, 5),
    ask=[
        "Which entries do ({first}) and ({second}) have in common?",
        "Find what is common to the lists ({first}) and ({second}).",
        "List the common entries of ({first}) and ({second}).",
        "What do the two lists ({first}) and ({second}) share in common?",
        "Common entries in ({first}) and in ({second}), please.",
        "Which numbers occur both in ({first}) and in ({second})?",
        "Intersect the list ({first}) with ({second}).",
        "I picked ({first}), my friend picked ({second}). Where do our picks agree?",
        "Compare ({first}) against ({second}) and show the values present in both.",
        "Overlap between ({first}) and ({second})?",
        "From ({first}), keep only the numbers that also turn up in ({second}).",
        "Tell me the matches between my ticket ({first}) and the draw ({second}).",
        (
            "One list is ({first}), the other one ({second}). Determine the elements that "
            "belong to both."
        ),
        "What values of ({first}) can be found again in ({second})?",
        "Please return the shared numbers; list one: ({first}), list two: ({second}).",
    ],
    held=[
        "I have ({first}) and you have ({second}). What do we have in common?",
        "Compare the list ({first}) with ({second}) and name the common entries.",
    ],
)
def common_list_entries(first, second):
    _short(first, second)
    return [item for item in dict.fromkeys(first) if item in second]


@tool(
    "Find the entries of one list that are missing from another. "
    "Compares what should be there with what is there, and reports the gaps (set difference).",
    returns="The missing entries in the order of the wanted list.",
    wanted=integers("List of wanted entries.", 1, 15, 4, 5),
    present=integers("List of present entries.", 1, 15, 3, 5),
    ask=[
        "I wanted ({wanted}) but only ({present}) are present. Which are missing?",
        "Wanted: ({wanted}). Present: ({present}). What is missing?",
        "With ({present}) present and ({wanted}) wanted, list the missing entries.",
        "Which of the wanted ({wanted}) are missing if ({present}) are present?",
        "Find the entries missing from the present ({present}) when ({wanted}) are wanted.",
        "I need ({wanted}) and already have ({present}). What do I still have to get?",
        (
            "Which numbers from the required list ({wanted}) do not show up in the available "
            "list ({present})?"
        ),
        "Required: ({wanted}). In stock: ({present}). Tell me the gaps.",
        "My album holds ({present}), yet it should hold ({wanted}). Which stickers are lacking?",
        (
            "Compare what is there, ({present}), with what should be there, ({wanted}), and "
            "report what lacks."
        ),
        "Only ({present}) arrived although I ordered ({wanted}). What was not delivered?",
        "Take away the existing ({present}) from the desired ({wanted}) and show the rest.",
        "Given that ({wanted}) were expected, who has not come if ({present}) are here?",
        "Expected numbers ({wanted}), found numbers ({present}): absent ones?",
        (
            "Please check which of the needed values ({wanted}) I cannot find among my own "
            "({present})."
        ),
    ],
    held=[
        "Present in the box are ({present}), wanted were ({wanted}). Tell me the missing ones.",
        "What is missing from the wanted list ({wanted}) given that ({present}) is present?",
    ],
)
def missing_list_entries(wanted, present):
    _short(wanted, present)
    return [item for item in dict.fromkeys(wanted) if item not in present]


@tool(
    "Remove repeated entries from a list, keeping each once. "
    "Deduplicates numbers: duplicates go, only unique values stay, sorted upwards if desired.",
    returns="The entries without repeats, in their first order.",
    items=integers("List with repeats.", 1, 6, 5, 7),
    ascending=flag("Whether to put the result in ascending order."),
    ask=[
        "Remove the repeated entries from {items}.",
        "Clean the list {items} of repeats.",
        "What is {items} without repeated entries?",
        ("Remove repeats from {items} and put the rest in ascending order.", {"ascending": True}),
        ("List {items} in ascending order with no repeats.", {"ascending": True}),
    ],
    held=[
        "The list {items} has repeated entries. Leave each one in only once.",
        "Give me {items} with all repeats removed.",
        ("Without repeats and ascending, what becomes of {items}?", {"ascending": True}),
    ],
)
def remove_repeats(items, ascending=False):
    _short(items)
    kept = list(dict.fromkeys(items))
    return sorted(kept) if ascending else kept


@tool(
    "Split a list into chunks of equal size. "
    "Breaks a sequence into batches, groups or pages of so many items each.",
    returns="The chunks; the last one may be shorter.",
    items=integers("List to split.", 1, 99, 4, 6),
    size=integer("Entries in each chunk.", 2, 4),
    ask=[
        "Split {items} into chunks of {size}.",
        "Cut the list {items} in chunks with {size} entries each.",
        "In chunks of size {size}, what does {items} look like?",
        "Make chunks of {size} out of {items}.",
        "Divide {items} into chunks that hold {size} entries.",
        "Break {items} up into pieces with {size} numbers in each.",
        (
            "Put the numbers {items} into consecutive pairs.",
            {"size": 2},
        ),
        "If I take {size} at a time from {items}, which groups do I get?",
        "These are the values: {items}. Group them by {size}, in order.",
        "Batches of {size} from the sequence {items}, please.",
        (
            "Partition {items} into blocks of three numbers.",
            {"size": 3},
        ),
        "Deal out {items} so that each packet gets {size} of them.",
        "I need portions of {size} numbers; the full list is {items}.",
        "How would you arrange {items} in rows of {size}?",
        (
            "Slice {items} into sublists of four.",
            {"size": 4},
        ),
    ],
    held=[
        "I want {size} entries per chunk. Split the list {items} that way.",
        "How does {items} fall apart into chunks of size {size}?",
    ],
)
def chunk_list(items, size):
    _short(items)
    if size < 1:
        raise ValueError("the size must be at least 1")
    return [items[i : i + size] for i in range(0, len(items), size)]
