"""What a process keeps of files: open handles, and arrays that can only be read whole."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any


class Kept(threading.local):
    """Things of this process and thread that were used last; the others are given up.

    Args:
        most: how many are kept, or how many bytes where ``size`` says how large each is.
        size: size of one; 1 by default.
    """

    def __init__(self, most: int, size: Callable[[Any], int] = lambda thing: 1) -> None:
        self.most, self.size = most, size
        self.things: OrderedDict[Hashable, Any] = OrderedDict()
        self.process = os.getpid()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The thing of this name, made if it is not there."""
        if self.process != os.getpid():  # a forked process shares the position in its parent's files: open them anew
            self.things, self.process = OrderedDict(), os.getpid()
        if key not in self.things:
            thing = make()
            while self.things and sum(map(self.size, self.things.values())) + self.size(thing) > self.most:
                _close(self.things.popitem(last=False)[1])
            self.things[key] = thing
        self.things.move_to_end(key)
        return self.things[key]


def _close(thing: Any) -> None:
    with suppress(Exception):  # what was read is fine, and nothing is written
        thing.close()


HANDLES = Kept(16)
"""Open files."""
BOUND = 2 * 2**30
"""Bytes of the arrays that a process keeps because their format only gives them whole."""
WHOLE = Kept(BOUND, lambda array: array.nbytes)
"""Arrays that were read whole."""
