"""Callbacks for ``set_callbacks``, which requires scikit-learn 1.9 or later."""

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
# scikit-learn's callbacks set attributes with these prefixes, which are not saved.
NOT_KEPT = ("_skl_", "_callback_", "_parent_callback_")


class Checkpoint:
    """Callback that saves the training run to a file, so that a crashed fit can be resumed.

    The file is written under a temporary name in the same folder and then renamed. Therefore, the
    path never contains an incomplete checkpoint, even if the process is killed.

    Parameters
    ----------
    path : str or path-like
        Path of the checkpoint file. Every checkpoint replaces the previous one.
    every : int, default=1
        Number of epochs between checkpoints.

    Notes
    -----
    A checkpoint is a pickle, so load only files that you trust. It contains the weights, the
    history, the parameters, and the states of the optimizer, the schedule and the random number
    generator. It contains no data and no callbacks. Use a separate path for every fit: in a
    search, fits with the same path overwrite each other's checkpoints.

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
    ...     resumed = Checkpoint.load(path).fit(X, y)  # continues from the checkpoint
    """

    def __init__(self, path: str | os.PathLike, every: int = 1):
        if isinstance(every, bool) or not isinstance(every, Integral) or int(every) < 1:
            raise ValueError(f"every must be a positive int. Got {every!r} instead.")
        self.path: Path = Path(path)
        self.every: int = int(every)

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Save the run after every `every` epochs."""
        if context.task_name == "epoch" and estimator.n_iter_ % self.every == 0:
            self.save(estimator)

    def save(self, estimator: Any) -> None:
        """Save the training run of an estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            An estimator that is being fitted, or that was fitted with ``partial_fit`` or
            ``warm_start=True``.
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
        """Load an estimator whose ``fit`` continues the training run of a checkpoint.

        Parameters
        ----------
        path : str or path-like
            Path of the checkpoint file.

        Returns
        -------
        estimator : MLPClassifier or MLPRegressor
            The estimator at the time of the checkpoint, with ``warm_start=True``. Call ``fit``
            with the same data to continue.

        Raises
        ------
        ValueError
            If the file is damaged, is not a checkpoint or has another format version.
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
                f"{os.fspath(path)!r} is not a checkpoint of sknn_adam, or is damaged: {error!r}"
            ) from error
        if written != FORMAT:
            raise ValueError(
                f"{os.fspath(path)!r} was written by sknn_adam {version} in format {written}; "
                f"sknn_adam {__version__} reads format {FORMAT}. Load it with that version."
            )
        return estimator.set_params(warm_start=True)
