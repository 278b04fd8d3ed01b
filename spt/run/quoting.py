"""How a command is entered: where Hydra cannot read a value, a line says how to write it."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def enter(main: Callable[[], object]) -> None:
    """Run a command. Hydra's own message and exit code stay; a hint on quotes follows where quotes are missing."""
    try:
        main()
    except SystemExit as end:
        if end.code == 1:  # what Hydra ends with
            print(*hints(sys.argv[1:]), sep="", end="", file=sys.stderr)
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
