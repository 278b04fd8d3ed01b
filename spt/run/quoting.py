"""How a command is entered: where Hydra cannot read a value, a line says how to write it."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf


def enter(main: Callable[[], object]) -> None:
    """Run a command. Hydra's own message and exit code stay; a hint on quotes follows where quotes are missing."""
    try:
        main()
    except SystemExit as end:
        if end.code == 1:  # what Hydra ends with
            print(*hints(sys.argv[1:]), *similar(sys.argv), sep="", end="", file=sys.stderr)
        raise


def hints(arguments: Sequence[str]) -> Iterator[str]:
    """A line for each ``name=value`` that Hydra's grammar does not read."""
    parser = OverridesParser.create()
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or argument.startswith("-"):
            continue
        try:
            parser.parse_overrides([argument])
        except HydraException:
            quoted = value.replace('"', '\\"')
            right = shlex.quote(f'{name}="{quoted}"')
            yield f"Hint: if this is a name of a file or a folder, put it into two kinds of quotes: {right}\n"


def similar(arguments: Sequence[str]) -> Iterator[str]:
    """A line for each name of a training's command that is only the end of an option's name.

    Args:
        arguments: the program, then its arguments.
    """
    if Path(arguments[0]).name != "train.py":
        return
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from spt.data.settings import flatten
    from spt.run.trust import CONFIGS

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        known = [name for name, _ in flatten(OmegaConf.to_container(compose("train"), resolve=False))]
    for argument in arguments[1:]:
        name = argument.partition("=")[0]
        meant = [option for option in known if option.endswith(f".{name}")]
        if "=" in argument and name not in known and meant:
            yield f"Hint: {name} is no option. Did you mean {' or '.join(meant)}?\n"
