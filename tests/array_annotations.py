"""The type checker of the tests: every array annotation in spt is compared with what is passed and returned.

beartype alone checks ``int``, ``Literal`` and ``tuple[float, float]`` as well. Values of a user's configuration break
these on purpose in many tests, which would have to switch the checks off to see what spt itself says. mypy covers the
plain types; nothing else covers the array annotations.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, is_typeddict

from beartype import BeartypeConf, beartype
from beartype.vale import Is
from jaxtyping import AbstractArray

_beartyped = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for mypy


def checked(function: Callable) -> Callable:
    """Check the array annotations of a function at every call, and no others."""
    hints = function.__annotations__
    if not any(map(_of_arrays, hints.values())):
        return function
    function.__annotations__ = {name: _with_items(hint) if _of_arrays(hint) else Any for name, hint in hints.items()}
    return _beartyped(function)


def _of_arrays(hint: Any) -> bool:
    array = inspect.isclass(hint) and issubclass(hint, AbstractArray)
    return array or is_typeddict(hint) or any(map(_of_arrays, get_args(hint)))


def _with_items(hint: Any) -> Any:
    """A batch is a dictionary whose items have annotations of their own, which beartype does not read.

    That no item is missing is for mypy: many tests pass the items that a function needs.
    """
    if not is_typeddict(hint):
        return hint
    items = hint.__annotations__
    return Annotated[dict, Is[lambda batch: all(isinstance(batch[name], items[name]) for name in items.keys() & batch)]]
