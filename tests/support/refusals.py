"""What the message of a refusal must name, in any wording: where the mistake is, and how to fix it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headpatterns.errors import InputError


def assert_refusal(text: str, key: str, hint: str | tuple[str, ...]) -> None:
    """Check that one line of the output names the place of a mistake and the fix, and that there is no traceback.

    `key` is the path of a config key, a file, a rule or a row. The line must contain it as a whole: `a.b.c`, `a.b[0]`
    and `x.a.b` do not name `a.b`. The same line must contain every hint, such as the name that was meant, the bound
    that was exceeded, or the option to change.
    """
    hints = (hint,) if isinstance(hint, str) else hint
    assert key and hints and all(hints), "a test of a refusal says what it looks for"
    assert "Traceback" not in text, text
    whole = re.compile(rf"(?<![\w.\]-]){re.escape(key)}(?![\w\[-]|\.\w)")
    naming = [line for line in text.splitlines() if whole.search(line)]
    assert naming, f"no line names {key}:\n{text}"
    assert any(all(word in line for word in hints) for line in naming), f"{key} is named without {hints}:\n{text}"


@contextmanager
def refusal(key: str, hint: str | tuple[str, ...]) -> Iterator[None]:
    """Expect an `InputError` of one line that names the place of a mistake and the fix (`assert_refusal`)."""
    with pytest.raises(InputError) as refused:
        yield
    assert "\n" not in str(refused.value)
    assert_refusal(str(refused.value), key, hint)
