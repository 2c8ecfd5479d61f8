"""Muon: orthogonalized momentum for weight matrices."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import FRACTION
from sknn_adam.optimizers.adam import AdamW

__all__ = ["Muon"]


def orthogonalize(matrix: np.ndarray, epsilon: float) -> np.ndarray:
    """Move the singular values of `matrix` close to 1 by five Newton-Schulz iterations.

    `matrix` can have leading axes for several matrices. The coefficients of the quintic polynomial
    are those of the method's author. They favor speed over accuracy: most of the final singular
    values are between 0.7 and 1.2.
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
    r"""Muon: orthogonalized momentum for weight matrices, AdamW for all other parameters.

    The orthogonalized momentum of a weight matrix has singular values close to 1, so directions
    with small gradients are learned as fast as dominant ones. Muon needs fewer steps than Adam,
    but each step requires additional matrix products. Muon is suited to wide layers and large
    batches.

    .. math::

        M_t &= \beta M_{t-1} + (1 - \beta)\, G_t, \qquad
        H_t = \frac{\beta M_t}{1 - \beta^{t+1}} + \frac{(1 - \beta)\, G_t}{1 - \beta^t} \\
        O_t &= U V^\top \text{ of } H_t = U \Sigma V^\top
        \text{, by Newton-Schulz iterations on } H_t / (\lVert H_t \rVert_F + \epsilon) \\
        W_t &= W_{t-1} - \gamma\, (\sqrt{\max(1,\, \text{fan\_out} / \text{fan\_in})}\; O_t
        + \lambda W_{t-1})

    Here :math:`W_t` is a weight matrix of shape (fan_in, fan_out) after step :math:`t`,
    :math:`G_t` is its gradient, :math:`M_t` the momentum, :math:`H_t` the bias-corrected Nesterov
    momentum, :math:`U \Sigma V^\top` the singular value decomposition of :math:`H_t`, and
    :math:`O_t` the orthogonalized momentum.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma` of both weight matrices and AdamW, greater than 0.
    beta : float, default=0.95
        The decay rate :math:`\beta` of the momentum of weight matrices, in [0, 1).
    beta_1, beta_2 : float, default=0.9, 0.999
        The decay rates of AdamW, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, also in AdamW, greater than
        0.
    weight_decay : float, default=0.0
        The decoupled weight decay :math:`\lambda`, at least 0, applied to weights only.
    nesterov : bool, default=True
        Whether to use Nesterov momentum. Otherwise, :math:`H_t = M_t / (1 - \beta^t)`.

    Notes
    -----
    As in optax, the updates of all weight matrices are orthogonalized, including those of the
    first and the last layer. The author uses AdamW for these two layers. As in the author's
    version and unlike in optax, AdamW has no Nesterov momentum. If ``init`` gets no layout, the
    weight matrices are unknown and AdamW updates all parameters.

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
        """Return the state of a new run, with the blocks of weight matrices and other arrays."""
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
        """Update the momentum `m` in place and return :math:`H_t` as a vector."""
        beta = float(self.beta)
        m *= beta
        m += (1 - beta) * g
        if self.nesterov:
            return (beta / (1 - beta ** (t + 1))) * m + ((1 - beta) / (1 - beta**t)) * g
        return m / (1 - beta**t)
