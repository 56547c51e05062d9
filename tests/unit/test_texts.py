"""What counts as text at every entry point: missing and converted values, refusals by name, and white space."""

import datetime
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from headpatterns.data.texts import RowError, as_written, joined, missing, required, trimmed


@pytest.mark.parametrize(
    "nothing", [None, math.nan, np.float32("nan"), Decimal("nan"), pd.NA, pd.NaT, "", " ", "\n\t ", "\u3000"]
)
def test_missing_is_missing(nothing):
    assert missing(nothing)
    assert as_written(nothing, "input") == ""
    with pytest.raises(RowError, match="empty input"):
        required(nothing, "input")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("nan", "nan"),
        ("    return 0\n", "    return 0\n"),
        (0, "0"),
        (0.5, "0.5"),
        (-7, "-7"),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (Decimal("1.20"), "1.20"),
    ],
)
def test_text_is_as_it_is_written_and_numbers_are_their_text(found, text):
    assert as_written(found, "input") == required(found, "input") == text


@pytest.mark.parametrize(
    "found", [True, False, np.True_, [], ["a"], {}, {"a": 1}, b"a", math.inf, -math.inf, datetime.date(2024, 1, 2)]
)
def test_what_is_no_text_is_refused_by_name(found):
    with pytest.raises(RowError, match="input is not text"):
        as_written(found, "input")


@pytest.mark.parametrize("found", ["\ud83d", "a\udcb2b", [{"type": "text", "text": "\ud83d"}], ["\ud83d"]])
def test_half_a_surrogate_pair_is_not_valid_unicode(found):
    with pytest.raises(RowError, match="text is not valid Unicode"):
        joined(found, "turn")


def test_layout_is_trimmed_and_indentation_is_not():
    assert trimmed("  Why?\n") == "Why?"
    assert trimmed("\n \n    if x:\n        y\n  ") == "    if x:\n        y"
    assert trimmed("def f():\n\n    pass") == "def f():\n\n    pass"
    assert trimmed(" \n ") == ""


def test_content_in_parts_is_joined():
    parts = [{"type": "text", "text": "One, "}, {"text": "two, "}, {"type": "text", "value": "three"}, "."]
    assert joined(parts, "turn") == "One, two, three."
    assert joined([{"type": "text", "text": "a", "image_url": None}], "turn") == "a"  # a table has all parts' keys
    assert joined("plain", "turn") == "plain"
    assert joined([], "turn") == ""


@pytest.mark.parametrize(
    "part", [{"type": "image_url", "image_url": {}}, {"type": "text"}, {"type": "text", "text": 5}, 5, None, ["a"]]
)
def test_a_part_that_is_no_text_is_refused(part):
    with pytest.raises(RowError, match="turn has a part that is not text"):
        joined([{"type": "text", "text": "See: "}, part], "turn")
