"""From a node of the configuration to the object it names; wrong names and types are refused by where they stand."""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from beartype import BeartypeConf
from beartype.door import is_bearable
from beartype.roar import BeartypeException
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from spt.errors import InvalidType, InvalidValue, UserError

LIBRARIES = ("torch", "lightning", "timm")
"""Packages whose constructors' refusals a user can mend: their message is shown alone."""

WHOLE_NUMBERS_ARE_FLOATS = BeartypeConf(is_pep484_tower=True)


def build(node: DictConfig, **parts: Any) -> Any:
    """Instantiate a node of the configuration with parts that are built already.

    Args:
        node: names the class as ``_target_`` and holds its arguments.
        parts: further arguments of the outermost class.
    Raises:
        UserError: if a name or a type does not fit the constructor, or the constructor refuses a value. Any other
            error of a constructor is a fault of its code and keeps its traceback.
    """
    from hydra.utils import instantiate

    where = str(node._get_full_key("") or "")
    check_arguments(OmegaConf.to_container(node, resolve=True), where)
    try:
        return instantiate(node, _convert_="all", **parts)
    except InstantiationException as error:
        cause = error.__cause__
        if cause is None:
            raise InvalidValue(f"{where}: {error}") from None
        place = str(error).rpartition("full_key: ")[2].strip() if "full_key: " in str(error) else where
        if isinstance(cause, UserError):
            raise type(cause)(f"{place}: {cause}" if place else str(cause)) from cause
        named = re.search(r"in call to '([^']+)'|target '([^']+)'", str(error))
        if named and (named[1] or named[2]).split(".")[0] in LIBRARIES and isinstance(cause, refusals()):
            raise InvalidValue(f"{place}: {cause}") from cause
        raise cause from None


def refusals() -> tuple[type[Exception], ...]:
    """What torch, lightning and timm raise for a value they do not take."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    return ValueError, TypeError, ImportError, MisconfigurationException


def check_arguments(node: Any, where: str) -> None:
    """Refuse names that a constructor does not have, and plain values that are not of its argument's type.

    Args:
        node: resolved configuration: dictionaries, lists, plain values.
        where: its dotted name, for the message.
    Raises:
        InvalidValue: if a constructor has no argument of a name.
        InvalidType: if a value is of another type than the argument.
    """
    if isinstance(node, list):
        for k, value in enumerate(node):
            check_arguments(value, f"{where}.{k}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        check_arguments(value, f"{where}.{key}" if where else str(key))
    if "_target_" not in node:
        return
    called, given = _located(str(node["_target_"]), where), [key for key in node if not str(key).startswith("_")]
    parameters = inspect.signature(called).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in parameters:
                known = ", ".join(name for name in parameters if name != "self")
                raise InvalidValue(f"{where}.{key}: {called.__name__} has no such argument. It has {known}.")
    hints = _hints(called)
    for key in given:
        if key in hints and not any(targets(node[key])) and not _fits(node[key], hints[key]):
            raise InvalidType(f"{where}.{key} must be {_described(hints[key])}, got {node[key]!r}.")


def _located(target: str, where: str) -> Callable[..., Any]:
    from hydra.utils import get_object

    if target == "???":
        raise InvalidValue(f"{where} names no class: the chosen file is only a base of others. Choose one of those.")
    try:
        return get_object(target)
    except (ImportError, ValueError, AttributeError) as error:
        if isinstance(error.__cause__, SyntaxError | NameError | TypeError):
            raise  # the module is there, and is broken
        raise InvalidValue(f"{where}._target_: there is no {target}. {str(error).splitlines()[0]}") from None


def _hints(called: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(called.__init__ if inspect.isclass(called) else called)
    except (NameError, TypeError):  # annotations that exist only for a type checker
        return {}


def _fits(value: Any, hint: Any) -> bool:
    try:
        values = [value, tuple(value)] if isinstance(value, list) else [value]  # yaml has no tuples
        return any(is_bearable(v, hint, conf=WHOLE_NUMBERS_ARE_FLOATS) for v in values)
    except BeartypeException:  # a hint that cannot be checked at run time
        return True


def _described(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if typing.get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    if inspect.isclass(hint) and not typing.get_args(hint):
        return str(hint.__name__)
    arguments = typing.get_args(hint)
    if arguments and type(None) in arguments:
        return " or ".join(_described(argument) for argument in arguments)
    return re.sub(r"\b(typing|collections\.abc)\.", "", str(hint))


def targets(node: Any) -> Iterator[str]:
    """Every ``_target_`` in or below a resolved node."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def network_builders(config: DictConfig) -> dict[str, Callable[[], Any]]:
    """Networks by their config names: the chosen ``model=``, else those that ``models=`` lists, or all.

    Each is composed as training composes it, with the head that it brings.

    Raises:
        InvalidValue: if a name is no file of `configs/model`.
    """
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    if config.model is not None:
        return {str(HydraConfig.get().runtime.choices["model"]): partial(build, config.model)}
    known = GlobalHydra.instance().config_loader().get_group_options("model")
    names = known if config.models == "all" else [config.models] if isinstance(config.models, str) else config.models
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidValue(f"models: no configs/model/{unknown[0]}.yaml. There are {', '.join(known)}, or all.")
    return {name: partial(build, compose("train", [f"model={name}"])["model"]) for name in names}
