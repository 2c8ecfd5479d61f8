"""L-BFGS: a full-batch quasi-Newton method."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from sknn_adam._utils.validation import POSITIVE_INTEGER
from sknn_adam.optimizers._base import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    r"""L-BFGS: limited-memory BFGS with a line search, from ``scipy.optimize`` [1]_.

    L-BFGS approximates the curvature of the objective from the most recent steps and performs a
    line search along the resulting direction, so it needs no learning rate. Every iteration uses
    all samples. L-BFGS works well on small data sets with smooth losses and is unsuitable for
    large data sets.

    Parameters
    ----------
    history_size : int, default=10
        Number of past steps used to approximate the curvature.
    max_line_search : int, default=20
        Maximum number of evaluations of the objective per iteration.

    Notes
    -----
    As in scikit-learn, ``max_iter`` is the number of iterations, and training stops when the
    largest absolute element of the gradient is at most ``tol``. ``dtype="auto"`` means float64.
    ``schedule``, ``gradient_clip``, ``averaging`` and ``shuffle`` have no effect. ``partial_fit``
    and a ``batch_size`` below the number of samples raise an error.

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
    # The line search determines the step size, so no hyper-parameter is searched.
    ranges: ClassVar = {}
    full_batch = True
    # The first step size that the line search tries.
    learning_rate = 1.0

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
            The initial point. It is not modified.
        max_iter : int, default=200
            Maximum number of iterations.
        tol : float, default=1e-4
            Stop when the largest absolute element of the gradient is at most `tol`.
        callback : callable, optional
            Called with the intermediate result after every iteration. It can raise StopIteration
            to stop the optimization.

        Returns
        -------
        result : scipy.optimize.OptimizeResult
            ``x`` is the minimizer. ``status`` is 0 after convergence, 1 if ``max_iter`` was
            reached, and greater if the optimization stopped for another reason.
        """
        options = {
            "maxiter": max_iter,
            "maxfun": max_iter * self.max_line_search,
            "gtol": tol,
            # With the default `ftol`, SciPy stops long before `tol` is reached.
            "ftol": 64 * np.finfo(float).eps,
            "maxcor": self.history_size,
            "maxls": self.max_line_search,
        }
        wrapped = None
        if callback is not None:
            # SciPy passes the intermediate result only to a parameter of this name.
            def wrapped(intermediate_result: OptimizeResult) -> None:
                callback(intermediate_result)

        return minimize(fun, theta, method="L-BFGS-B", jac=True, options=options, callback=wrapped)
