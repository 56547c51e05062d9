"""The check of annotations in the tests: beartype, which accepts an int where a float is declared, as mypy does."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
