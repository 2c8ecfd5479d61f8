"""Callbacks in scikit-learn's form (scikit-learn 1.9 or later), set by ``set_callbacks``."""

import os
import pickle
from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.base import clone

from sknn_adam import __version__
from sknn_adam._utils.files import replacing

__all__ = ["Checkpoint"]

FORMAT = 1
NOT_KEPT = ("_skl_", "_callback_", "_parent_callback_")  # attributes of scikit-learn's callbacks


class Checkpoint:
    """Writes the whole training run to a file, so that it can be resumed after a crash.

    The file is written to a temporary name in the same folder and then renamed: whenever the
    process is killed, the path holds a complete checkpoint or, before the first one, nothing.

    Parameters
    ----------
    path : str or path-like
        The file.
    every : int, default=1
        Number of epochs between two writes.

    Notes
    -----
    A checkpoint is a pickle: load only files that you trust. It holds weights, the state of
    optimizer, schedule and random generator, the history and the parameters, but no data and no
    callbacks. Give every fit a path of its own: in a search, fits that share one overwrite each
    other's checkpoints.

    Examples
    --------
    >>> import tempfile, os
    >>> from sklearn.datasets import load_iris
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> path = os.path.join(tempfile.mkdtemp(), "run.checkpoint")
    >>> model = MLPClassifier(max_iter=3, random_state=0)
    >>> if hasattr(model, "set_callbacks"):  # scikit-learn 1.9 or later
    ...     _ = model.set_callbacks(Checkpoint(path)).fit(X, y)
    ...     resumed = Checkpoint.load(path).fit(X, y)  # goes on where the file was written
    """

    def __init__(self, path: str | os.PathLike, every: int = 1):
        if isinstance(every, bool) or not isinstance(every, Integral) or int(every) < 1:
            raise ValueError(f"every must be a positive int. Got {every!r} instead.")
        self.path: Path = Path(path)
        self.every: int = int(every)

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing; part of the protocol."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing; part of the protocol."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; part of the protocol."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Write the run at the end of every `every`-th epoch."""
        if context.task_name == "epoch" and estimator.n_iter_ % self.every == 0:
            self.save(estimator)

    def save(self, estimator: Any) -> None:
        """Write the run of an estimator that is being fitted, or is kept by ``warm_start``.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            The estimator, in or after a fit.
        """
        kept = clone(estimator)
        state = {k: v for k, v in vars(estimator).items() if not k.startswith(NOT_KEPT)}
        vars(kept).clear()
        vars(kept).update(state)
        content = {"format": FORMAT, "version": __version__, "estimator": kept}
        with replacing(self.path) as file:
            pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)

    @staticmethod
    def load(path: str | os.PathLike) -> Any:
        """Return the estimator of a checkpoint, with ``warm_start=True``: ``fit`` goes on.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        estimator : MLPClassifier or MLPRegressor
            Fitted as far as the run had come. Give ``fit`` the same data.

        Raises
        ------
        ValueError
            If the file is not a checkpoint, is damaged, or was written by a newer version.
        """
        try:
            with open(path, "rb") as file:
                content = pickle.load(file)
            written, version = content["format"], content["version"]
            estimator = content["estimator"]
        except OSError:
            raise
        except Exception as error:
            raise ValueError(
                f"{os.fspath(path)!r} is no checkpoint of sknn_adam, or it is damaged: {error!r}"
            ) from error
        if written != FORMAT:
            raise ValueError(
                f"{os.fspath(path)!r} was written by sknn_adam {version} in format {written}; "
                f"sknn_adam {__version__} reads format {FORMAT}. Load it with that version."
            )
        return estimator.set_params(warm_start=True)
