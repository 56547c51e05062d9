"""Configs with a key dropped, renamed, or of another kind or size are accepted, or refused by the key's name."""

import math
import re

import pytest
from experiments import checked, config_of
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated, settings

from headpatterns.errors import InputError

TINY = config_of("tests/config/tiny.yaml")

VALUES = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 2**31, 2**63, -(10**30)]),
    st.sampled_from([1e308, 5e-324, math.inf, -math.inf, math.nan]),
    st.sampled_from(["", " ", "1", "1e-3", "a/b", "../x", "{a}", "$UNSET/x", "\x00", "\ud800", "é"]),
    st.sampled_from(["a\nb", "x" * 5000]),
    st.sampled_from([[], {}, [[]], [None], [0, 0], ["llama", "llama"], {"a": 1}, {1: 2}, {"path": "/nowhere"}]),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
)  # fmt: skip


@pytest.mark.slow
@settings(400)
@given(data=st.data())
def test_a_config_that_is_wrong_somewhere_is_refused_by_its_key(data):
    config, [place] = mutated(data, TINY, VALUES, most=1)
    try:
        checked(config)
    except InputError as error:
        said = str(error)
        assert all(re.match(r"config key (\S|\(top level\))", line) for line in said.splitlines()), said
        assert any(re.search(rf"\b{re.escape(part)}", said) for part in place if isinstance(part, str)), (place, said)
