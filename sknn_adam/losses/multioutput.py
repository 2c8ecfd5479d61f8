"""A classification loss for multioutput targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sknn_adam.losses._base import ClassificationLoss

__all__ = ["PerColumn"]


class PerColumn(ClassificationLoss):
    """The sum of a classification loss over outputs with separate classes.

    The classifier creates it for multioutput targets. It cannot be given by name.

    Parameters
    ----------
    loss : ClassificationLoss
        The loss of each output.
    n_classes : sequence of int
        Number of classes of each output.
    """

    def __init__(self, loss: ClassificationLoss, n_classes: Sequence[int]):
        self.loss = loss
        self.n_classes = n_classes

    def by_output(self, z: np.ndarray) -> list[np.ndarray]:
        """Split `z` into views, one per output."""
        sizes = [n if n > 2 else 1 for n in self.n_classes]
        return np.split(z, np.cumsum(sizes)[:-1], axis=-1)

    def combine(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return raw outputs that predict the mean over members, computed for each output."""
        return np.concatenate([self.loss.combine(each) for each in self.by_output(z)], axis=-1)

    def n_raw(self, n_outputs: int) -> int:
        """Return the total number of raw outputs; an output with two classes has only one."""
        return sum(n if n > 2 else 1 for n in self.n_classes)

    def constant(self, y: np.ndarray, n_classes: int = 2) -> np.ndarray:
        """Return the concatenated raw outputs of the constant predictions of all outputs."""
        constants = [
            self.loss.constant(y[:, k], n) if n > 1 else np.zeros(1)
            for k, n in enumerate(self.n_classes)
        ]
        return np.concatenate(constants)

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of the losses and their concatenated gradients."""
        both = [self.loss.both(y[:, k], each) for k, each in enumerate(self.by_output(z))]
        value: Any = sum(value for value, _ in both)
        return value, np.concatenate([g for _, g in both], axis=-1)
