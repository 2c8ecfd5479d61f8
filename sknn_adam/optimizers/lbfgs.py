"""L-BFGS: a quasi-Newton method on all rows at once."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from sknn_adam._utils.validation import POSITIVE_INTEGER
from sknn_adam.optimizers._base import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    r"""L-BFGS: limited-memory BFGS with a line search, by ``scipy.optimize`` [1]_.

    Builds the objective's curvature from the last steps and searches along the resulting
    direction, so it needs no learning rate. Every iteration uses all rows: strong on small tables
    and smooth losses, out of place on large ones.

    Parameters
    ----------
    history_size : int, default=10
        How many past steps the curvature is built from.
    max_line_search : int, default=20
        The most evaluations of the objective in one iteration.

    Notes
    -----
    ``max_iter`` counts iterations and ``tol`` bounds the largest element of the gradient, as in
    scikit-learn. The network is float64. ``schedule``, ``gradient_clip``, ``averaging`` and
    ``shuffle`` have no effect; ``partial_fit`` and minibatches are refused.

    References
    ----------
    .. [1] Byrd, R., Lu, P., Nocedal, J., Zhu, C. (1995). A limited memory algorithm for bound
       constrained optimization. SIAM Journal on Scientific Computing 16(5).

    Examples
    --------
    >>> from sknn_adam import MLPRegressor
    >>> from sknn_adam.optimizers import LBFGS
    >>> model = MLPRegressor((10,), optimizer=LBFGS(history_size=20), activation="tanh")
    """

    _parameter_constraints: ClassVar = {
        "history_size": [POSITIVE_INTEGER],
        "max_line_search": [POSITIVE_INTEGER],
    }
    ranges: ClassVar = {}  # a line search finds the step
    full_batch = True
    learning_rate = 1.0  # the line search's first try

    def __init__(self, history_size: int = 10, max_line_search: int = 20) -> None:
        self.history_size = history_size
        self.max_line_search = max_line_search

    def minimize(
        self,
        fun: Callable[[np.ndarray], tuple[float, np.ndarray]],
        theta: np.ndarray,
        max_iter: int = 200,
        tol: float = 1e-4,
        callback: Callable[[OptimizeResult], None] | None = None,
    ) -> OptimizeResult:
        """Minimize `fun` from `theta`.

        Parameters
        ----------
        fun : callable
            ``fun(theta) -> (value, gradient)``.
        theta : ndarray of shape (n_parameters,)
            The start; not changed.
        max_iter : int, default=200
            The most iterations.
        tol : float, default=1e-4
            Done when no element of the gradient is larger.
        callback : callable, optional
            Called with the intermediate result after every iteration; may raise StopIteration.

        Returns
        -------
        result : scipy.optimize.OptimizeResult
            ``x`` is the minimizer; ``status`` is 0 if converged, 1 if iterations ran out.
        """
        options = {
            "maxiter": max_iter,
            "maxfun": max_iter * self.max_line_search,
            "gtol": tol,
            "ftol": 64 * np.finfo(float).eps,  # else SciPy stops long before tol is reached
            "maxcor": self.history_size,
            "maxls": self.max_line_search,
        }
        wrapped = None
        if callback is not None:
            # SciPy passes the result only to an argument of exactly this name.
            def wrapped(intermediate_result: OptimizeResult) -> None:
                callback(intermediate_result)

        return minimize(fun, theta, method="L-BFGS-B", jac=True, options=options, callback=wrapped)
