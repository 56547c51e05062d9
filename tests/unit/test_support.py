"""What the helpers of the tests themselves catch."""

import pytest
from refusals import assert_refusal, refusal

from headpatterns.errors import InputError

SAID = "config key a.b[0].c is 'x'; did you mean 'y'?\nanother line"


@pytest.mark.parametrize("key", ["a.b[0].c", "config key a.b[0].c", "'x'"])
def test_a_refusal_that_names_key_and_fix_passes(key):
    assert_refusal(SAID, key, "did you mean 'y'")


@pytest.mark.parametrize(
    ("said", "key", "hint"),
    [
        (SAID, "a.b", "'y'"),  # the key of another place
        (SAID, "a.b[0]", "'y'"),
        (SAID, "b[0].c", "'y'"),
        (SAID, "a.b[0].c", "'z'"),
        (SAID, "a.b[0].c", ("'y'", "'z'")),
        (SAID, "a.b[0].c", "another"),  # in another line
        (SAID, "a.b[0].c", ""),
        (f"Traceback (most recent call last):\n{SAID}", "a.b[0].c", "'y'"),
    ],
)
def test_a_refusal_that_misses_something_fails(said, key, hint):
    with pytest.raises(AssertionError):
        assert_refusal(said, key, hint)


def test_a_refusal_is_one_line():
    with refusal("a.b[0].c", "'y'"):
        raise InputError(SAID.splitlines()[0])
    with pytest.raises(AssertionError), refusal("a.b[0].c", "'y'"):
        raise InputError(SAID)
