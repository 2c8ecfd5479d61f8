"""History: what a training run measured, one row an epoch."""

from collections.abc import Iterator
from math import nan
from typing import Any

__all__ = ["History", "LiveTable"]

MOST_ROWS = 100_000


class History:
    """Rows of numbers, stored by column.

    ``history["loss"]`` is a column as a list, ``history[-1]`` a row as a dict, ``len(history)``
    the number of rows. Of endless training only the last rows stay, at least 50,000.

    Examples
    --------
    >>> from sknn_adam.history import History
    >>> history = History()
    >>> history.append(epoch=1, loss=0.5)
    >>> history.append(epoch=2, loss=0.25)
    >>> history["loss"], history[-1]
    ([0.5, 0.25], {'epoch': 2, 'loss': 0.25})
    """

    def __init__(self) -> None:
        self.columns: dict[str, list] = {}

    def append(self, **row: Any) -> None:
        """Add a row; what earlier or later rows lack is nan."""
        n_rows = len(self)
        for name in row:
            self.columns.setdefault(name, [nan] * n_rows)
        for name, column in self.columns.items():
            column.append(row.get(name, nan))
        if len(self) > MOST_ROWS:
            for column in self.columns.values():
                del column[: MOST_ROWS // 2]

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, str):
            return self.columns[key] if len(self) else []
        return {name: column[key] for name, column in self.columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"History({len(self)} epochs: {', '.join(self.columns)})"


class LiveTable:
    """Prints one line per epoch, below a line of headings."""

    HEADINGS = {
        "epoch": "epoch",
        "loss": "loss",
        "validation_score": "validation",
        "learning_rate": "learning rate",
        "gradient_norm": "gradient norm",
        "seconds": "seconds",
    }

    def __init__(self) -> None:
        self.began = False

    def show(self, row: dict[str, Any]) -> None:
        """Print a row of the history."""
        names = [name for name in self.HEADINGS if name in row]
        if not self.began:
            print("  ".join(f"{self.HEADINGS[name]:>13}" for name in names), flush=True)
            self.began = True
        cells = (f"{row[n]:>13d}" if n == "epoch" else f"{row[n]:>13.5g}" for n in names)
        print("  ".join(cells), flush=True)
