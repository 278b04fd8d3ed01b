"""Annotations are checked while the tests run: shapes by jaxtyping, types by beartype."""

from beartype import BeartypeConf, beartype

enforced = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number serves where a float is asked for
