"""Interest, loans, prices and taxes."""

import math

from tool_corpora.kit import choice, integer, number, tool

_PERIODS = {"yearly": 1, "monthly": 12, "daily": 365}


def _money(*amounts):
    """Raise ValueError unless all amounts are between 0 and 1e9."""
    if not all(0 <= amount <= 1e9 for amount in amounts):
        raise ValueError("amounts must be between 0 and 1e9")


def _percent(rate, most=100):
    """A rate in percent as a fraction."""
    if not 0 <= rate <= most:
        raise ValueError(f"the rate must be between 0 and {most} percent")
    return rate / 100


@tool(
    "Find the simple interest on a sum over some years.",
    returns="The interest alone, rounded to 2 decimals.",
    principal=number("Sum of money lent.", 100, 9000),
    rate=number("Yearly interest rate in percent.", 1, 12, 1),
    years=integer("Number of years.", 1, 40),
    ask=[
        "What is the simple interest on {principal} at {rate} percent over {years} years?",
        "Find the simple interest for {years} years on {principal} at {rate} percent.",
        "At {rate} percent, how much simple interest does {principal} earn in {years} years?",
        "I lend {principal} for {years} years at {rate} percent. Compute the simple interest.",
    ],
    held=[
        "Over {years} years, {principal} at {rate} percent brings which simple interest?",
        "Simple interest is paid at {rate} percent on {principal}; how much after {years} years?",
    ],
)
def simple_interest(principal, rate, years):
    _money(principal, years)
    return round(principal * _percent(rate) * years, 2)


@tool(
    "Find the balance of savings that grow with compound interest.",
    returns="The final balance, rounded to 2 decimals.",
    principal=number("Money saved at the start.", 100, 9000),
    rate=number("Yearly interest rate in percent.", 1, 12, 1),
    years=integer("Number of years.", 1, 40),
    period=choice("How often interest is added.", list(_PERIODS), default="yearly"),
    ask=[
        "What balance does {principal} reach in {years} years of compound interest at {rate}%?",
        "Find the compound balance of {principal} at {rate}% after {years} years.",
        "With {period} compound interest at {rate}%, what becomes of {principal} in {years} years?",
        "I save {principal} for {years} years at {rate}% compound interest, added {period}.",
    ],
    held=[
        "After {years} years at {rate}% compound interest, how much is {principal} worth?",
        "Let {principal} compound {period} at {rate}% for {years} years and give the balance.",
    ],
)
def compound_balance(principal, rate, years, period="yearly"):
    _money(principal)
    if not 0 <= years <= 100:
        raise ValueError("the years must be between 0 and 100")
    times = _PERIODS[period]
    return round(principal * (1 + _percent(rate) / times) ** (times * years), 2)


@tool(
    "Find the monthly payment that pays off a loan.",
    returns="The payment per month, rounded to 2 decimals.",
    loan=number("Money borrowed.", 500, 90000, 0),
    rate=number("Yearly interest rate in percent.", 1, 15, 1),
    months=integer("Number of monthly payments.", 3, 360),
    ask=[
        "What is the monthly payment on a loan of {loan} at {rate}% over {months} months?",
        "Find the payment for a loan of {loan} over {months} months at {rate}%.",
        "At {rate}%, I pay off a loan of {loan} in {months} months. What is each payment?",
        "How much per month does a {loan} loan cost for {months} months at {rate}%?",
    ],
    held=[
        "To be rid of a loan of {loan} in {months} months at {rate}%, which payment is due?",
        "The loan is {loan}, the rate {rate}%, the term {months} months. Give the payment.",
    ],
)
def loan_payment(loan, rate, months):
    _money(loan)
    if not 1 <= months <= 1200:
        raise ValueError("the months must be between 1 and 1200")
    monthly = _percent(rate) / 12
    if monthly < 1e-9:
        return round(loan / months, 2)
    return round(loan * monthly / -math.expm1(-months * math.log1p(monthly)), 2)


@tool(
    "Find the price after a percent discount.",
    returns="The lower price, rounded to 2 decimals.",
    price=number("Price before the discount.", 1, 900),
    percent=integer("Discount in percent.", 1, 90),
    ask=[
        "What is a price of {price} after a discount of {percent} percent?",
        "Take a {percent} percent discount off the price {price}.",
        "The shoes cost {price} with a discount of {percent} percent. What do I pay?",
        "Find the discount price when {percent} percent comes off {price}.",
    ],
    held=[
        "A shop gives {percent} percent discount; how much is an item priced {price}?",
        "Lower {price} by its discount of {percent} percent.",
    ],
)
def discount_price(price, percent):
    _money(price)
    return round(price * (1 - _percent(percent)), 2)


@tool(
    "Find the selling price from a cost and a percent markup.",
    returns="The selling price, rounded to 2 decimals.",
    cost=number("Cost of the goods.", 1, 900),
    percent=integer("Markup in percent of the cost.", 1, 200),
    ask=[
        "What is the selling price at cost {cost} and a markup of {percent} percent?",
        "Put a {percent} percent markup on the cost {cost}.",
        "The goods cost {cost} and our markup is {percent} percent. What is the price?",
        "Find the price when the markup is {percent} percent on {cost}.",
    ],
    held=[
        "A dealer takes {percent} percent markup; for what does he sell a cost of {cost}?",
        "Raise {cost} by its markup of {percent} percent.",
    ],
)
def markup_price(cost, percent):
    _money(cost)
    return round(cost * (1 + _percent(percent, 10000)), 2)


@tool(
    "Add sales tax to a net price.",
    returns="The price with tax, rounded to 2 decimals.",
    price=number("Net price without tax.", 1, 900),
    tax=number("Tax rate in percent.", 1, 25, 1),
    ask=[
        "What is a net price of {price} with {tax} percent tax added?",
        "Add {tax} percent sales tax to {price}.",
        "The net price is {price} and the tax {tax} percent. What is the total?",
        "How much do I pay for {price} plus {tax} percent sales tax?",
    ],
    held=[
        "Put the tax of {tax} percent on top of the net price {price}.",
        "With sales tax at {tax} percent added, what does {price} become?",
    ],
)
def add_sales_tax(price, tax):
    _money(price)
    return round(price * (1 + _percent(tax)), 2)


@tool(
    "Remove the sales tax contained in a gross price.",
    returns="The net price without tax, rounded to 2 decimals.",
    price=number("Gross price with tax.", 1, 900),
    tax=number("Tax rate in percent.", 1, 25, 1),
    ask=[
        "What is a gross price of {price} with {tax} percent tax removed?",
        "Remove {tax} percent sales tax from {price}.",
        "The gross price is {price} and contains {tax} percent tax. What is the net price?",
        "How much is {price} without the {tax} percent sales tax it contains?",
    ],
    held=[
        "Take the tax of {tax} percent back out of the gross price {price}.",
        "With its sales tax of {tax} percent removed, what does {price} become?",
    ],
)
def remove_sales_tax(price, tax):
    _money(price)
    return round(price / (1 + _percent(tax)), 2)


@tool(
    "Find the profit margin in percent from revenue and costs.",
    returns="Profit as a percent of revenue, rounded to 2 decimals.",
    revenue=number("Money taken in.", 200, 9000, 0),
    costs=number("Money spent.", 1, 200, 0),
    ask=[
        "What is the profit margin with revenue {revenue} and costs {costs}?",
        "Find the profit margin when costs are {costs} and revenue is {revenue}.",
        "Our revenue was {revenue} and our costs were {costs}. Compute the margin.",
        "At costs of {costs}, what margin leaves a revenue of {revenue}?",
    ],
    held=[
        "The bakery had {costs} in costs on a revenue of {revenue}; what margin is that?",
        "From {revenue} of revenue and {costs} of costs, work out the profit margin.",
    ],
)
def profit_margin(revenue, costs):
    _money(revenue, costs)
    if revenue < 0.01:
        raise ValueError("the revenue must be at least 0.01")
    return round((revenue - costs) / revenue * 100, 2)


@tool(
    "Split a restaurant bill evenly between people, with a tip.",
    returns="What each person pays, rounded to 2 decimals.",
    bill=number("Bill before the tip.", 10, 400),
    people=integer("Number of people.", 1, 30),
    tip=integer("Tip in percent.", 0, 30, default=0),
    ask=[
        "Split a bill of {bill} between {people} people.",
        "How much does each of {people} people pay of a {bill} bill?",
        "Split the bill of {bill} between {people} people with a tip of {tip} percent.",
        "With a {tip} percent tip, what does each of {people} people pay on a bill of {bill}?",
    ],
    held=[
        "We are {people} people and the bill is {bill}. What is one share?",
        "Adding a tip of {tip} percent, share a bill of {bill} among {people} people.",
    ],
)
def split_bill(bill, people, tip=0):
    _money(bill)
    if not 1 <= people <= 1e6:
        raise ValueError("the bill needs between 1 and 1e6 people")
    return round(bill * (1 + _percent(tip, 1000)) / people, 2)


@tool(
    "Exchange an amount of money at a currency rate, less a fee.",
    returns="The amount in the other currency, rounded to 2 decimals.",
    amount=number("Money to exchange.", 1, 3000),
    rate=number("Exchange rate per unit.", 0.2, 9),
    fee=number("Fee in percent of the amount.", 0.5, 9, 1, default=0),
    ask=[
        "Exchange {amount} at a rate of {rate}.",
        "At an exchange rate of {rate}, what do I get for {amount}?",
        "Exchange the amount {amount} at rate {rate} with a fee of {fee} percent.",
        "With a {fee} percent fee, how much is {amount} at the exchange rate {rate}?",
        "The currency rate is {rate}. How much foreign money is {amount}?",
    ],
    held=[
        "I give the bank {amount} to exchange at a {rate} rate; what comes back?",
        "The exchange office takes {fee} percent fee. Change {amount} at rate {rate}.",
    ],
)
def exchange_money(amount, rate, fee=0):
    _money(amount, rate)
    return round(amount * (1 - _percent(fee)) * rate, 2)


@tool(
    "Find how many units must be sold to break even.",
    returns="The number of units, rounded up.",
    fixed=number("Fixed costs in total.", 100, 9000, 0),
    price=number("Selling price of one unit.", 50, 99, 1),
    cost=number("Cost of making one unit.", 1, 45, 1),
    ask=[
        "How many units break even with fixed costs {fixed}, price {price} and unit cost {cost}?",
        "Find the break even units at price {price}, unit cost {cost} and fixed costs {fixed}.",
        "Fixed costs are {fixed}, a unit sells for price {price} at cost {cost}. When break even?",
        "To break even on fixed costs of {fixed} at cost {cost} and price {price}, sell how many?",
    ],
    held=[
        "Each unit has cost {cost} and price {price}; what sales break even on fixed {fixed}?",
        "With {fixed} fixed costs, when do units of price {price} and cost {cost} break even?",
    ],
)
def break_even_units(fixed, price, cost):
    _money(fixed, price, cost)
    if price - cost < 0.01:
        raise ValueError("the price must be above the cost of a unit")
    return math.ceil(round(fixed / (price - cost), 6))
