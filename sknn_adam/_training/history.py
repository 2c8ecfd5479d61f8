"""History: what a training run measured, one row an epoch, and now and then layer by layer."""

from collections.abc import Iterator
from math import nan
from typing import Any

__all__ = ["History", "LayerHistory", "LiveTable"]

MOST_ROWS = 100_000
MOST_SAMPLES = 64
STEPS_BETWEEN_SAMPLES = 512  # looking at the layers takes about as long as three to ten steps


class History:
    """Rows of numbers, stored by column.

    ``history["loss"]`` is a column as a list, ``history[-1]`` a row as a dict, ``len(history)``
    the number of rows. Of endless training only the last rows stay, at least 50,000.

    Attributes
    ----------
    layers : LayerHistory
        What was measured layer by layer.
    table : dict of float
        What the table looked like at the first fit: its scales, and the loss of a network that
        answers every row alike (``"constant_loss"``); empty with ``record=False``.

    Examples
    --------
    >>> from sknn_adam._training.history import History
    >>> history = History()
    >>> history.append(epoch=1, loss=0.5)
    >>> history.append(epoch=2, loss=0.25)
    >>> history["loss"], history[-1]
    ([0.5, 0.25], {'epoch': 2, 'loss': 0.25})
    """

    def __init__(self) -> None:
        self.columns: dict[str, Any] = {}
        self.layers: LayerHistory = LayerHistory()
        self.table: dict[str, float] = {}

    def append(self, **row: Any) -> None:
        """Add a row; what earlier or later rows lack is nan."""
        n_rows = len(self)
        for name in row:
            self.columns.setdefault(name, [nan] * n_rows)
        for name, column in self.columns.items():
            column.append(row.get(name, nan))
        if len(self) > MOST_ROWS:
            # New lists: an error may ask for the old ones again.
            self.columns = {name: c[MOST_ROWS // 2 :] for name, c in self.columns.items()}

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


class LayerHistory(History):
    """Rows of numbers by layer, measured at the first step of some epochs.

    A column has one tuple a row, with one number for every dense layer, the output layer last:

    * ``"gradient_norm"``: Euclidean norm of the gradient of the weights, penalty included, before
      it is clipped;
    * ``"loss_gradient_norm"``: the same of the loss alone, without penalty (nan for L-BFGS);
    * ``"weight_norm"``: Euclidean norm of the weights before the step;
    * ``"update_ratio"``: norm of the step's change of the weights over that of the weights;
    * ``"activation_min"``, ``"activation_max"``: range of the outputs on the step's batch, behind
      the activation;
    * ``"dead"``: share of the units whose derivative is 0 on every row of the batch;
    * ``"saturated"``: share of the units whose derivative is, on the mean over the batch, below a
      twentieth of the largest one that the activation has, and not 0. Both are nan for the output
      layer.

    The columns ``"epoch"`` and ``"step"`` say when. So that measuring takes about a fiftieth of a
    short training, there are at least 512 steps between two rows, and twice as many whenever 64
    rows are there: then every second one is dropped. With ``record="all"`` every epoch has a row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier((8, 4), max_iter=5, record="all", random_state=0)
    >>> layers = model.fit(*load_iris(return_X_y=True)).history_.layers
    >>> layers["epoch"], [len(norms) for norms in layers["gradient_norm"]]
    ([1, 2, 3, 4, 5], [3, 3, 3, 3, 3])
    """

    next_step = 0  # not before it is the next row due

    def __init__(self) -> None:
        self.columns = {}
        self.distance = STEPS_BETWEEN_SAMPLES

    def due(self, record: bool | str, step: int) -> bool:
        """Return whether to measure at this step."""
        if record == "all" or not record:
            return bool(record)
        if step < self.next_step:  # asked in every epoch
            return False
        steps = self.columns.get("step")
        self.next_step = steps[-1] + self.distance if steps else 0
        return step >= self.next_step

    def thin(self) -> None:
        """Keep every second of too many rows, and measure half as often from now on."""
        if len(self) > MOST_SAMPLES:
            self.columns = {name: column[::2] for name, column in self.columns.items()}
            self.distance *= 2


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
