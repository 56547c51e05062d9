"""The check of annotations in the tests: beartype, to which a whole number is a float as it is to mypy."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
