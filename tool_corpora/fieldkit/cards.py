"""Playing cards: names, hands and dealing."""

from tool_corpora.kit import flag, integer, pattern, tool

_RANKS = "2 3 4 5 6 7 8 9 10 J Q K A".split()
_SUITS = {"C": "clubs", "D": "diamonds", "H": "hearts", "S": "spades"}
_NAMES = dict(
    zip(
        _RANKS,
        "Two Three Four Five Six Seven Eight Nine Ten Jack Queen King Ace".split(),
        strict=True,
    )
)


def _draw_ranks(rng):
    return "-".join(rng.choice(_RANKS) for _ in range(rng.randint(2, 4)))


def _draw_holding(rng):
    ranks = rng.sample("AKQJT98765432", rng.randint(3, 7))
    return "".join(sorted(ranks, key="AKQJT98765432".index))


def _draw_poker(rng):
    kind = rng.randrange(4)
    start = rng.randrange(9)
    if kind == 0:  # likely a flush
        suit = rng.choice("CDHS")
        ranks = rng.sample(_RANKS, 5)
        hand = [rank + suit for rank in ranks]
    elif kind == 1:  # a straight
        ranks = _RANKS[start : start + 5]
        hand = [rank + rng.choice("CDHS") for rank in rng.sample(ranks, 5)]
    else:  # repeated ranks, or any five cards
        ranks = rng.sample(_RANKS, 3 if kind == 2 else 13)
        hand = rng.sample([rank + suit for rank in ranks for suit in "CDHS"], 5)
    return "-".join(hand)


def _split(card):
    rank, suit = card[:-1].upper().replace("T", "10"), card[-1:].upper()
    if rank not in _RANKS or suit not in _SUITS:
        raise ValueError("a card is a rank from 2 to 10, J, Q, K or A and a suit C, D, H or S")
    return rank, suit


@tool(
    "Give the full name of a playing card from its code. "
    "Spells out a short card abbreviation in words, such as queen of hearts.",
    returns="The name of the card.",
    code=pattern("Rank and suit.", lambda r: r.choice(_RANKS) + r.choice("CDHS"), "QH"),
    ask=[
        "What is the full name of the card {code}?",
        "Which playing card has the code {code}?",
        "Name the playing card {code}.",
        "Write the card code {code} out in full.",
    ],
    held=[
        "I see {code} on a score sheet. Which card is meant?",
        "Spell out the playing card written {code}.",
    ],
)
def card_full_name(code):
    rank, suit = _split(code)
    return f"{_NAMES[rank]} of {_SUITS[suit]}"


@tool(
    "Count the value of a blackjack hand. "
    "At the twenty-one table, adds up my cards, aces high or low.",
    returns="The best total of the hand.",
    hand=pattern("Card ranks joined by hyphens.", _draw_ranks, "K-7-A"),
    aces_low=flag("Count every ace as one."),
    ask=[
        "What is the value of the blackjack hand {hand}?",
        "Count my blackjack cards {hand}.",
        "In blackjack, how much is {hand} worth?",
        ("Count the blackjack hand {hand} with aces low.", {"aces_low": True}),
        ("If aces are low, what is {hand} worth in blackjack?", {"aces_low": True}),
    ],
    held=[
        "I am at the blackjack table holding {hand}. What is my total?",
        "Add up {hand} by blackjack rules.",
        ("Treat aces as low and total the blackjack cards {hand}.", {"aces_low": True}),
    ],
)
def blackjack_total(hand, aces_low=False):
    ranks = hand.upper().replace("T", "10").split("-")
    if len(ranks) > 30 or any(rank not in _RANKS for rank in ranks):
        raise ValueError("a hand is up to 30 ranks joined by hyphens, such as K-7-A")
    total = sum(1 if r == "A" else 10 if r in "JQK" else int(r) for r in ranks)
    return total + 10 if "A" in ranks and total <= 11 and not aces_low else total


@tool(
    "Count the honour points of a bridge holding. "
    "For bidding, scores the high cards (ace, king, queen, jack) I hold in one suit.",
    returns="The number of points.",
    holding=pattern("Ranks of one suit, T for ten.", _draw_holding, "AKJ74"),
    length=flag("Add a point per card beyond four."),
    ask=[
        "How many honour points has the bridge holding {holding}?",
        "Count the bridge points in {holding}.",
        "What is {holding} worth in bridge points?",
        ("Count bridge points with length for {holding}.", {"length": True}),
        ("Including length, how many points is the bridge suit {holding}?", {"length": True}),
    ],
    held=[
        "My bridge suit is {holding}; how many points do I have there?",
        "Tell me the honour points of {holding} at bridge.",
        ("Add length to the honour points: my bridge suit is {holding}.", {"length": True}),
    ],
)
def bridge_honour_points(holding, length=False):
    ranks = holding.upper()
    if len(ranks) > 13 or len(set(ranks)) != len(ranks) or set(ranks) - set("AKQJT98765432"):
        raise ValueError("a holding is up to 13 different ranks of A K Q J T 9 to 2")
    points = sum(dict(A=4, K=3, Q=2, J=1).get(rank, 0) for rank in ranks)
    return points + (max(0, len(ranks) - 4) if length else 0)


@tool(
    "Tell which poker category a five card hand makes. "
    "Reads my five cards and says pair, two pair, straight, flush, full house and so on.",
    returns="The category, such as full house.",
    hand=pattern("Five cards joined by hyphens.", _draw_poker, "KH-KD-7S-7C-2H"),
    ask=[
        "Which poker hand is {hand}?",
        "What category does {hand} make in poker?",
        "Tell me what poker hand I have with {hand}.",
        "Rate the five cards {hand} for poker.",
    ],
    held=[
        "I was dealt {hand} at poker. What is that?",
        "Does {hand} make anything in poker, and which category?",
    ],
)
def poker_hand_category(hand):
    cards = [_split(card) for card in hand.split("-")]
    if len(cards) != 5 or len(set(cards)) != 5:
        raise ValueError("a poker hand is five different cards joined by hyphens")
    ranks = sorted(_RANKS.index(rank) for rank, _ in cards)
    flush = len({suit for _, suit in cards}) == 1
    distinct = len(set(ranks)) == 5
    straight = distinct and (ranks[4] - ranks[0] == 4 or ranks == [0, 1, 2, 3, 12])
    if flush and straight:
        return "royal flush" if ranks[0] == 8 else "straight flush"
    counts = sorted((ranks.count(rank) for rank in set(ranks)), reverse=True)
    if counts[0] == 4:
        return "four of a kind"
    if counts == [3, 2]:
        return "full house"
    if flush or straight:
        return "flush" if flush else "straight"
    kinds = {(3, 1, 1): "three of a kind", (2, 2, 1): "two pairs", (2, 1, 1, 1): "one pair"}
    return kinds.get(tuple(counts), "high card")


@tool(
    "Compute how many cards each player gets when dealing evenly. "
    "Before a game night, says how big each hand is when whole decks are shared out.",
    returns="The number of cards for each player.",
    players=integer("Number of players.", 1, 99),
    decks=integer("Number of decks of 52.", 1, 20, default=1),
    jokers=flag("Keep two jokers in each deck."),
    ask=[
        "How many cards does each of {players} players get?",
        "Deal {decks} decks to {players} players: how many cards for each?",
        "With {players} players, how many cards are dealt to each player?",
        ("Deal with jokers to {players} players. How many cards each?", {"jokers": True}),
        (
            "With jokers in all {decks} decks, how many cards has each of {players} players?",
            {"jokers": True},
        ),
    ],
    held=[
        "We are {players} players around a table; how many cards should I deal to everyone?",
        "Divide {decks} decks evenly among {players} players. How many cards does one hold?",
        ("Jokers stay in and {players} players sit down. How many cards apiece?", {"jokers": True}),
    ],
)
def cards_per_player(players, decks=1, jokers=False):
    return decks * (54 if jokers else 52) // players
