"""Progress of long work: how many of how many, how fast, how long to go."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

__all__ = ["progress"]

SECONDS_BETWEEN_LINES = 10.0


def progress(items: Iterable, *, total: int, description: str) -> Iterable:
    """Yield the items, reporting progress on standard error at most every ten seconds.

    Each report is a line of its own: logs and notebooks keep lines, not redrawn bars.

    Parameters
    ----------
    items : iterable
        Work to do, or results as they arrive.
    total : int
        How many there will be.
    description : str
        What is being done, such as ``"N4 of 1072 patients"``.

    Yields
    ------
    object
        Each item.
    """
    yield from tqdm(
        items,
        total=total,
        desc=description,
        mininterval=SECONDS_BETWEEN_LINES,
        # Short work finishes without a line.
        delay=SECONDS_BETWEEN_LINES,
        file=_Lines(),
        bar_format="{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left",
        leave=False,
    )


class _Lines:
    """Standard error with every redraw of a bar turned into a line of its own."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n \x1b[A")
        if line:
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
