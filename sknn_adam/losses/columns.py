"""Several columns of classes at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sknn_adam.losses._base import ClassificationLoss

__all__ = ["PerColumn"]


class PerColumn(ClassificationLoss):
    """The sum of one classification loss over columns of targets with classes of their own.

    The classifier makes it where `y` has several columns with more than two values; it has no
    name.

    Parameters
    ----------
    loss : ClassificationLoss
        The loss of every column.
    n_classes : sequence of int
        How many classes each column has.
    """

    def __init__(self, loss: ClassificationLoss, n_classes: Sequence[int]):
        self.loss = loss
        self.n_classes = n_classes

    def parts(self, z: np.ndarray) -> list[np.ndarray]:
        """Return the raw outputs of each column, views of `z`."""
        sizes = [n if n > 2 else 1 for n in self.n_classes]
        return np.split(z, np.cumsum(sizes)[:-1], axis=-1)

    def combine(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return the raw outputs that predict the mean over members, column by column."""
        return np.concatenate([self.loss.combine(part) for part in self.parts(z)], axis=-1)

    def n_raw(self, n_outputs: int) -> int:
        """Return one raw output for each class, one for two classes."""
        return sum(n if n > 2 else 1 for n in self.n_classes)

    def constant(self, y: np.ndarray, n_classes: int = 2) -> np.ndarray:
        """Return the constant raw outputs of the columns side by side."""
        parts = [
            self.loss.constant(y[:, k], n) if n > 1 else np.zeros(1)
            for k, n in enumerate(self.n_classes)
        ]
        return np.concatenate(parts)

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of the values, and the gradients side by side."""
        both = [self.loss.both(y[:, k], part) for k, part in enumerate(self.parts(z))]
        value: Any = sum(value for value, _ in both)
        return value, np.concatenate([g for _, g in both], axis=-1)
