"""Orthogonal initial weights."""

from typing import ClassVar

import numpy as np

from sknn_adam._utils.validation import POSITIVE
from sknn_adam.initializers._base import Initializer

__all__ = ["Orthogonal", "LSUV"]


class Orthogonal(Initializer):
    r"""A random matrix with orthonormal columns (or rows, if it has fewer rows than columns).

    Square orthogonal matrices preserve the norms of activations and gradients, so even very deep
    linear networks can be trained.

    Parameters
    ----------
    gain : float, default=1.0
        Factor by which the matrix is multiplied, greater than 0. :math:`\sqrt 2` suits ReLU.

    References
    ----------
    Saxe, A., McClelland, J., Ganguli, S. (2014). Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Orthogonal
    >>> W = Orthogonal()(5, 3, np.random.default_rng(0))
    >>> bool(np.allclose(W.T @ W, np.eye(3)))
    True
    """

    _parameter_constraints: ClassVar = {"gain": [POSITIVE]}

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        tall = rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
        Q, R = np.linalg.qr(tall)
        # Without this choice of signs, the distribution of Q is not uniform.
        Q *= np.sign(np.diag(R))
        return self.gain * (Q if fan_in >= fan_out else Q.T)


class LSUV(Orthogonal):
    """Layer-sequential unit variance: orthogonal weights, rescaled on the first batch.

    Before training, one batch is passed through the network. From the first dense layer to the
    last, the weights are divided by the standard deviation of the layer's output until it is close
    to 1, at most 10 times. The initial outputs of all dense layers then have unit variance,
    regardless of the activations and the scale of the data.

    References
    ----------
    Mishkin, D., Matas, J. (2016). All you need is a good init. ICLR. Algorithm 1.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier("64x20", activation="tanh", initializer="lsuv")
    """

    _parameter_constraints: ClassVar = {}
    unit_variance = True

    def __init__(self) -> None:
        super().__init__()
