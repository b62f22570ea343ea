"""Queries that need no tool: small talk with an answer, and requests no tool can do."""

from random import Random

from tool_corpora import rows_of, values
from tool_corpora.values import Side

# (query, answer); {a} {b} {c} are words, {name} {other} proper names, {n} {m} whole numbers.
CHATS: dict[Side, tuple[tuple[str, str], ...]] = {
    "train": (
        ("Say the word {a}.", "{a}"),
        ("Please answer with the single word {a}.", "{a}"),
        ("Please repeat: {a} {b} {c}", "{a} {b} {c}"),
        ("Say {a} {b} to me.", "{a} {b}"),
        ("My name is {name}. What is my name?", "{name}"),
        ("I live in {name}. Where do I live?", "{name}"),
        ("My dog is called {name}. What is my dog called?", "{name}"),
        ("My sister {name} baked a cake. Who baked a cake?", "{name}"),
        ("The password is {a}. Tell me the password.", "{a}"),
        ("We meet in the {a} room. In which room do we meet?", "{a}"),
        ("I bought {n} apples. How many apples did I buy?", "{n}"),
        ("Remember the code {n}. What was the code?", "{n}"),
        ("I own {n} books and {m} pens. How many books do I own?", "{n}"),
        ("We ate {n} plums and {m} pears. How many pears did we eat?", "{m}"),
        ("Which came first in this list: {a}, {b}, {c}?", "{a}"),
        ("What was named last here: {a}, {b}, {c}?", "{c}"),
        ("I like {a} more than {b}. Which one do I like more?", "{a}"),
        ("{name} is taller than {other}. Who is taller?", "{name}"),
        ("{name} gave the {a} to {other}. Who got the {a}?", "{other}"),
        ("I am {name}.", "Hello, {name}!"),
        ("Say goodbye to {name} for me.", "Goodbye, {name}!"),
        ("Hello there!", "Hello!"),
        ("Good morning!", "Hello!"),
        ("Thanks, that was all.", "You are welcome."),
        ("Thank you, {name} and I are happy with it.", "You are welcome."),
        ("Goodbye for now.", "Goodbye!"),
        ("You did great work today.", "Thank you!"),
        ("Can you help me with something?", "Of course."),
        ("Are you there?", "Yes, I am here."),
        ("Who are you?", "I am an assistant."),
        ("How are you today?", "I am fine, thank you."),
        ("Never mind, I found the {a} myself.", "All right."),
        ("Sorry, the {a} was my mistake.", "No problem."),
        ("I think {name} is a lovely town.", "That is good to hear."),
        ("I am so happy about my new {a}.", "That is good to hear."),
        ("I lost my {a} and feel sad.", "I am sorry to hear that."),
    ),
    "dev": (
        ("Give me back the word {a}.", "{a}"),
        ("Write these words once more: {a} {b} {c}", "{a} {b} {c}"),
        ("Everyone knows me as {name}. As whom does everyone know me?", "{name}"),
        ("Our neighbour {name} won a prize. Who won a prize?", "{name}"),
        ("He planted {n} trees and {m} bushes. How many bushes did he plant?", "{m}"),
        ("My locker number is {n}. Which number has my locker?", "{n}"),
        ("Of {a}, {b} and {c}, which one stands at the end?", "{c}"),
        ("{name} runs faster than {other}. Who is the faster runner?", "{name}"),
        ("{name} handed the {a} over to {other}. Who holds the {a} at present?", "{other}"),
        ("You can call me {name}.", "Hello, {name}!"),
        ("Greetings to you!", "Hello!"),
        ("That helped a lot with the {a}, thanks.", "You are welcome."),
        ("Until next time, farewell!", "Goodbye!"),
        ("Leave it, the {a} does not matter any more.", "All right."),
        ("I broke the {a}, please excuse me.", "No problem."),
        ("Our holiday in {name} was wonderful.", "That is good to hear."),
    ),
    "test": (
        ("Just write {a} and nothing else.", "{a}"),
        ("Echo these words back: {a} {b} {c}", "{a} {b} {c}"),
        ("People call me {name}. How do people call me?", "{name}"),
        ("Our cat goes by {name}. What does our cat go by?", "{name}"),
        ("My brother comes from {name}. Where does my brother come from?", "{name}"),
        ("There are {n} chairs upstairs. How many chairs are upstairs?", "{n}"),
        ("She sold {n} lamps but {m} rugs. How many rugs were sold by her?", "{m}"),
        ("Out of {a}, {b} and {c}, what did I mention first?", "{a}"),
        ("{name} sings louder than {other}. Who sings louder?", "{name}"),
        ("{name} lent a {a} to {other}. Who now has the {a}?", "{other}"),
        ("The secret word for tonight: {a}. Which secret word did I choose?", "{a}"),
        ("Hey, this is {name} speaking.", "Hello, {name}!"),
        ("Hi, hello, nice to see you!", "Hello!"),
        ("Many thanks for your kind help with the {a}.", "You are welcome."),
        ("Bye, goodbye, see you soon!", "Goodbye!"),
        ("Forget the {a}, never mind about it.", "All right."),
        ("I made a mistake with the {a}, sorry about that.", "No problem."),
        ("What a day, {name} makes me really happy.", "That is good to hear."),
    ),
}

FOREIGN: dict[Side, tuple[str, ...]] = {
    "train": (
        "Book a flight to {name}.",
        "Play the song {a} {b}.",
        "Order a pizza with {a}.",
        "Send an email to {name} about the {a}.",
        "Call {name} and say that I am late.",
        "Turn on the lamp in the {a} room.",
        "Reserve a table for {n} at the restaurant {name}.",
        "Print the document called {a} {b}.",
        "Upload my picture of {name} to the album.",
        "What is the weather like in {name} right now?",
        "Buy tickets for the film {a} {b}.",
        "Install the app {name} on my phone.",
        "Unlock the front door for {name}.",
        "Start the washing machine with the {a} programme.",
        "Get me a taxi to {name}.",
        "Post a message saying {a} {b} on my profile.",
        "Hire a plumber called {name} to fix the sink.",
        "Show me the news about {name}.",
        "Open the {a} website in the browser.",
        "Take a photo of the {a}.",
        "Record the show {a} {b} on television.",
        "Make a hotel reservation in {name}.",
        "Wake me up when {name} arrives.",
        "Delete all emails from {name}.",
    ),
    "dev": (
        "Find me a train ticket to {name}.",
        "Skip to the next song of {name}.",
        "Get groceries with {a} sent to my flat.",
        "Write to {name} on my behalf about the {a}.",
        "Dim the lights in the {a} hall.",
        "How warm is it outside in {name} tonight?",
        "Lend me a bicycle for a tour around {name}.",
        "Ring the doorbell of {name} and {other}.",
        "Make a video of the {a} and share it.",
        "Ask a gardener called {name} to cut the hedge.",
    ),
    "test": (
        "I would like a plane seat to {name}.",
        "Put on some tunes by {name}, please.",
        "Have a burger with {a} delivered to my home.",
        "Could you text {name} that the {a} is ready?",
        "Switch off the heating in the {a} kitchen.",
        "Will it be sunny in {name} this afternoon?",
        "Rent a car for my trip through {name}.",
        "Close the garage and feed the parrot {name}.",
        "Mail the parcel marked {a} to my aunt {name}.",
        "Start a video meeting with {name} and {other}.",
        "Scan the {a} letter and save it on my laptop.",
        "Find a babysitter near {name} for tonight.",
    ),
}

for _row in rows_of("no_tool.jsonl"):  # more for training; without an answer no tool can do it
    if "answer" in _row:
        CHATS["train"] += ((_row["query"], _row["answer"]),)
    else:
        FOREIGN["train"] += (_row["query"],)


def _slots(rng: Random, side: Side) -> dict[str, str]:
    """Values for every placeholder, no two of the words and names alike."""
    drawn: list[str] = []
    while len(drawn) < 5:
        word = values.word(rng, side)
        if word not in drawn:
            drawn.append(word)
    first = values.whole(rng, side, 2, 999)
    second = values.whole(rng, side, 2, 999)
    while second == first:
        second = values.whole(rng, side, 2, 999)
    a, b, c, name, other = drawn
    return {
        "a": a,
        "b": b,
        "c": c,
        "name": name.capitalize(),
        "other": other.capitalize(),
        "n": str(first),
        "m": str(second),
    }


def chat_query(rng: Random, side: Side) -> tuple[str, str, str]:
    """A query that needs no tool, its answer, which the query itself gives, and its template."""
    template, answer = rng.choice(CHATS[side])
    slots = _slots(rng, side)
    return template.format(**slots), answer.format(**slots), template


def foreign_query(rng: Random, side: Side) -> tuple[str, str]:
    """A request that no tool of the corpora can do, and its template."""
    template = rng.choice(FOREIGN[side])
    return template.format(**_slots(rng, side)), template
