"""Formulas, solutions and acidity."""

import math
import re

from tool_corpora.kit import choice, number, pattern, tool

_WEIGHTS = {
    "H": 1.008, "Li": 6.94, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998,
    "Na": 22.990, "Mg": 24.305, "Al": 26.982, "Si": 28.085, "P": 30.974, "S": 32.06,
    "Cl": 35.45, "K": 39.098, "Ca": 40.078, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845,
    "Ni": 58.693, "Cu": 63.546, "Zn": 65.38, "Br": 79.904, "Ag": 107.868, "Sn": 118.710,
    "I": 126.904, "Ba": 137.327, "Au": 196.967, "Hg": 200.592, "Pb": 207.2,
}  # fmt: skip


def _draw_formula(rng):
    first = rng.choice(["C", "Na", "Mg", "Al", "K", "Ca", "Fe", "Cu", "Zn", "Ag", "Pb"])
    rest = rng.sample(["H", "N", "O", "S", "Cl", "P", "F"], rng.randint(1, 2))
    counts = [rng.choice(["", "", "2", "3", "4", "5", "6", "8"]) for _ in range(3)]
    return "".join(e + n for e, n in zip([first, *rest], counts, strict=False))


@tool(
    "Compute the molar mass of a chemical formula. "
    "Gives the molecular weight of a compound such as water, table salt or sulfuric acid.",
    returns="The molar mass in grams per mole, rounded to 3 decimals.",
    formula=pattern("Chemical formula.", _draw_formula, "H2SO4"),
    ask=[
        "What is the molar mass of {formula}?",
        "Compute the molar mass for the formula {formula}.",
        "How many grams per mole has {formula}?",
        "Give me the molar mass of the compound {formula}.",
    ],
    held=[
        "How heavy is one mole of {formula}?",
        "The formula reads {formula}; find its molar mass.",
    ],
)
def molar_mass(formula):
    if not re.fullmatch(r"(?:[A-Z][a-z]?\d{0,3}){1,20}", formula):
        raise ValueError("a formula is element symbols with counts, such as H2SO4")
    total = 0.0
    for element, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        if element not in _WEIGHTS:
            raise ValueError(f"unknown element {element}")
        total += _WEIGHTS[element] * int(count or 1)
    return round(total, 3)


def _check_amount(moles, size, what):
    if not (0 <= moles <= 1e9 and 1e-4 <= size <= 1e9):
        raise ValueError(f"moles must be 0 to 1e9 and {what} 0.0001 to 1e9")


@tool(
    "Compute the molarity of a solution from moles and litres. "
    "Concentration per volume of solution, the usual strength of a reagent in the lab.",
    returns="The molarity in moles per litre, rounded to 4 decimals.",
    moles=number("Moles of the dissolved substance.", 0.1, 20),
    litres=number("Litres of solution.", 1, 40, 1),
    ask=[
        "What is the molarity of {moles} moles in {litres} litres?",
        "Find the molarity when {litres} litres of solution hold {moles} moles.",
        "Compute the molarity for {moles} moles dissolved to {litres} litres.",
        "A solution of {litres} litres has {moles} moles in it. Give the molarity.",
    ],
    held=[
        "I dissolved {moles} moles and filled up to {litres} litres; which molarity did I make?",
        "How high is the molarity with {litres} litres containing {moles} moles?",
    ],
)
def solution_molarity(moles, litres):
    _check_amount(moles, litres, "litres")
    return round(moles / litres, 4)


@tool(
    "Compute the molality of a solution from moles and kilograms. "
    "Concentration per mass of solvent, as needed for freezing point or boiling point work.",
    returns="The molality in moles per kilogram, rounded to 4 decimals.",
    moles=number("Moles of the dissolved substance.", 0.1, 20),
    kilograms=number("Kilograms of solvent.", 1, 40, 1),
    ask=[
        "What is the molality of {moles} moles in {kilograms} kilograms?",
        "Find the molality when {kilograms} kilograms of solvent hold {moles} moles.",
        "Compute the molality for {moles} moles dissolved in {kilograms} kilograms of water.",
        "A solvent of {kilograms} kilograms takes up {moles} moles. Give the molality.",
    ],
    held=[
        "I stirred {moles} moles into {kilograms} kilograms of solvent; which molality is this?",
        "How high is the molality given {kilograms} kilograms of solvent plus {moles} moles?",
    ],
)
def solution_molality(moles, kilograms):
    _check_amount(moles, kilograms, "kilograms")
    return round(moles / kilograms, 4)


@tool(
    "Find how much stock solution to take for a dilution. "
    "Lab work: how much concentrate to pipette and water down to reach a weaker strength.",
    returns="The volume of stock, rounded to 3 decimals.",
    stock=number("Concentration of the stock.", 5, 18, 1),
    target=number("Concentration wanted.", 0.1, 4),
    volume=number("Final volume wanted.", 10, 900, 0),
    ask=[
        "How much stock of {stock} do I need for a volume of {volume} at target {target}?",
        "Dilute a {stock} stock to the target {target} in a volume of {volume}.",
        "For a dilution to target {target} with volume {volume}, how much {stock} stock is used?",
        "Stock {stock}, target {target}, final volume {volume}: how much stock for the dilution?",
    ],
    held=[
        "What amount of my {stock} stock gives a volume of {volume} diluted to a target {target}?",
        "I want a volume {volume} at a target of {target}. How much stock {stock} to dilute?",
    ],
)
def dilution_stock_volume(stock, target, volume):
    if not (0 <= target <= stock <= 1e6 and stock >= 1e-6 and 0 <= volume <= 1e9):
        raise ValueError("the stock must be positive and at least as strong as the target")
    return round(target * volume / stock, 3)


@tool(
    "Compute the pH of a solution from its ion concentration. "
    "Says how acidic or alkaline (basic) a liquid such as an acid or lye is.",
    returns="The pH, rounded to 2 decimals.",
    millimolar=number("Ion concentration, millimoles per litre.", 0.1, 900, 1),
    ion=choice("Which ion it is.", ["hydrogen", "hydroxide"], default="hydrogen"),
    ask=[
        "What is the pH at an ion concentration of {millimolar} millimolar?",
        "Compute the pH of a solution with {millimolar} millimolar {ion} ions.",
        "A {ion} concentration of {millimolar} millimolar means which pH?",
        "Give the pH for {millimolar} millimolar.",
        "Find the pH when {ion} ions are at {millimolar}.",
    ],
    held=[
        "How acidic, as pH, is a solution of {millimolar} millimolar?",
        "My sample contains {ion} ions, {millimolar} millimolar. Which pH does it have?",
        "Tell me the pH belonging to {millimolar} millimolar of {ion}.",
    ],
)
def solution_ph(millimolar, ion="hydrogen"):
    if not 1e-12 <= millimolar <= 1e5:
        raise ValueError("the concentration must be from 1e-12 to 100000 millimolar")
    power = 3 - math.log10(millimolar)
    return round(power if ion == "hydrogen" else 14 - power, 2) + 0.0
