"""Look-ups in a small embedded database of countries, mountains, books and animals."""

import sqlite3
from functools import cache

from tool_corpora.kit import choice, flag, pattern, tool

# country, capital, currency, dialling code
_COUNTRIES = """
France,Paris,euro,33;Spain,Madrid,euro,34;Italy,Rome,euro,39;Germany,Berlin,euro,49;
Poland,Warsaw,zloty,48;Norway,Oslo,krone,47;Sweden,Stockholm,krona,46;
Denmark,Copenhagen,krone,45;Japan,Tokyo,yen,81;India,New Delhi,rupee,91;
Brazil,Brasilia,real,55;Mexico,Mexico City,peso,52;Egypt,Cairo,pound,20;
Kenya,Nairobi,shilling,254;Nigeria,Abuja,naira,234;Ghana,Accra,cedi,233;Peru,Lima,sol,51;
Chile,Santiago,peso,56;Argentina,Buenos Aires,peso,54;Colombia,Bogota,peso,57;
Thailand,Bangkok,baht,66;Vietnam,Hanoi,dong,84;Malaysia,Kuala Lumpur,ringgit,60;
Turkey,Ankara,lira,90;Greece,Athens,euro,30;Portugal,Lisbon,euro,351;
Ireland,Dublin,euro,353;Finland,Helsinki,euro,358;Iceland,Reykjavik,krona,354;
Hungary,Budapest,forint,36;Romania,Bucharest,leu,40;Morocco,Rabat,dirham,212;
Ethiopia,Addis Ababa,birr,251;Cuba,Havana,peso,53;Canada,Ottawa,dollar,1;
Australia,Canberra,dollar,61;South Korea,Seoul,won,82;China,Beijing,yuan,86;
Pakistan,Islamabad,rupee,92;Nepal,Kathmandu,rupee,977;Mongolia,Ulaanbaatar,tugrik,976;
Austria,Vienna,euro,43;Belgium,Brussels,euro,32;Switzerland,Bern,franc,41;
Philippines,Manila,peso,63;Jordan,Amman,dinar,962;Tunisia,Tunis,dinar,216;
Ukraine,Kyiv,hryvnia,380;Croatia,Zagreb,euro,385;Serbia,Belgrade,dinar,381;
Zambia,Lusaka,kwacha,260;Uganda,Kampala,shilling,256;Laos,Vientiane,kip,856;
Angola,Luanda,kwanza,244;Senegal,Dakar,franc,221;Rwanda,Kigali,franc,250;
Uruguay,Montevideo,peso,598;Ecuador,Quito,dollar,593;Paraguay,Asuncion,guarani,595
"""
# mountain, height in metres
_MOUNTAINS = """
Everest,8849;K2,8611;Kangchenjunga,8586;Lhotse,8516;Makalu,8485;Cho Oyu,8188;
Dhaulagiri,8167;Manaslu,8163;Nanga Parbat,8126;Annapurna,8091;Aconcagua,6961;Denali,6190;
Kilimanjaro,5895;Elbrus,5642;Mont Blanc,4806;Matterhorn,4478;Eiger,3967;Fuji,3776;
Olympus,2918;Snowdon,1085;Ben Nevis,1345;Kosciuszko,2228;Ararat,5137;Rainier,4392;
Whitney,4421;Teide,3715;Vesuvius,1281;Zugspitze,2962;Triglav,2864
"""
# title, author, year of first publication
_BOOKS = """
Dracula,Bram Stoker,1897;Emma,Jane Austen,1815;Ulysses,James Joyce,1922;
Moby Dick,Herman Melville,1851;Frankenstein,Mary Shelley,1818;
War and Peace,Leo Tolstoy,1869;Don Quixote,Miguel de Cervantes,1605;
Jane Eyre,Charlotte Bronte,1847;Wuthering Heights,Emily Bronte,1847;
The Hobbit,J. R. R. Tolkien,1937;Animal Farm,George Orwell,1945;
Oliver Twist,Charles Dickens,1838;Great Expectations,Charles Dickens,1861;
Middlemarch,George Eliot,1871;Candide,Voltaire,1759;Persuasion,Jane Austen,1817;
Kidnapped,Robert Louis Stevenson,1886;Treasure Island,Robert Louis Stevenson,1883;
The Stranger,Albert Camus,1942;The Trial,Franz Kafka,1925;Beloved,Toni Morrison,1987;
Dune,Frank Herbert,1965;Walden,Henry David Thoreau,1854;Germinal,Emile Zola,1885;
Anna Karenina,Leo Tolstoy,1878;Little Women,Louisa May Alcott,1868;
Black Beauty,Anna Sewell,1877;Pinocchio,Carlo Collodi,1883;Leviathan,Thomas Hobbes,1651
"""
# animal, its young, a group of them
_ANIMALS = """
dog,pup,pack;cat,kitten,clowder;cow,calf,herd;horse,foal,herd;sheep,lamb,flock;
goat,kid,herd;pig,piglet,drove;lion,cub,pride;wolf,pup,pack;bear,cub,sloth;fox,kit,skulk;
deer,fawn,herd;goose,gosling,gaggle;duck,duckling,raft;swan,cygnet,bevy;
owl,owlet,parliament;eagle,eaglet,convocation;kangaroo,joey,mob;whale,calf,pod;
dolphin,calf,pod;rabbit,kit,colony;elephant,calf,herd;frog,tadpole,army;hen,chick,brood;
pigeon,squab,flock;otter,pup,romp;tiger,cub,ambush;crow,chick,murder;giraffe,calf,tower;
zebra,foal,dazzle;squirrel,kit,scurry;turkey,poult,rafter;hedgehog,hoglet,array;
camel,calf,caravan;ferret,kit,business;raven,chick,unkindness;lark,chick,exaltation;
rhinoceros,calf,crash;hippopotamus,calf,bloat;llama,cria,herd
"""


def _rows(table):
    return [tuple(part.strip() for part in row.split(",")) for row in table.split(";")]


def _key(table, column=0):
    keys = [row[column] for row in _rows(table)]
    return lambda rng: rng.choice(keys)


@cache
def _database():
    base = sqlite3.connect(":memory:", check_same_thread=False)
    base.executescript(
        """
        CREATE TABLE countries (
            country TEXT COLLATE NOCASE, capital TEXT COLLATE NOCASE, currency TEXT, code TEXT);
        CREATE TABLE mountains (mountain TEXT COLLATE NOCASE, metres INTEGER);
        CREATE TABLE books (title TEXT COLLATE NOCASE, author TEXT, year INTEGER);
        CREATE TABLE animals (animal TEXT COLLATE NOCASE, young TEXT, band TEXT);
        """
    )
    base.executemany("INSERT INTO countries VALUES (?, ?, ?, ?)", _rows(_COUNTRIES))
    base.executemany("INSERT INTO mountains VALUES (?, ?)", _rows(_MOUNTAINS))
    base.executemany("INSERT INTO books VALUES (?, ?, ?)", _rows(_BOOKS))
    base.executemany("INSERT INTO animals VALUES (?, ?, ?)", _rows(_ANIMALS))
    return base


def _one(query, key):
    row = _database().execute(query, (key.strip(),)).fetchone()
    if row is None:
        raise ValueError(f"not in the table: {key[:40]}")
    return row[0]


@tool(
    "Look up the capital city of a country. "
    "For geography questions that name a nation and ask for its seat of government.",
    returns="The name of the capital.",
    country=pattern("Name of the country.", _key(_COUNTRIES), "France"),
    ask=[
        "What is the capital of {country}?",
        "Name the capital city of {country}.",
        "Which city is the capital of {country}?",
        "Look up the capital for {country}.",
        "Tell me {country}'s capital city.",
    ],
    held=[
        "I am travelling to {country}. What is its capital called?",
        "For the country {country}, give me the capital city.",
    ],
)
def capital_of_country(country):
    return _one("SELECT capital FROM countries WHERE country = ?", country)


@tool(
    "Find the country that has a given city as its capital. "
    "The reverse capital lookup: someone names the capital and asks which nation it belongs to.",
    returns="The name of the country.",
    city=pattern("Name of the capital city.", _key(_COUNTRIES, 1), "Paris"),
    ask=[
        "Which country has {city} as its capital?",
        "In which country is the city {city} the capital?",
        "Find the country whose capital city is {city}.",
        "{city} is the capital. Which country is it?",
        "What country does the capital city {city} belong to?",
        "{city} is the capital of which nation?",
        "Tell me the state that {city} is the capital of.",
        "Which land counts {city} as its capital?",
        "Capital {city}: country name, please.",
        "I have to match capitals with countries. Where does {city} go?",
        "Of what country does {city} serve as the capital?",
        "Quiz question: a nation's capital is named {city}. Name that nation.",
        "Look up which state calls {city} its capital.",
        "If I fly to the capital city named {city}, what country will I land in?",
        "Identify the land whose government chose {city} for its capital.",
    ],
    held=[
        "Tell me the country that is governed from its capital {city}.",
        "Of what country is {city} the capital city?",
    ],
)
def country_of_capital(city):
    return _one("SELECT country FROM countries WHERE capital = ?", city)


@tool(
    "Look up the currency that is used in a country. "
    "Tells travellers what money people pay with there, such as yen, euros or pesos.",
    returns="The name of the currency.",
    country=pattern("Name of the country.", _key(_COUNTRIES), "Japan"),
    ask=[
        "What currency is used in {country}?",
        "Which currency do people in {country} pay with?",
        "Look up the currency of {country}.",
        "Name the currency for the country {country}.",
        "Tell me what {country} has as its currency.",
        "What sort of money will I need on a trip to {country}?",
        "Official money unit in {country}?",
        "Before flying to {country} I want to exchange cash. Into what currency?",
        "Find out the legal tender of {country}.",
        "How is the money in {country} called?",
        "Shops in {country} have price tags in which currency?",
        "Which banknotes and coins do they use in {country}?",
        "If I earn a salary in {country}, what money am I paid in?",
        "I need to know the national monetary unit for {country}.",
        "Say which money circulates in {country}.",
    ],
    held=[
        "I need cash for {country}. Which currency should I get?",
        "In {country}, prices are given in what currency?",
    ],
)
def currency_of_country(country):
    return _one("SELECT currency FROM countries WHERE country = ?", country)


@tool(
    "Look up the phone dialling code of a country. "
    "Needed for calling abroad: tells which international prefix goes before a foreign "
    "telephone number.",
    returns="The dialling code with its prefix, for example +33.",
    country=pattern("Country to phone.", _key(_COUNTRIES), "Spain"),
    prefix=choice("How the code begins.", ["plus", "zeros", "none"], default="plus"),
    ask=[
        "What is the dialling code of {country}?",
        "Which dialling code do I use to phone {country}?",
        "Give the phone code for {country} with prefix {prefix}.",
        "Look up the dialling code for {country}, prefix {prefix}.",
        "I want to phone {country}. What code do I dial?",
        "Which digits come before the number when I call somebody in {country}?",
        "International calling code for {country}?",
        "My aunt lives in {country}. What do I have to dial before her number?",
        (
            "Tell me the country calling code of {country}, written with leading zeros "
            "instead of the plus.",
            {"prefix": "zeros"},
        ),
        (
            "Just the bare digits of the telephone code of {country}, without any plus or zeros.",
            {"prefix": "none"},
        ),
        "How does a phone number from {country} begin when written internationally?",
        "With {prefix} as the prefix style, show me the telephone country code of {country}.",
        "I am filling in a form and need the telephone country code belonging to {country}.",
        "Calling {country} from abroad: what code is needed? Prefix style: {prefix}.",
        (
            "Find the number one dials first for {country} on an old phone that needs zeros "
            "at the front.",
            {"prefix": "zeros"},
        ),
    ],
    held=[
        "Which phone dialling code belongs to {country}?",
        "To call {country}, what dialling code do I need? Use {prefix} as prefix.",
        "Tell me the code for dialling {country} with {prefix} in front.",
    ],
)
def country_dialling_code(country, prefix="plus"):
    starts = {"plus": "+", "zeros": "00", "none": ""}
    if prefix not in starts:
        raise ValueError("unknown prefix")
    return starts[prefix] + _one("SELECT code FROM countries WHERE country = ?", country)


@tool(
    "Look up how high a mountain is. "
    "Tells the elevation or altitude of a peak or summit, metric or in feet.",
    returns="The height as a whole number in the wanted unit.",
    mountain=pattern("Name of the mountain.", _key(_MOUNTAINS), "Fuji"),
    unit=choice("Unit of the height.", ["metres", "feet"], default="metres"),
    ask=[
        "How high is the mountain {mountain}?",
        "What is the height of mount {mountain} in {unit}?",
        "Give the height of the mountain called {mountain}.",
        "In {unit}, how high is {mountain}?",
        "Look up the mountain {mountain} and tell me its height.",
    ],
    held=[
        "If I climb the mountain {mountain}, how high will I be in {unit}?",
        "Height of mountain {mountain} in {unit}, please.",
        "Do you know how high {mountain} is?",
    ],
)
def mountain_height(mountain, unit="metres"):
    metres = _one("SELECT metres FROM mountains WHERE mountain = ?", mountain)
    return round(metres / 0.3048) if unit == "feet" else metres


@tool(
    "Look up the author who wrote a famous book. "
    "Answers who penned a well-known novel or classic, by full name or last name only.",
    returns="The name of the author.",
    title=pattern("Title of the book.", _key(_BOOKS), "Dracula"),
    surname=flag("Whether to give only the surname."),
    ask=[
        'Who is the author of "{title}"?',
        'Which author wrote the book "{title}"?',
        'Tell me who wrote "{title}".',
        ('Give only the surname of the author of "{title}".', {"surname": True}),
        ('Who wrote the book "{title}"? Just the surname.', {"surname": True}),
    ],
    held=[
        'I am reading the book "{title}". Who wrote it?',
        'Find the author behind "{title}".',
        ('What is the surname of the person who wrote "{title}"?', {"surname": True}),
    ],
)
def author_of_book(title, surname=False):
    author = _one("SELECT author FROM books WHERE title = ?", title)
    if not surname:
        return author
    return "de Cervantes" if author.endswith("de Cervantes") else author.split()[-1]


@tool(
    "Look up the year in which a famous book was first published. "
    "Answers when a novel or classic came out, rather than who wrote it.",
    returns="The year as a whole number.",
    title=pattern("Title of the book.", _key(_BOOKS), "Dracula"),
    ask=[
        'When was "{title}" first published?',
        'In which year was the book "{title}" published?',
        'Give the publication year of "{title}".',
        'What year did "{title}" first come out as a book?',
        'Look up the year of the book "{title}".',
        'How long ago did "{title}" appear? Just tell me the year.',
        '"{title}": year of first edition?',
        'When did readers get to buy "{title}" for the first time?',
        'I\'m citing "{title}" and need the date of its original publication.',
        'Find out when the novel "{title}" was originally released.',
        'What is the release year of the famous work "{title}"?',
        'Tell me the year the first printing of "{title}" hit the shops.',
        'Since which year has the world been able to read "{title}"?',
        'For a literature timeline, where do I put "{title}"?',
        'The book is called "{title}". Which year did its author first bring it out?',
    ],
    held=[
        'How long ago was "{title}" published? Tell me the year.',
        'The book "{title}" first appeared in what year?',
    ],
)
def year_of_book(title):
    return _one("SELECT year FROM books WHERE title = ?", title)


@tool(
    "Look up what the young of an animal is called. "
    "Names the baby or offspring of a creature, such as a puppy, calf or cub.",
    returns="The word for the young animal.",
    animal=pattern("The grown animal.", _key(_ANIMALS), "dog"),
    ask=[
        "What is the young of the {animal} called?",
        "What do you call a young {animal}?",
        "Name the baby animal of the {animal}.",
        "Which word is used for the young {animal} as a baby?",
        "The {animal} has young. What are they called?",
        "Which name do the little ones of the {animal} go by?",
        "{animal}: word for the offspring?",
        "When the {animal} gives birth, what is the newborn called?",
        "Tell me the proper term for the offspring of the {animal}.",
        "My daughter asks how one names the child of the {animal}.",
        "Before it grows up to be a full {animal}, what is it known as?",
        "Look up the special word for the {animal} while it is still a baby.",
        "If the mother belongs to the kind {animal}, what do we call her little one?",
        "A grown animal is called {animal}. What is the name of its infant?",
        "Find the English noun for a juvenile {animal}.",
    ],
    held=[
        "Give me the right word for the young of the animal {animal}.",
        "Our {animal} had a baby! What is such a young one called?",
    ],
)
def young_of_animal(animal):
    return _one("SELECT young FROM animals WHERE animal = ?", animal)


@tool(
    "Look up the word for a group of one kind of animal. "
    "Collective nouns, such as a pride or a flock, for many of one creature together.",
    returns="The word for the group.",
    animal=pattern("Kind of animal.", _key(_ANIMALS), "lion"),
    ask=[
        "What is a group of the animal {animal} called?",
        "Which word names a group when the animal is the {animal}?",
        "Give the group name for the {animal}.",
        "How do you call a whole group of the {animal} kind?",
        "Group word for {animal}, please.",
        "What is the collective noun for the {animal}?",
        "When many of the species {animal} live together, what is the proper name for them?",
        "Animal: {animal}. Collective term wanted.",
        "Tell me how one refers to lots of {animal} individuals gathered together.",
        (
            "I saw several animals of the kind {animal} together. Which collective word "
            "should I write?"
        ),
        "Find the term English uses for a bunch of animals of the type {animal}.",
        "My son asks what one calls a gathering of the {animal} sort.",
        "Look up the collective name that goes with {animal}.",
        "If you see not one {animal} but a crowd of them, what is that crowd named?",
        "Please supply the noun of assembly for the {animal}.",
    ],
    held=[
        "When several of the animal {animal} form a group, what is the word for it?",
        "If the {animal} lives in a group, what is that group called?",
    ],
)
def group_of_animals(animal):
    return _one("SELECT band FROM animals WHERE animal = ?", animal)
