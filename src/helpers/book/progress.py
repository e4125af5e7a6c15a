"""Progress as a reader of a log wants it: bars on a terminal only, elsewhere a line a minute with what is left.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TextIO

EVERY = 60  # seconds between two lines of one bar
# What tqdm writes: "training ResNet18:  40%|####   | 4/10 [00:01<00:02,  2.50batch/s]"
_BAR = re.compile(r"^(.*?)(?:(?:^|: ) *\d+%\|.*\||: )\s*(.*\[(?:\d+:)?\d+:\d\d[<,].*\])\s*$")
UP = "\x1b[A"  # what tqdm writes after a bar within a bar


def spoken(seconds: float) -> str:
    """A duration as a sentence says it: "40 s", "12 min", "3.5 h".

    Chapter: notebooks/11_runs.md
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Lines:
    """A stream for text with progress bars in it: unchanged on a terminal, else a bar is a line, once a minute.

    Parameters
    ----------
    stream : where it goes. clock : gives seconds.

    Chapter: notebooks/11_runs.md
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no bar seen."""
        self._stream, self._clock = stream, clock
        self._said: dict[str, float] = {}  # when each bar had its last line, or was first seen

    def write(self, text: str) -> int:
        """Write text, bars by the minute."""
        if self._stream.isatty():
            return self._stream.write(text)
        for line in filter(str.strip, re.split(r"[\r\n]+", text.replace(UP, ""))):
            if bar := _BAR.match(line):
                now, name = self._clock(), bar[1].strip()
                if not name:  # a library's own, within one of ours
                    continue
                if now - self._said.setdefault(name, now) < EVERY:
                    continue
                self._said[name] = now
                line = f"{name}: {bar[2]}"
            self._stream.write(f"{line.rstrip()}\n")
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The number of the file behind it."""
        return self._stream.fileno()
