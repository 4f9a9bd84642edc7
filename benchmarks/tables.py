"""Plain text tables: columns as wide as they must be, numbers to the right. Pure."""

from collections.abc import Sequence

Cell = str | int | float | None


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table as text after an empty line; None shows as a dash, a float with two decimals."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(headers), *cells]) for column in range(len(headers))]
    texts = [all(isinstance(row[column], str | None) for row in rows) for column in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        parts = zip(values, widths, texts, strict=True)
        return "  ".join(v.ljust(width) if text else v.rjust(width) for v, width, text in parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join(["", title, line(list(headers)), rule, *(line(row) for row in cells)])


def shown(cell: Cell) -> str:
    """Return one cell as text."""
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
