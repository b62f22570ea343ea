"""DNA, RNA and inheritance."""

from tool_corpora.kit import choice, flag, pattern, tool

_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODONS = {
    a + b + c: _ACIDS[16 * i + 4 * j + k]
    for i, a in enumerate("UCAG")
    for j, b in enumerate("UCAG")
    for k, c in enumerate("UCAG")
}
_LONG = dict(
    zip(
        "ARNDCQEGHILKMFPSTWYV",
        "Ala Arg Asn Asp Cys Gln Glu Gly His Ile Leu Lys Met Phe Pro Ser Thr Trp Tyr Val".split(),
        strict=True,
    )
)
_PAIRS = str.maketrans("ACGT", "TGCA")
_GENOTYPES = ["AA", "Aa", "aa"]


def _draw_dna(rng):
    return "".join(rng.choice("ACGT") for _ in range(rng.randint(7, 12)))


def _draw_rna(rng):
    codons = sorted(codon for codon, acid in _CODONS.items() if acid != "*")
    return "".join(rng.choice(codons) for _ in range(rng.randint(2, 4)))


def _bases(strand, allowed):
    strand = strand.upper()
    if not 1 <= len(strand) <= 1000 or set(strand) - set(allowed):
        raise ValueError(f"a strand is 1 to 1000 of the letters {allowed}")
    return strand


@tool(
    "Transcribe a DNA strand into messenger RNA. "
    "Copies a gene into its mRNA, with uracil in place of thymine, before any translation.",
    returns="The RNA sequence.",
    strand=pattern("DNA bases.", _draw_dna, "ATGGCAT"),
    template=flag("The strand is the template strand."),
    ask=[
        "Transcribe the DNA {strand} into RNA.",
        "What RNA comes from transcribing {strand}?",
        "Which messenger RNA is made from the strand {strand}?",
        ("Transcribe the template strand {strand} to RNA.", {"template": True}),
        ("The template strand is {strand}; give the transcribed RNA.", {"template": True}),
    ],
    held=[
        "DNA {strand} gets transcribed. Show the resulting RNA.",
        "I have the DNA sequence {strand} and need its RNA transcript.",
        ("Read {strand} as a template strand: which RNA is transcribed?", {"template": True}),
    ],
)
def transcribe_dna(strand, template=False):
    strand = _bases(strand, "ACGT")
    return (strand.translate(_PAIRS) if template else strand).replace("T", "U")


@tool(
    "Give the complementary strand of a DNA sequence. "
    "Pairs A with T and C with G to write the opposite, or reverse complement, sequence.",
    returns="The complementary DNA bases.",
    strand=pattern("DNA bases.", _draw_dna, "GATTACA"),
    reverse=flag("Write the complement backwards."),
    ask=[
        "What is the complementary strand of {strand}?",
        "Give the DNA complement of {strand}.",
        "Pair every base of {strand} to get its complement.",
        ("Find the reverse complement of {strand}.", {"reverse": True}),
        ("What is the reverse complementary strand for {strand}?", {"reverse": True}),
    ],
    held=[
        "Which DNA strand is complementary to {strand}?",
        "Write the matching complement for the bases {strand}.",
        ("Take {strand} and return the complement in reverse.", {"reverse": True}),
    ],
)
def complement_strand(strand, reverse=False):
    paired = _bases(strand, "ACGT").translate(_PAIRS)
    return paired[::-1] if reverse else paired


@tool(
    "Compute the GC content of a DNA sequence in percent. "
    "How much of a gene or primer is guanine and cytosine, as for melting temperature.",
    returns="The percentage of G and C, rounded to 2 decimals.",
    strand=pattern("DNA bases.", _draw_dna, "GGCATC"),
    ask=[
        "What is the GC content of {strand}?",
        "Compute the percent of GC in the DNA {strand}.",
        "How much GC content does {strand} have?",
        "For the sequence {strand}, give the GC percentage.",
    ],
    held=[
        "How rich in GC is the DNA sequence {strand}?",
        "Tell me which percentage of {strand} is GC.",
    ],
)
def gc_content(strand):
    strand = _bases(strand, "ACGT")
    return round(100 * sum(base in "GC" for base in strand) / len(strand), 2)


@tool(
    "Translate RNA codons into the amino acids of a protein. "
    "Reads mRNA triplets as a peptide chain, the step from message to protein.",
    returns="The amino acids up to the first stop codon.",
    codons=pattern("RNA bases, a multiple of three.", _draw_rna, "AUGGCC"),
    long=flag("Use three-letter names."),
    ask=[
        "Translate the codons {codons} into amino acids.",
        "Which amino acids does the RNA {codons} code for?",
        "What protein do the codons {codons} give?",
        ("Translate {codons} to amino acids with three-letter names.", {"long": True}),
        ("Give three-letter amino acids for the codons {codons}.", {"long": True}),
    ],
    held=[
        "A ribosome reads {codons}. Which amino acids result?",
        "Show the protein translated from RNA {codons}.",
        ("Name the amino acids of {codons} by their three-letter names.", {"long": True}),
    ],
)
def translate_codons(codons, long=False):
    codons = _bases(codons, "ACGU")
    if len(codons) % 3:
        raise ValueError("the number of bases must be a multiple of three")
    acids = "".join(_CODONS[codons[i : i + 3]] for i in range(0, len(codons), 3)).split("*")[0]
    return "-".join(_LONG[acid] for acid in acids) if long else acids


@tool(
    "Cross two parent genotypes in a Punnett square. "
    "Predicts how likely children inherit dominant or recessive alleles from a mother and father.",
    returns="The share of each genotype among the offspring.",
    mother=choice("Genotype of the mother.", _GENOTYPES),
    father=choice("Genotype of the father.", _GENOTYPES),
    ask=[
        "Cross a mother {mother} with a father {father}.",
        "Draw the Punnett square for mother {mother} and father {father}.",
        "What genotypes come from a father {father} and a mother {mother}?",
        "A {mother} mother and a {father} father have offspring. Which genotypes occur?",
    ],
    held=[
        "If the father is {father} and the mother {mother}, how are the genotypes inherited?",
        "Give the Punnett result: mother genotype {mother}, father genotype {father}.",
        "Which offspring genotypes follow when the mother is {mother} and the father {father}?",
    ],
)
def punnett_cross(mother, father):
    young = ["".join(sorted(a + b)) for a in mother for b in father]
    return ", ".join(f"{25 * young.count(g)}% {g}" for g in _GENOTYPES if g in young)
