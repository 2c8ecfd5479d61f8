"""MLPRegressor."""

from typing import ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from sknn_adam._estimator import BaseMLP
from sknn_adam._validation import StrOptions, unchanged_on_error
from sknn_adam.losses import REGRESSION_LOSSES

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron for regression, with every part pluggable.

    Predicts one number or several. Targets are standardized for training and predictions are
    given on the original scale. Every part takes a name or an instance, and nested parameters
    work for both: ``optimizer="adam"`` with ``optimizer__learning_rate=0.01``. Scale the features
    first.

    Parameters
    ----------
    hidden_layer_sizes : int, sequence of int or str, default=(100,)
        Widths of the hidden layers: ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three
        layers of 256. ``()`` is a linear model. Strings can be searched by every search.
    activation : str or Activation, default="relu"
        Activation of the hidden layers: ``"identity"``, ``"logistic"`` (``"sigmoid"``),
        ``"tanh"``, ``"relu"``.
    initializer : str or Initializer, default="auto"
        First weights: ``"glorot_uniform"``, ``"glorot_normal"`` (``"xavier_..."``),
        ``"he_uniform"``, ``"he_normal"``, ``"variance_scaling"``, ``"zeros"``, or ``"auto"``: He
        for ReLU, Glorot for the others.
    bias_initializer : str or Initializer, default="zeros"
        First biases.
    normalization : None, str or Normalization, default=None
        Normalization before every activation: ``"batch"``.
    loss : str or RegressionLoss, default="squared_error"
        What is minimized.
    target_scaling : bool or "auto", default="auto"
        Whether targets are scaled for training, to mean 0 and deviation 1 (weighted). Learned in
        ``fit`` or at the first ``partial_fit``, then kept. The loss is on the scaled targets.
    optimizer : str or Optimizer, default="adam"
        ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"rmsprop"``, ``"adam"``, ``"lbfgs"``, or an
        instance such as ``Adam(learning_rate=0.01)``. The learning rate lives here.
    schedule : str or Schedule, default="constant"
        Course of the learning rate, a factor on it: ``"constant"``, ``"exponential"``,
        ``"cosine"``.
    gradient_clip : None, float, str or Clipping, default=None
        A number clips the gradient by its global norm; or ``"norm"``, ``"value"``.
    alpha : float, default=1e-4
        Strength of the penalty on the weights, not negative. It means the same for every batch
        size (scikit-learn divides it by the batch).
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 to 1; the rest is L2.
    batch_size : int or "auto", default="auto"
        Rows of a minibatch; ``"auto"`` is ``min(200, n_samples)``, for L-BFGS all.
    max_iter : int, default=200
        The most epochs.
    shuffle : bool, default=True
        Whether every epoch visits the rows in a new random order.
    n_iter_no_change : int, default=10
        Training stops when the loss has not fallen by `tol` for more than this many epochs in a
        row; ``numpy.inf`` never stops.
    tol : float, default=1e-4
        See `n_iter_no_change`.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last fit, with the optimizer's and the random state kept.
    on_divergence : {"warn", "raise"}, default="warn"
        What happens when the loss or a weight is no longer finite. ``"warn"`` keeps the best
        finite weights and warns once; ``"raise"`` raises FloatingPointError.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the network. ``"auto"`` is float64 if X is not float32 and has less than
        65,536 elements, else float32.
    random_state : int, RandomState instance or None, default=None
        Decides first weights and the order of the rows. The same integer gives the same bits.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights. A plain forward pass through them predicts: the scaling of the
        targets and batch normalization are folded in.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases.
    n_iter_ : int
        Epochs of the last fit.
    n_layers_ : int
        Layers, counting input and output.
    n_outputs_ : int
        Outputs.
    out_activation_ : str
        What turns raw outputs into predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the smallest.
    loss_curve_ : list of float
        Loss of every epoch: the mean over its minibatches, each before its update, with penalty.
    history_ : History
        Loss, learning rate and seconds of every epoch.
    stop_reason_ : {"tol", "max_iter", "diverged", "no_progress", None}
        Why training ended; None after ``partial_fit``.
    converged_ : bool
        Whether training ended because the loss no longer fell.
    optimizer_ : Optimizer
        The optimizer that was used.
    t_ : int
        Optimizer steps done.
    n_features_in_ : int
        Features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    MLPClassifier : The same network for classes and labels.

    References
    ----------
    Kingma, D., Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.

    He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> mlp = MLPRegressor(hidden_layer_sizes="32x2", random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    _tables: ClassVar = {**BaseMLP._tables, "loss": REGRESSION_LOSSES}
    _parameter_constraints: ClassVar = {
        **BaseMLP._parameter_constraints,
        "target_scaling": [StrOptions({"auto"}), "boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        initializer="auto",
        bias_initializer="zeros",
        normalization=None,
        loss="squared_error",
        target_scaling="auto",
        optimizer="adam",
        schedule="constant",
        gradient_clip=None,
        alpha=1e-4,
        l1_ratio=0.0,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        on_divergence="warn",
        dtype="auto",
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.initializer = initializer
        self.bias_initializer = bias_initializer
        self.normalization = normalization
        self.loss = loss
        self.target_scaling = target_scaling
        self.optimizer = optimizer
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.on_divergence = on_divergence
        self.dtype = dtype
        self.random_state = random_state

    @unchanged_on_error
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch over the given rows, going on from where training stands.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets. Their scaling is learned at the first call and stays.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative, with a positive sum.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.
        """
        return self._partial_fit(X, y, sample_weight)

    def _encode(self, y, weight, first, classes):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        targets = y.reshape(len(y), -1).astype(np.float64, copy=False)
        if first:
            self.n_outputs_ = targets.shape[1]
            self._y_ndim = y.ndim
            self._learn_scaling(targets, weight)
        elif targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {targets.shape[1]} outputs, but {type(self).__name__} was fitted with "
                f"{self.n_outputs_}."
            )
        return (targets - self._y_shift) / self._y_scale

    def _learn_scaling(self, targets, weight):
        n_outputs = targets.shape[1]
        self._y_shift, self._y_scale = np.zeros(n_outputs), np.ones(n_outputs)
        if self.target_scaling is False:
            return
        self._y_shift = np.average(targets, axis=0, weights=weight)
        deviations = targets - self._y_shift
        peak = np.abs(deviations).max(axis=0)  # squares of large targets would overflow
        peak[peak == 0] = 1
        scale = peak * np.sqrt(np.average((deviations / peak) ** 2, axis=0, weights=weight))
        self._y_scale = np.where(scale > 0, scale, 1.0)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, float32 if X is float32, else float64; always finite.
        """
        z, dtype = self._raw(X)
        predicted = self._loss.predict(z) * self._y_scale + self._y_shift
        predicted = predicted.astype(dtype, copy=False)
        return predicted.ravel() if self._y_ndim == 1 else predicted

    @property
    def out_activation_(self) -> str:
        """What turns raw outputs into predictions."""
        return "identity"

    def _weights(self):
        """Fold the scaling of the targets into the last layer."""
        coefs, intercepts = self._network.folded()
        if self._y_shift.any() or (self._y_scale != 1).any():
            dtype = self._network.dtype
            coefs[-1] = (coefs[-1] * self._y_scale).astype(dtype)
            intercepts[-1] = (intercepts[-1] * self._y_scale + self._y_shift).astype(dtype)
        return coefs, intercepts
