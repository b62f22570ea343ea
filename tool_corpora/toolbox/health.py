"""Body measures, heart rate, energy and blood pressure of adults."""

from tool_corpora.kit import choice, flag, integer, number, tool

_EFFORTS = {"walking": 3.5, "running": 9.8, "cycling": 7.5, "swimming": 5.8, "rowing": 7.0}


def _within(low, high, *values):
    if not all(low <= value <= high for value in values):
        raise ValueError(f"a measure lies outside {low} to {high}")


@tool(
    "Compute the body mass index from weight and height.",
    returns="The index in kg per square metre, rounded to 1 decimal.",
    weight=number("Weight in kilograms.", 45, 120, 1),
    height=number("Height in centimetres.", 145, 205, 0),
    ask=[
        "What is the body mass index for weight {weight} kg and height {height} cm?",
        "Compute the BMI of someone with height {height} and weight {weight}.",
        "My weight is {weight} and my height {height}. What is my body mass index?",
        "Body mass index of a person of {weight} kg and {height} cm, please.",
        "With a height of {height} cm, what BMI does a weight of {weight} kg give?",
    ],
    held=[
        "I weigh {weight} kg and am {height} cm tall. Tell me my body mass index.",
        "Work out which BMI belongs to height {height} with weight {weight}.",
        "Find the index of body mass at {height} cm and {weight} kg.",
    ],
)
def body_mass_index(weight, height):
    _within(1, 1000, weight, height)
    return round(weight / (height / 100) ** 2, 1)


@tool(
    "Estimate the calories a body burns per day at rest.",
    returns="Kilocalories per day as a whole number (Mifflin-St Jeor).",
    weight=number("Weight in kilograms.", 45, 120, 1),
    height=number("Height in centimetres.", 145, 205, 0),
    age=integer("Age in years.", 18, 90),
    sex=choice("Sex of the person.", ["male", "female"]),
    ask=[
        "Calories at rest for a {sex} of age {age}, weight {weight}, height {height}?",
        "What calories burn at rest: {sex}, weight {weight}, height {height}, age {age}?",
        "Estimate resting calories: {sex}, {age} years, {height} cm, {weight} kg.",
        "At rest, how many calories go with height {height}, weight {weight}, age {age}, {sex}?",
    ],
    held=[
        "I am {sex}, {age} years old, {height} cm and {weight} kg. Calories per day at rest?",
        "Find resting daily calories: weight {weight}, age {age}, height {height}, {sex}.",
    ],
)
def resting_calories(weight, height, age, sex):
    _within(1, 1000, weight, height)
    _within(0, 130, age)
    base = 10 * weight + 6.25 * height - 5 * age
    return max(0, round(base + (5 if sex == "male" else -161)))


@tool(
    "Estimate the maximum heart rate from age.",
    returns="Beats per minute as a whole number.",
    age=integer("Age in years.", 10, 90),
    formula=choice("Formula to use.", ["fox", "tanaka"], default="fox"),
    ask=[
        "What is the maximum heart rate at age {age}?",
        "Estimate the maximum heart rate for age {age} with the {formula} formula.",
        "How fast can a heart beat at most at {age} years?",
        "By the formula of {formula}, give the maximum heart rate at {age}.",
        "My age is {age}. What is my maximum heart rate?",
    ],
    held=[
        "A runner of {age} years asks for her maximum heart rate.",
        "At {age} years of age, what is the highest heart rate? Take the {formula} formula.",
        "Using {formula}, what maximum does the heart rate have at age {age}?",
    ],
)
def maximum_heart_rate(age, formula="fox"):
    _within(0, 130, age)
    return round(220 - age if formula == "fox" else 208 - 0.7 * age)


@tool(
    "Find the target heart rate for training at an intensity.",
    returns="Beats per minute as a whole number (Karvonen).",
    age=integer("Age in years.", 15, 80),
    resting=integer("Resting heart rate.", 45, 90),
    intensity=integer("Training intensity in percent.", 50, 90, default=70),
    ask=[
        "What target heart rate fits age {age}, resting rate {resting}, intensity {intensity}?",
        "Find my target heart rate: resting {resting}, age {age}.",
        "For training at {intensity} percent, age {age}, resting {resting}, give the target rate.",
        "With a resting heart rate of {resting} at age {age}, what is the training target?",
        "Target pulse at intensity {intensity} with resting {resting} and age {age}?",
    ],
    held=[
        "I am {age} with a resting rate of {resting}. At {intensity} percent, what is my target?",
        "Which target heart rate should I train at, with age {age} and resting rate {resting}?",
        "Intensity {intensity}, resting pulse {resting}, age {age}: tell me the target heart rate.",
    ],
)
def target_heart_rate(age, resting, intensity=70):
    _within(0, 130, age)
    _within(0, 220, resting)
    _within(0, 100, intensity)
    return round(resting + (220 - age - resting) * intensity / 100)


@tool(
    "Estimate how much water a person should drink per day.",
    returns="Litres per day, rounded to 2 decimals.",
    weight=number("Weight in kilograms.", 45, 120, 1),
    exercise=integer("Minutes of exercise that day.", 10, 120, default=0),
    ask=[
        "How much water should a person of {weight} kg drink per day?",
        "Water to drink at weight {weight} with {exercise} minutes of exercise?",
        "After {exercise} minutes of exercise, how much water does someone of {weight} kg need?",
        "Estimate the daily water for a weight of {weight} kg.",
        "My weight is {weight}. How many litres of water do I need a day?",
    ],
    held=[
        "I weigh {weight} kg and exercise {exercise} minutes. How much water should I drink?",
        "What amount of water is enough in a day for {weight} kg?",
        "With exercise of {exercise} minutes and weight {weight}, tell me the water to drink.",
    ],
)
def daily_water_need(weight, exercise=0):
    _within(1, 1000, weight)
    _within(0, 1440, exercise)
    return round(weight * 0.033 + exercise / 30 * 0.35, 2)


@tool(
    "Compute the ratio of waist to hip.",
    returns="The ratio, rounded to 2 decimals.",
    waist=number("Waist in centimetres.", 60, 120, 1),
    hip=number("Hip in centimetres.", 80, 130, 1),
    ask=[
        "What is the waist to hip ratio for waist {waist} and hip {hip}?",
        "My hip is {hip} cm and my waist {waist} cm. Give the ratio.",
        "Compute the ratio of a waist of {waist} to a hip of {hip}.",
        "With hip {hip}, what ratio does the waist {waist} make?",
        "Waist {waist}, hip {hip}: which ratio?",
    ],
    held=[
        "I measured {waist} around the waist and {hip} around the hip. What is the ratio?",
        "Find the hip and waist ratio of someone with hip {hip} and waist {waist}.",
    ],
)
def waist_hip_ratio(waist, hip):
    _within(1, 1000, waist, hip)
    return round(waist / hip, 2)


@tool(
    "Estimate the calories burned by some minutes of an activity.",
    returns="Kilocalories as a whole number.",
    activity=choice("Kind of activity.", list(_EFFORTS)),
    minutes=integer("Minutes of activity.", 10, 90),
    weight=number("Weight in kilograms.", 45, 120, 1, default=70),
    ask=[
        "How many calories do {minutes} minutes of {activity} burn?",
        "Calories burned by {activity} for {minutes} minutes at weight {weight} kg?",
        "At {weight} kg, what do {minutes} minutes {activity} burn in calories?",
        "Estimate the calories I burn with {activity} over {minutes} minutes.",
        "I did {activity} for {minutes} minutes. How many calories is that?",
    ],
    held=[
        "Someone of {weight} kg spends {minutes} minutes {activity}. Calories burned?",
        "Tell me what {activity} burns in {minutes} minutes, in calories.",
        "If I weigh {weight}, how many calories get burned by {minutes} minutes of {activity}?",
    ],
)
def activity_calories(activity, minutes, weight=70):
    if activity not in _EFFORTS:
        raise ValueError("unknown activity")
    _within(1, 1000, weight)
    _within(0, 1440, minutes)
    return round(_EFFORTS[activity] * weight * minutes / 60)


@tool(
    "Compute the mean arterial pressure from two blood pressures.",
    returns="The mean pressure in mmHg, rounded to 1 decimal.",
    systolic=number("Upper blood pressure.", 95, 180, 0),
    diastolic=number("Lower blood pressure.", 55, 94, 0),
    ask=[
        "What is the mean arterial pressure with systolic {systolic} and diastolic {diastolic}?",
        "Mean blood pressure for diastolic {diastolic} and systolic {systolic}?",
        "Compute the mean arterial pressure of a reading {systolic} over {diastolic}.",
        "Find the arterial mean when systolic is {systolic}, diastolic {diastolic}.",
    ],
    held=[
        "My blood pressure is {systolic} over {diastolic}. What is the mean arterial value?",
        "With {diastolic} diastolic and {systolic} systolic, tell me the mean pressure.",
    ],
)
def mean_arterial_pressure(systolic, diastolic):
    _within(0, 400, systolic, diastolic)
    if diastolic > systolic:
        raise ValueError("the systolic pressure must be the higher one")
    return round(diastolic + (systolic - diastolic) / 3, 1)


@tool(
    "Compute the pulse pressure, the gap between two blood pressures.",
    returns="The pulse pressure in mmHg, or a verdict.",
    systolic=number("Upper blood pressure.", 95, 180, 0),
    diastolic=number("Lower blood pressure.", 55, 94, 0),
    verdict=flag("Whether to say narrow, normal or wide instead."),
    ask=[
        "What is the pulse pressure with systolic {systolic} and diastolic {diastolic}?",
        "Pulse pressure for diastolic {diastolic} and systolic {systolic}, please.",
        "Find the pulse pressure of a reading {systolic} over {diastolic}.",
        (
            "Give a verdict on the pulse pressure at systolic {systolic}, diastolic {diastolic}.",
            {"verdict": True},
        ),
        (
            "Is the pulse pressure narrow, normal or wide at {systolic} over {diastolic}?",
            {"verdict": True},
        ),
    ],
    held=[
        "My reading was {systolic} over {diastolic}. How big is the pulse pressure?",
        "How large is the gap called pulse pressure at diastolic {diastolic}, systolic {systolic}?",
        (
            "With {systolic} systolic and {diastolic} diastolic, is my pulse pressure too wide?",
            {"verdict": True},
        ),
    ],
)
def pulse_pressure(systolic, diastolic, verdict=False):
    _within(0, 400, systolic, diastolic)
    gap = round(systolic - diastolic, 1)
    if gap < 0:
        raise ValueError("the systolic pressure must be the higher one")
    if not verdict:
        return gap
    return "narrow" if gap < 0.25 * systolic else "wide" if gap > 60 else "normal"
