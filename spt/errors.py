"""Errors that a user of spt can mend: a command shows their message alone, without a traceback.

Raise one of these for a setting, a file or a name that somebody chose. Raise a plain ValueError or TypeError where a
caller in Python made a mistake, such as two tensors of different shapes: its traceback is what helps there.
"""


class UserError(Exception):
    """Says what is wrong, where, what is allowed, and what to do."""


class InvalidValue(UserError, ValueError):
    """A setting, or the content of a file, has a value that does not work."""


class WrongSize(InvalidValue):
    """An image has a size that does not work.

    Args:
        problem: a sentence.
        remedy: another one.
        divisor: what a network needs height and width to be multiples of.
    """

    def __init__(self, problem: str, remedy: str, divisor: int = 1) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem, self.remedy, self.divisor = problem, remedy, divisor

    def __reduce__(self) -> tuple[type["WrongSize"], tuple[str, str, int]]:
        return type(self), (self.problem, self.remedy, self.divisor)  # a loader process hands it over


class InvalidType(UserError, TypeError):
    """A setting has a value of the wrong type."""


class MissingFile(UserError, FileNotFoundError):
    """A file or folder that was named is not there."""


class MissingName(UserError, KeyError):
    """A name that was asked for is not there."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "missing name"  # KeyError would quote the message
