"""The history of a training run: one row per epoch, and measurements of the layers."""

from collections.abc import Iterator
from math import nan
from typing import Any

__all__ = ["History", "LayerHistory", "LiveTable"]

MOST_ROWS = 100_000
MOST_SAMPLES = 64
# Measuring the layers takes about as long as three to ten steps.
STEPS_BETWEEN_SAMPLES = 512


class History:
    """Rows of numbers, stored by column.

    ``history["loss"]`` is a column as a list, ``history[-1]`` a row as a dict, and ``len(history)``
    the number of rows. Whenever it exceeds 100,000, the oldest 50,000 rows are dropped.

    Attributes
    ----------
    layers : LayerHistory
        The measurements of the layers.
    table : dict of float
        Facts about the table at the first fit, such as the scales of its columns and the loss of a
        constant prediction (``"constant_loss"``); empty with ``record=False``.

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
        """Add a row; values missing in earlier or later rows are nan."""
        n_rows, columns = len(self), self.columns
        if row.keys() != columns.keys():
            for name in row:
                columns.setdefault(name, [nan] * n_rows)
            row = dict.fromkeys(columns, nan) | row
        for name, value in row.items():
            columns[name].append(value)
        if n_rows >= MOST_ROWS:
            # These are new lists, because the old ones are restored after an error.
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
    """Measurements of the layers at the first step of some epochs.

    Each row of a column is a tuple with one number per dense layer, the output layer last:

    * ``"gradient_norm"``: Euclidean norm of the gradient of the weights, including the penalty,
      before clipping;
    * ``"loss_gradient_norm"``: the same norm for the loss without the penalty (nan for L-BFGS);
    * ``"weight_norm"``: Euclidean norm of the weights before the step (with `learn_scales`, without
      the learned factors, as in the other columns);
    * ``"update_ratio"``: norm of the change of the weights in the step, divided by the norm of the
      weights;
    * ``"activation_min"``, ``"activation_max"``: range of the outputs on the batch of the step,
      after the activation;
    * ``"dead"``: fraction of the units whose derivative is 0 for every sample of the batch;
    * ``"saturated"``: fraction of the units whose mean absolute derivative over the batch is not 0,
      but below a twentieth of the activation's largest derivative. Both fractions are nan for the
      output layer.

    The columns ``"epoch"`` and ``"step"`` show when each row was measured. Measuring takes about a
    fiftieth of the time of a short fit, because rows are at least 512 steps apart. Whenever there
    are more than 64 rows, every second one is dropped and the distance is doubled. With
    ``record="all"``, every epoch has a row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier((8, 4), max_iter=5, record="all", random_state=0)
    >>> layers = model.fit(*load_iris(return_X_y=True)).history_.layers
    >>> layers["epoch"], [len(norms) for norms in layers["gradient_norm"]]
    ([1, 2, 3, 4, 5], [3, 3, 3, 3, 3])
    """

    next_step = 0  # no row is due before this step

    def __init__(self) -> None:
        self.columns = {}
        self.distance = STEPS_BETWEEN_SAMPLES

    def due(self, record: bool | str, step: int) -> bool:
        """Return whether to measure at this step."""
        if record == "all" or not record:
            return bool(record)
        # This skips the lookup in most epochs.
        if step < self.next_step:
            return False
        steps = self.columns.get("step")
        self.next_step = steps[-1] + self.distance if steps else 0
        return step >= self.next_step

    def thin(self) -> None:
        """If there are too many rows, keep every second one and measure half as often."""
        if len(self) > MOST_SAMPLES:
            self.columns = {name: column[::2] for name, column in self.columns.items()}
            self.distance *= 2


class LiveTable:
    """A printed table with one line per epoch, below a line of headings."""

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
