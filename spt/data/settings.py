"""Settings of built objects as plain values: for hashes, comparisons and the attributes of files."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


def describe(value: Any) -> Any:
    """Return what decides an object's behaviour as JSON types: its class and fields, arrays by their hash.

    Raises:
        TypeError: if a value is neither a plain one, an array, nor a dataclass, and has no ``describe`` of its own.
    """
    if hasattr(value, "describe"):
        return {"class": type(value).__name__, **value.describe()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): describe(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [describe(entry) for entry in value]
    if isinstance(value, Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        return f"{array.dtype}{list(array.shape)} sha256 {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"settings hold a {type(value).__name__}, which has no description.")


def flatten(settings: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and plain values of nested settings."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, settings


def first_difference(ours: Any, theirs: Any) -> str | None:
    """Say where two settings first differ; None where they do not."""
    left, right = dict(flatten(ours)), dict(flatten(theirs))
    for name in [*left, *right]:
        if left.get(name) != right.get(name):
            return f"{name} is {left.get(name)!r} here and {right.get(name)!r} there"
    return None
