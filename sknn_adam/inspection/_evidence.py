"""Evidence for a diagnosis: the training history, and a forward pass over given samples."""

from functools import cached_property
from inspect import Parameter, signature
from typing import Any

import numpy as np

from sknn_adam._estimator.parameters import Sizes, choose_sizes
from sknn_adam._nn.layers import Activate, Workspace
from sknn_adam._training.penalty import Penalty
from sknn_adam._training.probe import Probe
from sknn_adam.layers import parse_sizes

__all__ = ["Evidence"]

MOST_SAMPLES = 2000  # of the given samples; more would add little


class Evidence:
    """Quantities of a fitted network that the checks use.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        The fitted network.
    X : ndarray or CSR matrix, optional
        Samples, transformed by the enclosing estimators.
    y : array-like, optional
        Targets of these samples.
    """

    def __init__(self, mlp: Any, X: Any = None, y: Any = None):
        self.mlp, self.X, self.y = mlp, X, y
        self.table: dict[str, float] = mlp.history_.table
        self.constant_loss = self.table["constant_loss"]  # loss of a constant prediction
        self.loss = np.asarray(mlp.history_["loss"], float)
        self.layers = mlp.history_.layers
        self.optimizer, self.network = mlp.optimizer_, mlp._network
        self.widths = parse_sizes(mlp.hidden_layer_sizes)
        self.diverged = mlp.stop_reason_ == "diverged"
        self.kinds: set[str] = set()  # kinds of the findings so far

    def column(self, name: str) -> np.ndarray:
        """Return a column of the layer history, shape (n_recorded_steps, n_layers)."""
        n_layers = len(self.widths) + 1
        return np.asarray(self.layers[name], float).reshape(len(self.layers), n_layers)

    # -- parameters -----------------------------------------------------------------------------

    @cached_property
    def rate(self) -> float:
        """Learning rate; nan if the optimizer has none."""
        return float(self.mlp.get_params().get("optimizer__learning_rate", np.nan))

    @cached_property
    def usual_rate(self) -> float:
        """Default learning rate of the optimizer."""
        parameter = signature(type(self.optimizer)).parameters.get("learning_rate")
        if parameter is None or parameter.default is Parameter.empty:
            return np.nan
        return float(parameter.default)

    @cached_property
    def auto(self) -> Sizes:
        """Values that "auto" gives batch_size, alpha and l1_ratio for this training set."""
        mlp, n_samples = self.mlp, int(self.table["n_rows"])
        return choose_sizes(
            mlp._loss,
            self.optimizer,
            n_samples,
            max_iter=mlp.max_iter,
            crossed=mlp.cv is not None,
            early_stopping=mlp.early_stopping,
        )

    @cached_property
    def alpha(self) -> float:
        """Strength of the penalty."""
        return self.mlp.alpha_

    @cached_property
    def l1_ratio(self) -> float:
        """Fraction of L1 in the penalty."""
        return self.mlp.l1_ratio_

    @cached_property
    def slopes(self) -> np.ndarray:
        """Slopes of the activation of each hidden layer at -30, 0 and 30, shape (n_hidden, 3)."""
        slopes = []
        for layer in self.network.layers:
            if isinstance(layer, Activate):
                z = np.array([[-30.0], [0.0], [30.0]])
                start = (np.asarray(layer.activation.start()),) if layer.activation.learned else ()
                slope = layer.activation.derivative(z, layer.activation(z, *start), *start)
                slopes.append(np.abs(np.broadcast_to(slope, z.shape)).ravel())
        return np.array(slopes).reshape(-1, 3)

    @cached_property
    def bounded(self) -> np.ndarray:
        """Whether the activation of each hidden layer is flat on both sides."""
        return self.slopes[:, [0, 2]].max(axis=1) < 0.05 * self.slopes[:, 1]

    # -- loss curve -------------------------------------------------------------------------------

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights used for prediction, in one vector for all members."""
        return self.network.theta[: self.network.n_weights].astype(np.float64)

    @cached_property
    def penalty(self) -> float:
        """Penalty of the weights used for prediction, averaged over members."""
        return Penalty(self.alpha, self.l1_ratio)(self.weights) / (self.network.members or 1)

    @cached_property
    def plain_loss(self) -> np.ndarray:
        """Loss of each epoch without the penalty, which is interpolated between recorded epochs.

        The penalty can still decrease when the loss without it no longer does.
        """
        if not len(self.layers) or not len(self.loss):
            return self.loss - self.penalty
        weights = self.weights
        norms = np.sqrt(np.sum(self.column("weight_norm") ** 2, axis=1))
        first = self.mlp.history_["epoch"][0]
        epochs = [epoch - first for epoch in self.layers["epoch"]]
        # Ratio of L1 norm to L2 norm. The initial ratio, 0.83 * sqrt(n), is between those of
        # uniform and normal weights. The final ratio is measured, because trained weights can be
        # sparse.
        last = np.abs(weights).sum() / max(np.linalg.norm(weights), 1e-300)
        ratios = np.interp(epochs, [0, len(self.loss)], [0.83 * len(weights) ** 0.5, last])
        of_norms = Penalty(self.alpha, self.l1_ratio).of_norms
        penalties = of_norms(norms**2, ratios * norms) / (self.network.members or 1)
        penalties = [*penalties, self.penalty]
        penalty = np.interp(np.arange(len(self.loss)), [*epochs, len(self.loss)], penalties)
        # An interpolated penalty that exceeds the loss is wrong: use the final penalty.
        penalty = np.where(penalty < self.loss, penalty, self.penalty)
        return np.maximum(self.loss - penalty, 0)

    @cached_property
    def kept_loss(self) -> float:
        """Mean loss without penalty over a tenth of the epochs, up to the best or last one."""
        if not len(self.loss):
            return np.inf
        end = int(np.mean(self.mlp.best_iter_)) if self.mlp.early_stopping else len(self.loss)
        start = max(0, end - max(1, len(self.loss) // 10))
        return float(self.plain_loss[start : max(1, end)].mean())

    @cached_property
    def left(self) -> float:
        """Loss at the end, relative to the loss of a constant prediction."""
        return self.kept_loss / self.constant_loss if self.constant_loss > 0 else np.nan

    @property
    def severity(self) -> str:
        """Severity of a fault that explains the loss at the end."""
        return "high" if self.left > 0.5 else "medium" if self.left > 0.2 else "low"

    @cached_property
    def fall(self) -> float:
        """Final decrease of the loss without penalty, per epoch and relative to `constant_loss`."""
        n = len(self.loss)
        k = max(1, n // 10)
        if n < 2 or not self.constant_loss > 0:
            return np.nan
        before, end = self.plain_loss[-2 * k : -k].mean(), self.plain_loss[-k:].mean()
        return float((before - end) / k / self.constant_loss)

    @cached_property
    def gain(self) -> float:
        """Relative decrease of the loss without penalty during the last tenth of the epochs."""
        return self.fall * max(1, len(self.loss) // 10) / self.left if self.left > 0 else np.nan

    @cached_property
    def roughness(self) -> float:
        """Ratio of total increase to total decrease of the loss, after a tenth of the epochs."""
        steps = np.diff(self.loss[len(self.loss) // 10 :])
        falls = -steps[steps < 0].sum()
        return float(steps[steps > 0].sum() / falls) if falls > 0 else np.nan

    # -- forward pass over given samples --------------------------------------------------------

    @cached_property
    def passed(self) -> dict[str, tuple[float, ...]] | None:
        """Outputs and fractions of dead and saturated units of each layer, on the given samples."""
        if self.X is None:
            return None
        subset = np.linspace(0, self.X.shape[0] - 1, min(self.X.shape[0], MOST_SAMPLES)).astype(int)
        x = self.X[subset].astype(self.network.dtype)
        workspaces = [Workspace() for _ in self.network.layers]
        with np.errstate(all="ignore"):
            self.network._pass(x, workspaces)
            return Probe(self.network.layers).outputs(workspaces)

    @cached_property
    def given_loss(self) -> float:
        """Loss on the given samples; nan without X or y."""
        if self.X is None or self.y is None:
            return np.nan
        self.mlp._targets.check(self.y)
        targets = self.mlp._targets.encode(np.asarray(self.y), self.mlp._loss)
        with np.errstate(all="ignore"):
            return float(np.mean(self.mlp._loss.mean(targets, self.network.predict(self.X))))

    def units(self, name: str) -> np.ndarray:
        """Return the final fraction of dead or saturated units of each hidden layer."""
        if self.passed is not None:
            return np.asarray(self.passed[name][:-1])
        last = self.column(name)[-2:, :-1]
        return last.min(axis=0) if len(last) else np.full(len(self.widths), np.nan)
