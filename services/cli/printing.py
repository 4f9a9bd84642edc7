"""What commands print: JSON for scripts, tables and facts for people."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_A_PIPE = 160
"""Columns; a table in a pipe must not be cut to the 80 that rich takes for granted there."""


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    wrap: Collection[str] = (),
) -> None:
    """Print a table.

    Args:
        columns: their names.
        rows: their cells, in the order of the columns; None is shown as a dash.
        right: columns that are aligned to the right, such as numbers.
        wrap: columns that may be broken when the terminal is narrow.
    """
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name not in wrap, overflow="fold")
    for row in rows:
        # Text, because rich would take what stands in brackets for markup.
        table.add_row(*(Text(_shown(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print each fact on a line, its name first; None is shown as a dash."""
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {_shown(value)}")


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
