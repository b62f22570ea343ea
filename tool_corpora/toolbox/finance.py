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
    "Find the simple interest on a sum over some years. "
    "What a lender earns at a flat yearly rate, with no interest on interest.",
    returns="The interest alone, rounded to 2 decimals.",
    principal=number("Sum of money lent.", 100, 9000),
    rate=number("Yearly interest rate in percent.", 1, 12, 1),
    years=integer("Number of years.", 1, 40),
    ask=[
        "What is the simple interest on {principal} at {rate} percent over {years} years?",
        "Find the simple interest for {years} years on {principal} at {rate} percent.",
        "At {rate} percent, how much simple interest does {principal} earn in {years} years?",
        "I lend {principal} for {years} years at {rate} percent. Compute the simple interest.",
        (
            "I borrowed {principal} at a yearly rate of {rate} percent, no compounding. What "
            "interest do I owe after {years} years?"
        ),
        "Interest without compounding: principal {principal}, rate {rate} percent, years {years}.",
        (
            "For {years} years, a friend pays me {rate} percent a year on {principal}. How "
            "much plain interest is that?"
        ),
        (
            "Calculate the non-compounded interest when {principal} sits for {years} years at "
            "{rate} percent annually."
        ),
        (
            "How much does a loan of {principal} cost in simple interest, at {rate} percent "
            "per year for {years} years?"
        ),
        "Term {years} years, rate {rate} percent, sum {principal}: simple interest?",
        (
            "If a bond of {principal} pays {rate} percent each year on the original sum, what "
            "does it yield over {years} years?"
        ),
        (
            "Over {years} years, what do I earn on {principal} with {rate} percent simple "
            "annual interest?"
        ),
        (
            "At an annual {rate} percent, paid only on the starting capital of {principal}, "
            "what interest builds up in {years} years?"
        ),
        (
            "Tell me the simple interest accrued: {rate} percent yearly, {years} years, "
            "capital {principal}."
        ),
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
    "Find the balance of savings that grow with compound interest. "
    "What a bank deposit or nest egg is worth after years with interest on interest.",
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
    "Find the monthly payment that pays off a loan. "
    "What a mortgage, car or other credit costs each month, the instalment with interest.",
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
    "Find the price after a percent discount. "
    "In a sale, what an item costs with so much percent off, a rebate or coupon.",
    returns="The lower price, rounded to 2 decimals.",
    price=number("Price before the discount.", 1, 900),
    percent=integer("Discount in percent.", 1, 90),
    ask=[
        "What is a price of {price} after a discount of {percent} percent?",
        "Take a {percent} percent discount off the price {price}.",
        "The shoes cost {price} with a discount of {percent} percent. What do I pay?",
        "Find the discount price when {percent} percent comes off {price}.",
        "A jacket is marked {price} and reduced by {percent} percent. How much is it now?",
        "What's {price} with {percent}% off?",
        "Everything is {percent} percent cheaper today; what would a {price} lamp cost me?",
        "Calculate the sale price: originally {price}, reduction {percent} percent.",
        "I have a voucher for {percent} percent. The regular price is {price}, what's left to pay?",
        "Lower {price} by a rebate of {percent} percent.",
        "Reduced price, please: {percent} percent markdown on {price}.",
        "If the store knocks {percent} percent off {price}, what will I be charged?",
        "Old price {price}, now {percent} percent less. New price?",
        "Members save {percent} percent, so how much do they spend on something costing {price}?",
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
    "Find the selling price from a cost and a percent markup. "
    "What a shop should charge when it puts a percentage on top of the purchase cost.",
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
    "Add sales tax to a net price. "
    "From the amount before VAT or GST to what the customer pays at the till.",
    returns="The price with tax, rounded to 2 decimals.",
    price=number("Net price without tax.", 1, 900),
    tax=number("Tax rate in percent.", 1, 25, 1),
    ask=[
        "What is a net price of {price} with {tax} percent tax added?",
        "Add {tax} percent sales tax to {price}.",
        "The net price is {price} and the tax {tax} percent. What is the total?",
        "How much do I pay for {price} plus {tax} percent sales tax?",
        (
            "An item is listed at {price} before tax. With VAT at {tax} percent, what's the "
            "final price?"
        ),
        "Calculate the gross price for a net amount of {price}, the tax rate being {tax}%.",
        "VAT of {tax} percent comes on top of {price}. What do I charge the customer?",
        "Gross amount: net {price}, tax {tax} percent?",
        "If the shop puts {tax} percent sales tax onto {price}, how much is due at the till?",
        (
            "I sell a table for {price} excluding tax; what must the buyer pay including "
            "{tax} percent tax?"
        ),
        "Turn the pre-tax price {price} into one that includes {tax} percent VAT.",
        "Sales tax here is {tax} percent. Tell me the full cost of goods priced {price} net.",
        "What does {price} come to after sales tax of {tax} percent is put on it?",
        "Please raise the untaxed sum {price} by the {tax} percent value added tax.",
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
    "Remove the sales tax contained in a gross price. "
    "From a receipt total with VAT or GST included back to the amount before tax.",
    returns="The net price without tax, rounded to 2 decimals.",
    price=number("Gross price with tax.", 1, 900),
    tax=number("Tax rate in percent.", 1, 25, 1),
    ask=[
        "What is a gross price of {price} with {tax} percent tax removed?",
        "Remove {tax} percent sales tax from {price}.",
        "The gross price is {price} and contains {tax} percent tax. What is the net price?",
        "How much is {price} without the {tax} percent sales tax it contains?",
        "The receipt says {price} including {tax} percent VAT. How much was it before tax?",
        "Calculate the net amount of a {price} gross bill, tax rate {tax}%.",
        (
            "I paid {price} in the shop, {tax} percent sales tax included; what's the price "
            "without it?"
        ),
        "Net price: gross {price}, VAT {tax} percent?",
        "Strip the {tax} percent VAT out of {price}.",
        "What was the pre-tax price if {price} already has {tax} percent tax in it?",
        "With {tax} percent tax built in, an item costs {price}. Find its untaxed price.",
        (
            "As a business I get the {tax} percent VAT back. What do I really pay for "
            "something at {price}?"
        ),
        "Take the included sales tax of {tax} percent back out of the total {price}.",
        "Please work back from the tax-inclusive sum {price} to the net figure, at {tax} percent.",
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
    "Find the profit margin in percent from revenue and costs. "
    "What share of the sales or turnover a business keeps as earnings after expenses.",
    returns="Profit as a percent of revenue, rounded to 2 decimals.",
    revenue=number("Money taken in.", 200, 9000, 0),
    costs=number("Money spent.", 1, 200, 0),
    ask=[
        "What is the profit margin with revenue {revenue} and costs {costs}?",
        "Find the profit margin when costs are {costs} and revenue is {revenue}.",
        "Our revenue was {revenue} and our costs were {costs}. Compute the margin.",
        "At costs of {costs}, what margin leaves a revenue of {revenue}?",
        "We took in {revenue} and spent {costs}. What percentage of sales is profit?",
        (
            "Spending came to {costs} against an income of {revenue}; how big is our margin "
            "in percent?"
        ),
        "Calculate margin: sales {revenue}, expenses {costs}.",
        "What share of our turnover of {revenue} remains as profit after expenses of {costs}?",
        (
            "My bakery earned {revenue} last month, with expenses of {costs}. Tell me the "
            "profit percentage on revenue."
        ),
        (
            "How profitable, as a percent margin, is a business with costs of {costs} and "
            "sales of {revenue}?"
        ),
        "Given outgoings of {costs}, determine the margin on takings of {revenue}.",
        "Turnover {revenue}, total cost {costs} - profit margin?",
        "I'd like the percentage margin for a project that brought {revenue} and cost us {costs}.",
        "If {costs} goes out and {revenue} comes in, which profit margin does that make?",
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
    "Split a restaurant bill evenly between people, with a tip. "
    "Going Dutch after dinner, everyone at the table pays the same share, gratuity included.",
    returns="What each person pays, rounded to 2 decimals.",
    bill=number("Bill before the tip.", 10, 400),
    people=integer("Number of people.", 1, 30),
    tip=integer("Tip in percent.", 0, 30, default=0),
    ask=[
        "Split a bill of {bill} between {people} people.",
        "How much does each of {people} people pay of a {bill} bill?",
        "Split the bill of {bill} between {people} people with a tip of {tip} percent.",
        "With a {tip} percent tip, what does each of {people} people pay on a bill of {bill}?",
        "Dinner came to {bill} and there were {people} of us. What's my share?",
        "Divide a restaurant check of {bill} equally among {people} guests.",
        (
            "There are {people} friends at the table, the bill says {bill} and we tip {tip} "
            "percent. How much each?"
        ),
        "Per person cost: bill {bill}, {people} diners, tip {tip} percent?",
        (
            "We want to leave {tip} percent for the waiter; what do {people} guests each owe "
            "on {bill}?"
        ),
        "If {people} colleagues share a lunch that cost {bill}, what does everyone chip in?",
        (
            "Add a gratuity of {tip} percent to {bill} and share it out fairly between "
            "{people} diners."
        ),
        "How much must everyone put down so that {people} people together cover {bill}?",
        (
            "Our tab is {bill}. Tell me the amount for every one of the {people} eaters, no tip.",
            {"tip": 0},
        ),
        (
            "Going Dutch with a party of {people}: total {bill}, plus {tip} percent tip, "
            "what's each part?"
        ),
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
    "Exchange an amount of money at a currency rate, less a fee. "
    "Travellers convert cash such as dollars into euros and see what is left after commission.",
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
        (
            "I'm flying abroad with {amount} in cash. At a rate of {rate}, what's that in "
            "local currency?"
        ),
        "Convert {amount} into the other currency, using {rate} as the exchange rate.",
        (
            "The bank keeps {fee} percent as commission and pays a rate of {rate}. What do I "
            "receive for {amount}?"
        ),
        "Swap {amount} of my money; conversion rate {rate}, commission {fee} percent.",
        "One unit buys {rate} of the foreign currency. What do I get when I change {amount}?",
        "Currency conversion: rate {rate}, amount {amount}.",
        "After a {fee} percent charge, how much is paid out if I change {amount} at {rate}?",
        "Without any commission, what would {amount} be worth abroad at a rate of {rate}?",
        (
            "How much foreign cash comes from {amount} when the rate stands at {rate} and the "
            "fee is {fee} percent?"
        ),
        (
            "Less a commission of {fee} percent, please change the sum of {amount} at an "
            "exchange rate of {rate}."
        ),
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
    "Find how many units must be sold to break even. "
    "How many pieces a business has to sell before it covers its costs and earns money.",
    returns="The number of units, rounded up.",
    fixed=number("Fixed costs in total.", 100, 9000, 0),
    price=number("Selling price of one unit.", 50, 99, 1),
    cost=number("Cost of making one unit.", 1, 45, 1),
    ask=[
        "How many units break even with fixed costs {fixed}, price {price} and unit cost {cost}?",
        "Find the break even units at price {price}, unit cost {cost} and fixed costs {fixed}.",
        "Fixed costs are {fixed}, a unit sells for price {price} at cost {cost}. When break even?",
        "To break even on fixed costs of {fixed} at cost {cost} and price {price}, sell how many?",
        (
            "My overhead is {fixed}. Making a mug costs {cost} and I sell it for {price}; how "
            "many until I'm not losing money?"
        ),
        (
            "At what sales volume are fixed expenses of {fixed} covered, given price {price} "
            "and cost {cost} apiece?"
        ),
        (
            "Each piece costs {cost} to produce and brings in {price}. How many cover {fixed} "
            "in fixed costs?"
        ),
        "Selling price {price}, production cost {cost}, fixed costs {fixed}: break-even quantity?",
        (
            "Calculate the break-even point: unit price {price}, fixed costs {fixed}, "
            "variable cost per unit {cost}."
        ),
        (
            "How many items have to go over the counter at {price}, costing {cost} each, "
            "before {fixed} overhead is recovered?"
        ),
        (
            "We charge {price} per ticket, spend {cost} per guest and {fixed} on the hall. "
            "How many guests to break even?"
        ),
        (
            "With a cost of {cost} per unit, fixed costs of {fixed} and a price of {price}, "
            "when do I start earning?"
        ),
        (
            "Tell me the minimum number of sales to recoup {fixed} in overhead, unit cost "
            "{cost}, unit price {price}."
        ),
        (
            "I invested {fixed} up front. Every unit is sold at {price} and made for {cost}; "
            "which quantity recoups everything?"
        ),
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
