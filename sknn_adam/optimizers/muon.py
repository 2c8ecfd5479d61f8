"""Muon: orthogonal steps for matrices."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import FRACTION
from sknn_adam.optimizers.adam import AdamW

__all__ = ["Muon"]


def orthogonalize(matrix: np.ndarray, epsilon: float) -> np.ndarray:
    """Return `matrix` with its singular values brought near 1 by five Newton-Schulz iterations.

    The matrices stand on the last two axes. The quintic's coefficients are those of its author:
    fast rather than exact, the singular values end between 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[-2] > matrix.shape[-1]
    X = matrix.swapaxes(-1, -2) if tall else matrix
    X = X / (np.linalg.norm(X, axis=(-2, -1), keepdims=True) + epsilon)
    for _ in range(5):
        A = X @ X.swapaxes(-1, -2)
        X = a * X + (b * A + c * (A @ A)) @ X
    return X.swapaxes(-1, -2) if tall else X


class Muon(AdamW):
    r"""Muon: momentum made orthogonal, for weight matrices; AdamW for all other parameters.

    The step of a weight matrix gets singular values of about 1, so that directions in which the
    gradient is small are learned as fast as the dominant ones. It needs fewer steps than Adam,
    each dearer by some small matrix products: for wide layers and large batches.

    .. math::

        M_t &= \beta M_{t-1} + (1 - \beta)\, G_t, \qquad
        H_t = \frac{\beta M_t}{1 - \beta^{t+1}} + \frac{(1 - \beta)\, G_t}{1 - \beta^t} \\
        O_t &= U V^\top \text{ of } H_t = U \Sigma V^\top
        \text{, by Newton-Schulz iterations on } H_t / (\lVert H_t \rVert_F + \epsilon) \\
        W_t &= W_{t-1} - \gamma\, (\sqrt{\max(1,\, \text{fan\_out} / \text{fan\_in})}\; O_t
        + \lambda W_{t-1})

    Parameters
    ----------
    learning_rate : float, default=0.001
        :math:`\gamma`, above 0, of matrices and of AdamW.
    beta : float, default=0.95
        :math:`\beta`, the momentum of matrices, in [0, 1).
    beta_1, beta_2 : float, default=0.9, 0.999
        AdamW's, in [0, 1).
    epsilon : float, default=1e-8
        :math:`\epsilon`, also AdamW's; above 0.
    weight_decay : float, default=0.0
        :math:`\lambda`, at least 0, decoupled, on weights only.
    nesterov : bool, default=True
        Whether the momentum is Nesterov's; if not, :math:`H_t = M_t / (1 - \beta^t)`.

    Notes
    -----
    All weight matrices count, also those of the first and the last layer, as in optax; the author
    leaves these to AdamW. AdamW is the plain one, as with the author; optax gives it Nesterov's
    momentum too. Without a layout nothing is known to be a matrix, and AdamW does all.

    References
    ----------
    .. [1] Jordan, K., Jin, Y., Boza, V., You, J., Cesista, F., Newhouse, L., Bernstein, J. (2024).
       Muon: an optimizer for hidden layers in neural networks. kellerjordan.github.io/posts/muon.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import Muon
    >>> model = MLPClassifier((256, 256), optimizer=Muon(learning_rate=0.01))
    """

    _parameter_constraints: ClassVar = {
        **AdamW._parameter_constraints,
        "beta": [FRACTION],
        "nesterov": ["boolean"],
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta: float = 0.95,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        nesterov: bool = True,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay)
        self.beta = beta
        self.nesterov = nesterov

    def init(self, theta: np.ndarray, layout: Any = None) -> Any:
        """Return the state of a new run, which knows the matrices and the other arrays."""
        state = super().init(theta, layout)
        arrays = layout or [(slice(None), theta.shape, "unknown")]
        state.matrices = [(block, shape) for block, shape, role in arrays if role == "weight"]
        state.others = [block for block, _, role in arrays if role != "weight"]
        return state

    def step(self, theta: np.ndarray, grad: np.ndarray, state: Any, lr_scale: float = 1.0) -> None:
        """Update `theta` in place from `grad`."""
        state.t += 1
        lr = float(self.learning_rate * lr_scale)
        self.decay(theta, state, lr)
        for block, shape in state.matrices:
            H = self.momentum(grad[block], state.m[block], state.t).reshape(shape)
            rate = lr * max(1.0, shape[-1] / shape[-2]) ** 0.5
            theta[block].reshape(shape)[...] -= rate * orthogonalize(H, float(self.epsilon))
        for block in state.others:
            self.update(theta, grad, state, self.scalars(state.t, lr), block)

    def momentum(self, g: np.ndarray, m: np.ndarray, t: int) -> Any:
        """Update the momentum `m` in place and return it corrected for its start at zero."""
        beta = float(self.beta)
        m *= beta
        m += (1 - beta) * g
        if self.nesterov:
            return (beta / (1 - beta ** (t + 1))) * m + ((1 - beta) / (1 - beta**t)) * g
        return m / (1 - beta**t)
