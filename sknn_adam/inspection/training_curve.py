"""Training and validation curves over epochs."""

from typing import Any

import numpy as np

from sknn_adam.inspection._display import check_matplotlib
from sknn_adam.inspection._fitted_networks import fitted_network

__all__ = ["TrainingCurveDisplay"]

BLUE, ORANGE, GREY = (
    "#0072B2",
    "#D55E00",
    "#666666",
)  # Okabe-Ito palette, safe for colour-blind readers


class TrainingCurveDisplay:
    """Plot of the training loss, and the validation score if there is one, over epochs.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    epochs : array-like of shape (n_epochs,)
        Number of each epoch.
    loss : array-like of shape (n_epochs,)
        Mean training loss of each epoch.
    validation : array-like of shape (n_epochs,) or None, default=None
        Validation score or validation loss of each epoch.
    validation_name : str, default="validation loss"
        Label of the validation curve. ``"validation loss"`` shares the axis of the training
        loss; any other score has a second axis on the right.
    best_epoch : int, array-like of int or None, default=None
        The epoch whose weights were kept, or one per member, to mark by vertical lines.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the loss curve.
    right_ax_ : matplotlib Axes or None
        Axes with the curve of a score other than the loss, if there is one.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        The curves: training loss, then validation score or loss.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import TrainingCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> mlp = MLPClassifier(max_iter=5, early_stopping=True, random_state=0).fit(X / 16, y)
    >>> display = TrainingCurveDisplay.from_estimator(mlp)
    >>> [line.get_label() for line in display.lines_]
    ['training loss', 'validation loss']
    """

    def __init__(
        self,
        epochs: Any,
        loss: Any,
        *,
        validation: Any = None,
        validation_name: str = "validation loss",
        best_epoch: Any = None,
    ) -> None:
        self.epochs, self.loss, self.validation = epochs, loss, validation
        self.validation_name, self.best_epoch = validation_name, best_epoch

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, log: bool = False
    ) -> "TrainingCurveDisplay":
        """Plot the training curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP, or a Pipeline or search that contains one.
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.
        log : bool, default=False
            Whether to use a logarithmic axis for the loss, which requires positive losses.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        mlp = fitted_network(estimator)
        history, validation = mlp.history_, mlp.validation_scores_
        name = "validation score"
        if mlp.scoring is not None:
            name += f" ({mlp.scoring if isinstance(mlp.scoring, str) else 'scoring'})"
        if validation is not None:
            validation = np.asarray(validation, float)
            if mlp.scoring == "loss":
                name, validation = "validation loss", -validation
        display = cls(
            np.asarray(history["epoch"]),
            np.asarray(history["loss"], float),
            validation=validation,
            validation_name=name,
            best_epoch=mlp.best_iter_ if mlp.early_stopping and validation is not None else None,
        )
        return display.plot(ax=ax, log=log)

    def plot(self, *, ax: Any = None, log: bool = False) -> "TrainingCurveDisplay":
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.
        log : bool, default=False
            Whether to use a logarithmic axis for the loss.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.right_ax_, self.figure_ = ax, None, ax.figure
        self.lines_ = ax.plot(self.epochs, self.loss, color=BLUE, label="training loss")
        if self.validation is not None:
            where = ax
            if self.validation_name != "validation loss":
                where = self.right_ax_ = ax.twinx()
                where.set_ylabel(self.validation_name)
            self.lines_ += where.plot(
                self.epochs, self.validation, "--", color=ORANGE, label=self.validation_name
            )
        ax.set(xlabel="epoch", ylabel="loss", yscale="log" if log else "linear")
        handles = list(self.lines_)
        if self.best_epoch is not None:
            epochs = np.atleast_1d(self.best_epoch)
            label = "best epoch, " + ", ".join(map(str, sorted(set(epochs.tolist()))))
            lines = [ax.axvline(epoch, color=GREY, ls=":", label=label) for epoch in epochs]
            handles.append(lines[0])
        if len(handles) > 1:
            # The right axes are drawn last, so their legend covers the curves of both axes.
            top = self.right_ax_ or ax
            top.legend(handles=handles, loc="center right")
        return self
