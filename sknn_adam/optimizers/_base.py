"""The base class of all optimizers."""

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
    """Return pairs of a block of theta and whether weight decay applies to it.

    Adjacent arrays of `layout` are merged into one block where possible.
    """
    blocks: list[tuple[slice, bool]] = []
    for block, _, role in layout or [(slice(None), (), "weight")]:
        decayed = role == "weight"
        if blocks and blocks[-1] == (slice(blocks[-1][0].start, block.start), decayed):
            block = slice(blocks.pop()[0].start, block.stop)
        blocks.append((block, decayed))
    return blocks


class Optimizer(Component):
    r"""Base class of all optimizers.

    An optimizer stores hyper-parameters only. ``init`` creates the state and the caller keeps it,
    so the same instance can be used in many fits. ``step`` works on any flat float32 or float64
    vector, inside or outside a network.

    A subclass with an element-wise rule defines

    * ``slots``, the names of its state vectors, which start at zero;
    * ``rule(g, *slots, *scalars) -> (update, *slots)``, a static method on arrays or numbers
      that returns the update to subtract from theta, followed by the new slots;
    * ``scalars(t, lr)``, the scalars of the rule at step `t` (counted from 1), in the order of
      its arguments. They are computed once per step in float64, including complements such as
      1 - beta.

    If the rule needs matrices, norms or sums over theta, override ``step`` instead and call
    ``update`` for the element-wise part. An optimizer that requires all samples in every
    iteration defines ``minimize(fun, theta, max_iter, tol, callback)`` and sets
    ``full_batch = True``; see `LBFGS`.

    The optional hyper-parameter ``weight_decay`` is decoupled from the gradient: the weights are
    multiplied by ``1 - lr * weight_decay`` before the update. Biases and normalization
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
            The vector to optimize.
        layout : list of (slice, shape, role), optional
            The arrays inside `theta`. The role is ``"weight"``, ``"bias"`` or ``"norm"``. If
            None, `theta` is a single array and weight decay applies to all of it. When several
            networks train together, the first axis of every array indexes the members.

        Returns
        -------
        state : SimpleNamespace
            The step counter ``t``, one zero vector per slot, and the layout for ``step``.
        """
        state = SimpleNamespace(t=0, layout=layout)
        state.blocks = _decay_blocks(layout)
        for slot in self.slots:
            setattr(state, slot, np.zeros_like(theta))
        return state

    def check_state(self, theta: np.ndarray, state: SimpleNamespace) -> None:
        """Raise ValueError unless every slot is a vector of floats with the shape of `theta`."""
        for slot in self.slots:
            vector = getattr(state, slot, None)
            check_shape(self, f"The slot '{slot}'", vector, theta.shape)
            if vector.dtype.kind != "f":  # type: ignore[union-attr]
                raise ValueError(
                    f"The slot '{slot}' of {type(self).__name__} must be an array of floats, "
                    f"e.g. numpy.zeros_like(theta). Got dtype {vector.dtype} instead."  # type: ignore[union-attr]
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
            The gradient at `theta`. It is not modified.
        state : SimpleNamespace
            The state that ``init`` returned. It is modified in place.
        lr_scale : float, default=1.0
            The schedule factor, which multiplies the learning rate.
        """
        state.t += 1
        lr = self.learning_rate * lr_scale
        scalars = self.scalars(state.t, lr)
        if not self.weight_decay:
            self.update(theta, grad, state, scalars)
            return
        # A subclass that overrides `decay` decays theta itself, before the update.
        if type(self).decay is not Optimizer.decay:
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
        """Multiply `theta` by `keep` and apply ``rule``, to all of `theta` or to a block."""
        # NumPy scalars would promote float32 arrays to float64.
        plain = [float(s) for s in scalars]
        slots = [getattr(state, slot) for slot in self.slots]
        if block is not None:
            theta, grad, slots = theta[block], grad[block], [slot[block] for slot in slots]
        # A training run sets the kernels of its backend. Other callers use NumPy.
        if not hasattr(state, "kernels"):
            state.kernels = NumpyKernels()
        state.kernels.update(self.rule, theta, grad, slots, plain, float(keep))

    def decay(self, theta: np.ndarray, state: SimpleNamespace, lr: float) -> None:
        """Apply the decoupled weight decay to the weights of `theta` in place."""
        if self.weight_decay:
            for block, decayed in state.blocks:
                if decayed:
                    theta[block] *= 1 - lr * self.weight_decay

    @property
    def averages(self) -> bool:
        """Whether predictions use an average of the weights that the optimizer itself computes."""
        return type(self).evaluation_point is not Optimizer.evaluation_point

    def evaluation_point(self, theta: np.ndarray, state: SimpleNamespace) -> np.ndarray:
        """Return the parameters for prediction and validation; by default, `theta` itself."""
        return theta
