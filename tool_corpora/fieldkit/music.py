"""Notes, scales, chords and tempo."""

import re

from tool_corpora.kit import choice, flag, integer, number, pattern, tool

_LETTERS = "CDEFGAB"
_PITCHES = dict(zip(_LETTERS, (0, 2, 4, 5, 7, 9, 11), strict=True))
_SHARPS = "C C# D D# E F F# G G# A A# B".split()
_FLATS = "C Db D Eb E F Gb G Ab A Bb B".split()
_KEYS = sorted(set(_SHARPS) | set(_FLATS))
_MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
_CHORDS = {  # letter steps and semitones above the root
    "major": ((0, 0), (2, 4), (4, 7)),
    "minor": ((0, 0), (2, 3), (4, 7)),
    "diminished": ((0, 0), (2, 3), (4, 6)),
    "augmented": ((0, 0), (2, 4), (4, 8)),
    "suspended": ((0, 0), (3, 5), (4, 7)),
}


def _key(rng):
    return rng.choice(_KEYS)


def _pitch(note):
    found = re.fullmatch(r"([A-G])([#b]?)", note[:1].upper() + note[1:])
    if not found:
        raise ValueError("a note is a letter from A to G, perhaps with # or b")
    return found[1], _PITCHES[found[1]] + {"": 0, "#": 1, "b": -1}[found[2]]


def _spell(root, steps):
    """Name the notes that lie the given (letters, semitones) above the root."""
    letter, pitch = _pitch(root)
    names = []
    for letters, semitones in steps:
        name = _LETTERS[(_LETTERS.index(letter) + letters) % 7]
        shift = (pitch + semitones - _PITCHES[name] + 6) % 12 - 6
        names.append(name + ("#" * shift if shift > 0 else "b" * -shift))
    return " ".join(names)


@tool(
    "Give the frequency in hertz of a musical note. "
    "Gives the pitch in Hz of a piano key or string for tuning instruments and synths.",
    returns="The frequency in hertz, rounded to 2 decimals.",
    note=pattern("Note with its octave.", lambda r: f"{_key(r)}{r.randint(0, 8)}", "A4"),
    tuning=number("Frequency of A4 in hertz.", 415, 466, 1, default=440),
    ask=[
        "What is the frequency of the note {note}?",
        "How many hertz has the note {note} in a tuning of {tuning}?",
        "Give me the frequency of {note} when A4 is tuned to {tuning}.",
        "The note {note} sounds at which frequency?",
        "Find the pitch frequency for {note}.",
    ],
    held=[
        "At how many hertz does a musical {note} vibrate?",
        "Our piano uses the tuning {tuning}; which frequency does its note {note} have?",
        "Tell me the hertz of a played {note}.",
    ],
)
def note_frequency(note, tuning=440):
    found = re.fullmatch(r"([A-Ga-g][#b]?)(\d)", note)
    if not found:
        raise ValueError("a note is a letter, perhaps # or b, and an octave from 0 to 9")
    if not 1 <= tuning <= 10000:
        raise ValueError("tuning must be from 1 to 10000 hertz")
    steps = _pitch(found[1])[1] - 9 + 12 * (int(found[2]) - 4)
    return round(tuning * 2 ** (steps / 12), 2)


@tool(
    "Transpose a note up or down by some semitones. "
    "Shifts a single pitch higher or lower by half steps, as when changing key.",
    returns="The new note without octave.",
    note=pattern("Note without octave.", _key, "F#"),
    semitones=integer("Semitones to move.", 0, 24),
    direction=choice("Direction of the move.", ["up", "down"]),
    flats=flag("Spell with flats."),
    ask=[
        "Transpose the note {note} {direction} by {semitones} semitones.",
        "Move the note {note} {semitones} semitones {direction}.",
        "Which note is {semitones} semitones {direction} from {note}?",
        ("Transpose {note} {direction} {semitones} semitones and use flats.", {"flats": True}),
        "Shift {note} {direction} by {semitones} semitones.",
    ],
    held=[
        "Starting on the note {note}, go {direction} {semitones} semitones. Where do I land?",
        "I want {note} transposed {semitones} semitones {direction}.",
        (
            "Spelled with flats, what is {note} transposed {semitones} semitones {direction}?",
            {"flats": True},
        ),
    ],
)
def transpose_note(note, semitones, direction, flats=False):
    moved = _pitch(note)[1] + (semitones if direction == "up" else -semitones)
    return (_FLATS if flats else _SHARPS)[moved % 12]


@tool(
    "Compute how many seconds one bar lasts at a tempo. "
    "Musicians and producers time a measure from the BPM and the beats it holds.",
    returns="The length of a bar in seconds, rounded to 3 decimals.",
    tempo=number("Beats per minute.", 40, 220, 0),
    beats=integer("Beats in one bar.", 1, 16, default=4),
    ask=[
        "How many seconds does one bar last at a tempo of {tempo}?",
        "How long is a bar of {beats} beats at tempo {tempo}?",
        "At {tempo} beats per minute, give the seconds of one bar.",
        "Compute the bar length for tempo {tempo} with {beats} beats in each bar.",
        "Tempo {tempo}: what time does a single bar take?",
    ],
    held=[
        "A song has the tempo {tempo}. For how many seconds does each bar run?",
        "With {beats} beats to the bar and {tempo} per minute, how long is the bar?",
        "I play at tempo {tempo}; tell me the time of a bar.",
    ],
)
def bar_duration(tempo, beats=4):
    if not 1 <= tempo <= 10000:
        raise ValueError("tempo must be from 1 to 10000 beats per minute")
    return round(60 / tempo * beats, 3)


@tool(
    "Spell the seven notes of a musical scale. "
    "Lists every tone of a key or mode, from major and minor to dorian.",
    returns="The notes of the scale, separated by spaces.",
    tonic=pattern("First note of the scale.", _key, "Eb"),
    mode=choice("Mode of the scale.", list(_MODES)),
    ask=[
        "Which notes are in the {tonic} {mode} scale?",
        "Spell the {mode} scale on {tonic}.",
        "Give me the notes of a {mode} scale starting at {tonic}.",
        "List the scale {tonic} {mode}.",
        "What are the seven notes of {tonic} {mode}, as a scale?",
    ],
    held=[
        "I practise scales: how does {tonic} {mode} go?",
        "Write out the {mode} scale whose tonic is {tonic}.",
        "From the tonic {tonic}, which notes does a {mode} scale run through?",
    ],
)
def spell_scale(tonic, mode):
    return _spell(tonic, list(enumerate(_MODES[mode])))


@tool(
    "Spell the three notes of a musical chord. "
    "Tells which tones make up a triad, such as C minor or G augmented.",
    returns="The notes of the chord, separated by spaces.",
    root=pattern("Root note of the chord.", _key, "Bb"),
    quality=choice("Quality of the chord.", list(_CHORDS)),
    ask=[
        "Which notes are in the {root} {quality} chord?",
        "Spell a {quality} chord on {root}.",
        "Give me the three notes of a {quality} chord with root {root}.",
        "What notes do I press for the chord {root} {quality}?",
        "Build the {quality} chord over the root {root}.",
    ],
    held=[
        "My sheet says {root} {quality}: which three notes make that chord?",
        "Show the notes forming a {quality} chord rooted on {root}.",
        "On root {root}, how is the {quality} chord spelled?",
    ],
)
def spell_chord(root, quality):
    return _spell(root, _CHORDS[quality])
