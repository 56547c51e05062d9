"""MMLU: 57 subjects of multiple choice; a CSV file without header per subject (raw), or rows with a subject (hub)."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.adapters.choices import LETTERS, OPTIONS, multiple_choice, position, resolve
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, Skipped, text, value
from headpatterns.data.sources import stem
from headpatterns.data.texts import as_written, missing

SUBJECTS = (
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
)

# The domains of the paper's Table 3.
DOMAINS = {
    "maths": (
        "college_mathematics",
        "abstract_algebra",
        "elementary_mathematics",
        "high_school_statistics",
        "high_school_mathematics",
    ),
    "physics": ("college_physics", "high_school_physics", "conceptual_physics"),
    "chemistry": ("college_chemistry", "high_school_chemistry"),
    "biology": ("college_biology", "high_school_biology"),
}

RAW_FILE = re.compile(r"(\w+)_(?:dev|val|test)")


def convert(row: Row, options: Mapping[str, Any]) -> Instruction | Skipped:
    """A question of the chosen subjects; the only tag is its subject.

    Options: `subjects`, a list (default: all 57); `domain`, keep only the subjects of that domain; `outside_domain`,
    keep only the subjects outside it. Raw rows take their subject from the file's name,
    `{subject}_{dev,val,test}.csv`.
    """
    subject = _subject(row)
    if subject not in SUBJECTS:
        raise RowError("unknown subject")
    if subject not in options["subjects"]:
        return Skipped(f"its subject is {subject}")
    listed = row.fields.get("choices")
    choices = [value(row, letter) for letter in LETTERS[:4]] if missing(listed) else listed
    if not isinstance(choices, list):
        raise RowError("choices is not a list")
    answer = value(row, "answer")
    first = "A" if as_written(answer, "answer").strip().isalpha() else 0
    return multiple_choice(text(row, "question"), choices, position(answer, first), options, tags=(subject,))


def _subject(row: Row) -> str:
    if "subject" in row.fields:
        return text(row, "subject")
    name = RAW_FILE.fullmatch(stem(row.path))
    if not name:
        raise MissingFieldError(("subject",))
    return name[1]


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    chosen = set(options["subjects"] or SUBJECTS)
    if options["domain"]:
        chosen &= set(DOMAINS[options["domain"]])
    if options["outside_domain"]:
        chosen -= set(DOMAINS[options["outside_domain"]])
    return {**resolve(options), "subjects": frozenset(chosen)}


ADAPTER = Adapter(
    convert,
    options={
        **OPTIONS,
        "subjects": Option(None, list, SUBJECTS),
        "domain": Option(None, str, tuple(DOMAINS)),
        "outside_domain": Option(None, str, tuple(DOMAINS)),
    },
    csv_columns=("question", *LETTERS[:4], "answer"),
    resolve=_resolve,
)
