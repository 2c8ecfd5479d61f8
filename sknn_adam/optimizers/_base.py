"""The base of all optimizers: state made by ``init``, a step in place, a rule as in the paper."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from sknn_adam._backends.numpy_backend import NumpyKernels
from sknn_adam._component.base import Component
from sknn_adam._component.layout import Layout
from sknn_adam._component.ranges import Choices, Range
from sknn_adam._utils.validation import POSITIVE, check_shape

__all__ = ["Layout", "Optimizer"]


def _decay_blocks(layout: Layout | None) -> list[tuple[slice, bool]]:
    """Return the blocks of theta that are decayed and those that are not, as few as possible."""
    blocks: list[tuple[slice, bool]] = []
    for block, _, role in layout or [(slice(None), (), "weight")]:
        decayed = role == "weight"
        if blocks and blocks[-1] == (slice(blocks[-1][0].start, block.start), decayed):
            block = slice(blocks.pop()[0].start, block.stop)
        blocks.append((block, decayed))
    return blocks


class Optimizer(Component):
    r"""Base of all optimizers.

    An optimizer holds hyper-parameters only. Its state is made by ``init`` and belongs to whoever
    trains, so one instance can serve many fits. ``step`` works on any flat float32 or float64
    vector, inside a network or not.

    A subclass with an element-wise rule gives

    * ``slots``, the names of its state vectors, all zero at the start;
    * ``rule(g, *slots, *scalars) -> (update, *slots)``, a static method on arrays or numbers
      that returns what is subtracted from theta and the new slots;
    * ``scalars(t, lr)``, the rule's scalars at step `t` (counted from 1) in order: computed once
      per step in float64, complements such as 1 - beta included.

    A rule that needs matrices, norms or sums over theta overrides ``step`` instead, and calls
    ``update`` for what is element-wise in it. A method that is no sequence of such steps defines
    ``minimize(fun, theta, max_iter, tol, callback)`` and sets ``full_batch``, see `LBFGS`.
    ``weight_decay``, if a subclass has it, is decoupled from the gradient: the weights are
    multiplied by ``1 - lr * weight_decay`` before the update; biases and normalization
    parameters are not decayed.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.optimizers import Adam
    >>> theta = np.array([1.0, -2.0])
    >>> adam = Adam(learning_rate=0.1)
    >>> state = adam.init(theta)
    >>> for _ in range(200):
    ...     adam.step(theta, 2 * theta, state)  # the gradient of |theta|^2
    >>> bool(abs(theta).max() < 0.01)
    True
    """

    contract = (("rule", "step", "minimize"),)
    guide = "docs/add_an_optimizer.md"
    _parameter_constraints: ClassVar[dict[str, list]] = {"learning_rate": [POSITIVE]}
    ranges: ClassVar[dict[str, Range | Choices]] = {
        "learning_rate": Range(0.1, 10.0, log=True, size="small", relative=True)
    }

    slots: Any = ()
    full_batch: ClassVar[bool] = False
    weight_decay: float = 0.0
    learning_rate: float
    rule: Callable[..., tuple]

    def init(self, theta: np.ndarray, layout: Layout | None = None) -> SimpleNamespace:
        """Return the state of a new run.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            The vector that will be optimized.
        layout : list of (slice, shape, role), optional
            The arrays inside `theta`; role is ``"weight"``, ``"bias"`` or ``"norm"``. None means
            one vector, decayed as a whole. If several networks are trained at once, every array
            has them on a leading axis.

        Returns
        -------
        state : SimpleNamespace
            The step counter ``t``, one zero vector per slot, and what ``step`` needs to know.
        """
        state = SimpleNamespace(t=0, layout=layout)
        state.blocks = _decay_blocks(layout)
        for slot in self.slots:
            setattr(state, slot, np.zeros_like(theta))
        return state

    def check_state(self, theta: np.ndarray, state: SimpleNamespace) -> None:
        """Raise ValueError unless every slot is a vector of floats as long as `theta`."""
        for slot in self.slots:
            vector = getattr(state, slot, None)
            check_shape(self, f"The slot '{slot}'", vector, theta.shape)
            if vector.dtype.kind != "f":  # type: ignore[union-attr]
                raise ValueError(
                    f"The slot '{slot}' of {type(self).__name__} must be an array of floats, as "
                    f"numpy.zeros_like(theta) is. Got dtype {vector.dtype} instead."  # type: ignore[union-attr]
                )

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the scalars of ``rule`` at step `t` with the scheduled learning rate `lr`."""
        return (lr,)

    def step(
        self, theta: np.ndarray, grad: np.ndarray, state: SimpleNamespace, lr_scale: float = 1.0
    ) -> None:
        """Update `theta` in place from `grad`.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            The parameters, float32 or float64.
        grad : ndarray of shape (n_parameters,)
            The gradient at `theta`; not changed.
        state : SimpleNamespace
            What ``init`` returned; changed in place.
        lr_scale : float, default=1.0
            The schedule's factor on the learning rate.
        """
        state.t += 1
        lr = self.learning_rate * lr_scale
        scalars = self.scalars(state.t, lr)
        if not self.weight_decay:
            self.update(theta, grad, state, scalars)
            return
        if type(self).decay is not Optimizer.decay:  # of a subclass, in a way of its own
            self.decay(theta, state, lr)
            self.update(theta, grad, state, scalars)
            return
        for block, decayed in state.blocks:
            keep = 1 - lr * self.weight_decay if decayed else 1.0
            self.update(theta, grad, state, scalars, block, keep)

    def update(
        self,
        theta: np.ndarray,
        grad: np.ndarray,
        state: SimpleNamespace,
        scalars: tuple[float, ...],
        block: slice | None = None,
        keep: float = 1.0,
    ) -> None:
        """Apply ``rule`` to `theta`, shrunk by `keep`, and the slots, or to a block of them."""
        plain = [float(s) for s in scalars]  # NumPy's own scalars would turn float32 to float64
        slots = [getattr(state, slot) for slot in self.slots]
        if block is not None:
            theta, grad, slots = theta[block], grad[block], [slot[block] for slot in slots]
        if not hasattr(state, "kernels"):  # a training sets its own
            state.kernels = NumpyKernels()
        state.kernels.update(self.rule, theta, grad, slots, plain, float(keep))

    def decay(self, theta: np.ndarray, state: SimpleNamespace, lr: float) -> None:
        """Shrink the weights of `theta` by the decoupled weight decay."""
        if self.weight_decay:
            for block, decayed in state.blocks:
                if decayed:
                    theta[block] *= 1 - lr * self.weight_decay

    def evaluation_point(self, theta: np.ndarray, state: SimpleNamespace) -> np.ndarray:
        """Return the parameters to predict and validate with, `theta` itself for most rules."""
        return theta
