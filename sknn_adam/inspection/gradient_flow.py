"""Heat map of gradients and other quantities over layers and epochs."""

from typing import Any

import numpy as np

from sknn_adam.inspection._display import check_matplotlib
from sknn_adam.inspection._fitted_networks import fitted_network

__all__ = ["GradientFlowDisplay"]

# Label and scale of each quantity.
QUANTITIES = {
    "gradient_norm": ("norm of the gradient", "log"),
    "loss_gradient_norm": ("norm of the gradient without penalty", "log"),
    "weight_norm": ("norm of the weights", "log"),
    "update_ratio": ("change of the weights in a step,\nrelative to their norm", "log"),
    "activation_min": ("smallest output", "linear"),
    "activation_max": ("largest output", "linear"),
    "dead": ("fraction of dead units", "fraction"),
    "saturated": ("fraction of saturated units", "fraction"),
}


class GradientFlowDisplay:
    """Heat map of one recorded quantity over layers and epochs.

    Create it with :meth:`from_estimator`. Vanishing gradients appear as dark first layers,
    exploding gradients as bright last epochs.

    Parameters
    ----------
    values : array-like of shape (n_layers, n_recorded_steps)
        Values of the quantity, with the first layer in the first row.
    epochs : array-like of shape (n_recorded_steps,)
        Epoch of each recorded step, in increasing order.
    quantity : str, default="gradient_norm"
        Name of the quantity, a column of ``history_.layers``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure of the axes.
    image_ : matplotlib QuadMesh
        The heat map.
    colorbar_ : matplotlib Colorbar
        The colour bar of the heat map.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import GradientFlowDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> deep = MLPClassifier("16x8", "sigmoid", max_iter=3, record="all", random_state=0)
    >>> display = GradientFlowDisplay.from_estimator(deep.fit(X / 16, y))
    >>> display.values.shape  # eight hidden layers and the output layer, three epochs
    (9, 3)
    """

    def __init__(self, values: Any, epochs: Any, *, quantity: str = "gradient_norm") -> None:
        self.values, self.epochs, self.quantity = values, epochs, quantity

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        quantity: str = "gradient_norm",
        ax: Any = None,
        cmap: Any = "viridis",
    ) -> "GradientFlowDisplay":
        """Plot a quantity that a fitted estimator recorded for its layers.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP, or a Pipeline or search that contains one.
        quantity : str, default="gradient_norm"
            A column of ``history_.layers``: ``"gradient_norm"``, ``"loss_gradient_norm"``,
            ``"weight_norm"``, ``"update_ratio"``, ``"activation_min"``, ``"activation_max"``,
            ``"dead"`` or ``"saturated"``.
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.
        cmap : str or matplotlib Colormap, default="viridis"
            Colour map from low to high values; the default is safe for colour-blind readers.

        Returns
        -------
        display : GradientFlowDisplay

        Raises
        ------
        ValueError
            If no statistics of the layers were recorded, or if `quantity` is unknown.
        """
        if quantity not in QUANTITIES:
            known = ", ".join(QUANTITIES)
            raise ValueError(f"{quantity!r} is not a known quantity. Known names: {known}.")
        layers = fitted_network(estimator).history_.layers
        if not len(layers):
            raise ValueError(
                "No statistics of the layers were recorded. Fit with record=True, or with "
                "record='all' to record every epoch."
            )
        display = cls(
            np.array(layers[quantity], float).T, np.array(layers["epoch"]), quantity=quantity
        )
        return display.plot(ax=ax, cmap=cmap)

    def plot(self, *, ax: Any = None, cmap: Any = "viridis") -> "GradientFlowDisplay":
        """Plot the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.
        cmap : str or matplotlib Colormap, default="viridis"
            Colour map from low to high values.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        from matplotlib.colors import LogNorm, Normalize

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        values, epochs = np.asarray(self.values, float), np.asarray(self.epochs)
        shown = np.ma.masked_invalid(values)
        label, scale = QUANTITIES.get(self.quantity, (self.quantity, "linear"))
        norm = Normalize(0, 1) if scale == "fraction" else None
        if scale == "log":
            shown = np.ma.masked_less_equal(shown, 0)
            if shown.count() and shown.max() > shown.min():
                norm = LogNorm(shown.min(), shown.max())
        self.image_ = ax.pcolormesh(
            _edges(epochs), np.arange(len(values) + 1) + 0.5, shown, cmap=cmap, norm=norm
        )
        ax.set_facecolor("0.85")  # colour of missing values
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label=label)
        ax.set(xlabel="epoch", ylabel="layer (the last one is the output)")
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_locator().set_params(integer=True)
        return self


def _edges(epochs: np.ndarray) -> np.ndarray:
    """Return cell borders halfway between the epochs."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    middles = (epochs[1:] + epochs[:-1]) / 2
    return np.r_[2 * epochs[0] - middles[0], middles, 2 * epochs[-1] - middles[-1]]
