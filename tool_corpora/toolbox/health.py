"""Body measures, heart rate, energy and blood pressure of adults."""

from tool_corpora.kit import choice, flag, integer, number, tool

_EFFORTS = {"walking": 3.5, "running": 9.8, "cycling": 7.5, "swimming": 5.8, "rowing": 7.0}


def _within(low, high, *values):
    if not all(low <= value <= high for value in values):
        raise ValueError(f"a measure lies outside {low} to {high}")


@tool(
    "Compute the body mass index from weight and height. "
    "BMI check of whether someone is underweight, normal, overweight or obese for their size.",
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
    "Estimate the calories a body burns per day at rest. "
    "Useful for diets: gives an adult's basal metabolic rate (BMR), without any exercise or "
    "activity.",
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
        (
            "What is the basal metabolic rate of a {sex} aged {age} who weighs {weight} kg "
            "and is {height} cm tall?"
        ),
        (
            "I'm a man, {age} years old, {height} cm, {weight} kg. How many kcal do I use "
            "while doing nothing?",
            {"sex": "male"},
        ),
        "BMR: {weight} kg, {height} cm, {age} years, {sex}.",
        (
            "A woman of {age} weighs {weight} kilos and measures {height} cm. What energy "
            "does she need lying still all day?",
            {"sex": "female"},
        ),
        (
            "Calculate the basal calories per day; {height} cm tall, {age} years old, "
            "{weight} kg heavy, {sex}."
        ),
        (
            "If I stayed in bed all day, how many kcal would I use? {sex}, {weight} kg, {age} "
            "years, {height} cm."
        ),
        (
            "Tell me the daily energy that the body of a {height} cm tall woman needs at "
            "rest, {weight} kg and {age} years old.",
            {"sex": "female"},
        ),
        (
            "My husband is {age}, stands {height} cm and weighs {weight} kg. Work out his "
            "basal metabolism.",
            {"sex": "male"},
        ),
        (
            "Sex {sex}, age {age}, height {height} cm, weight {weight} kg: what is the "
            "resting energy use?"
        ),
        (
            "With {weight} kg at {height} cm, how much does a {age}-year-old {sex} burn "
            "without moving?"
        ),
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
    "Estimate the maximum heart rate from age. "
    "The highest pulse someone that old should reach in training, the upper limit for workouts.",
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
    "Find the target heart rate for training at an intensity. "
    "Runners and cyclists look up the pulse (bpm) to aim for in a cardio workout.",
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
        (
            "I'm {age} years old and my resting pulse is {resting}. How fast should my heart "
            "beat while training?"
        ),
        (
            "Which bpm should I aim for when I work out at {intensity} percent, with resting "
            "pulse {resting}, aged {age}?"
        ),
        "Calculate the exercise pulse for a {age}-year-old whose heart rate at rest is {resting}.",
        "Karvonen formula: age {age}, intensity {intensity} %, resting heart rate {resting}.",
        (
            "My heart beats {resting} times a minute at rest. At {age} years of age, what "
            "pulse should I run at?"
        ),
        (
            "A runner of {age} wants to train at {intensity} percent; the pulse at rest is "
            "{resting}. Recommend a heart rate."
        ),
        "Resting pulse {resting}, {age} years: beats per minute to reach in training?",
        (
            "Tell me how many beats per minute suit a workout if I am {age} and rest at "
            "{resting} beats."
        ),
        (
            "Effort {intensity} percent, pulse at rest {resting}, age {age}. What should my "
            "watch show?"
        ),
        (
            "Work out the training pulse of somebody aged {age} with {resting} bpm at rest "
            "and an effort of {intensity} percent."
        ),
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
    "Estimate how much water a person should drink per day. "
    "For staying hydrated, the fluid intake that suits your body weight and training.",
    returns="Litres per day, rounded to 2 decimals.",
    weight=number("Weight in kilograms.", 45, 120, 1),
    exercise=integer("Minutes of exercise that day.", 10, 120, default=0),
    ask=[
        "How much water should a person of {weight} kg drink per day?",
        "Water to drink at weight {weight} with {exercise} minutes of exercise?",
        "After {exercise} minutes of exercise, how much water does someone of {weight} kg need?",
        "Estimate the daily water for a weight of {weight} kg.",
        "My weight is {weight}. How many litres of water do I need a day?",
        "How many litres a day ought I to drink when I weigh {weight} kg?",
        (
            "Today I trained for {exercise} minutes and I weigh {weight} kilos. What should "
            "my fluid intake be?"
        ),
        "Body weight {weight} kg, recommended water per day?",
        "Calculate the drinking amount for one day: {weight} kg, {exercise} minutes of sport.",
        "Tell me what quantity of water keeps a {weight} kg adult hydrated all day.",
        (
            "A workout of {exercise} minutes is planned. How much must an athlete of {weight} "
            "kg drink that day?"
        ),
        "I'd like to know my daily fluid requirement; the scales show {weight} kg.",
        (
            "If somebody weighs {weight} kg and exercises {exercise} minutes, how many litres "
            "should go into the bottle?"
        ),
        "Recommend an amount of water per day for a {weight} kg person.",
        "Sport today: {exercise} min. My weight: {weight} kg. Litres to drink?",
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
    "Compute the ratio of waist to hip. "
    "A body shape and belly fat measure (WHR), from a tape around the middle and hips.",
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
    "Estimate the calories burned by some minutes of an activity. "
    "How much energy a workout such as a jog, bike ride or swim uses up.",
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
        "What energy do I use up if I spend {minutes} minutes on {activity}?",
        (
            "My weight is {weight} kg and I plan {minutes} minutes of {activity}. How many "
            "kcal will that cost?"
        ),
        (
            "I jogged for {minutes} minutes this morning; how many calories went?",
            {"activity": "running"},
        ),
        "{activity}, {minutes} min, body weight {weight} kg: kcal?",
        (
            "Tell me how much energy a {minutes}-minute bike ride uses.",
            {"activity": "cycling"},
        ),
        (
            "Someone weighing {weight} kilos swam for {minutes} minutes. Give the "
            "kilocalories spent.",
            {"activity": "swimming"},
        ),
        "Roughly what calorie consumption comes with {activity} that lasts {minutes} minutes?",
        (
            "Before dinner I went for a walk of {minutes} minutes. How many calories did I "
            "get rid of?",
            {"activity": "walking"},
        ),
        "Work out the kcal for {activity}: duration {minutes} minutes, person of {weight} kg.",
        (
            "With {minutes} minutes in the rowing boat and a body weight of {weight} kg, how "
            "many calories are gone?",
            {"activity": "rowing"},
        ),
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
    "Compute the mean arterial pressure from two blood pressures. "
    "Clinicians use this average (MAP) of a systolic and diastolic reading to judge organ "
    "perfusion.",
    returns="The mean pressure in mmHg, rounded to 1 decimal.",
    systolic=number("Upper blood pressure.", 95, 180, 0),
    diastolic=number("Lower blood pressure.", 55, 94, 0),
    ask=[
        "What is the mean arterial pressure with systolic {systolic} and diastolic {diastolic}?",
        "Mean blood pressure for diastolic {diastolic} and systolic {systolic}?",
        "Compute the mean arterial pressure of a reading {systolic} over {diastolic}.",
        "Find the arterial mean when systolic is {systolic}, diastolic {diastolic}.",
        (
            "My cuff shows {systolic} for the upper value and {diastolic} for the lower. What "
            "is the average pressure in my arteries?"
        ),
        "MAP please: diastolic {diastolic}, systolic {systolic}.",
        (
            "Calculate the average arterial pressure from a lower value of {diastolic} and an "
            "upper value of {systolic}."
        ),
        "Blood pressure {systolic}/{diastolic}. How high is the MAP?",
        (
            "If the patient's systolic pressure is {systolic} and the diastolic one "
            "{diastolic}, which mean pressure results?"
        ),
        (
            "The nurse wrote down {systolic} over {diastolic}; work out the mean of the "
            "arterial pressure."
        ),
        (
            "Tell me the MAP in mmHg when the bottom number reads {diastolic} and the top "
            "number {systolic}."
        ),
        (
            "With a diastolic reading of {diastolic}, what arterial average goes with "
            "{systolic} systolic?"
        ),
        (
            "I measured {diastolic} as the lower and {systolic} as the upper blood pressure. "
            "Derive the mean pressure."
        ),
        "Determine the mean arterial value, upper reading {systolic}, lower reading {diastolic}.",
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
    "Compute the pulse pressure, the gap between two blood pressures. "
    "Subtracts the diastolic from the systolic reading, and can say whether the difference is "
    "healthy.",
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
        "How far apart are my upper blood pressure {systolic} and my lower one {diastolic}?",
        "Blood pressure {systolic}/{diastolic}: difference between the two values?",
        (
            "Calculate the gap between a diastolic value of {diastolic} and a systolic value "
            "of {systolic}."
        ),
        (
            "The doctor measured {systolic} over {diastolic}. Should I call that gap narrow, "
            "normal or wide?",
            {"verdict": True},
        ),
        (
            "With {diastolic} as bottom number and {systolic} as top number, what does the "
            "pulse pressure amount to?"
        ),
        (
            "Rate the gap of my blood pressures, lower {diastolic}, upper {systolic}, as "
            "narrow, normal or wide.",
            {"verdict": True},
        ),
        (
            "Tell me the pulse pressure in mmHg; systolic was {systolic}, diastolic came to "
            "{diastolic}."
        ),
        (
            "Does a reading with systolic {systolic} and diastolic {diastolic} count as a "
            "normal pulse pressure or not?",
            {"verdict": True},
        ),
        "Work out by how many mmHg the systolic {systolic} exceeds the diastolic {diastolic}.",
        (
            "Diastolic {diastolic}, systolic {systolic}. Just say in a word how the pulse "
            "pressure is to be judged.",
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
