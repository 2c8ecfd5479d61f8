"""Labels of classification: how they become codes, and codes become labels again."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sknn_adam._utils.validation import with_ordinary_size

__all__ = ["Labels"]

SHAPES = {
    "exclusive": "labels of shape (n_samples,)",
    "labels": "a 0/1 matrix of shape (n_samples, n_labels)",
    "columns": "columns of labels, shape (n_samples, n_outputs)",
}


class UnseenClasses(ValueError):
    """Raised for labels that are none of the classes; `held_out` is the message for y_val."""

    def __init__(self, found: np.ndarray, known: np.ndarray):
        super().__init__(
            f"y has classes that were not there at the first call: {found!r}. Known classes: "
            f"{known!r}. Name all of them in partial_fit(..., classes=...), or set "
            "warm_start=False."
        )
        self.held_out = (
            f"y_val has classes that y lacks: {found!r}. Known classes: {known!r}. Leave these "
            "samples out of X_val and y_val, or add samples of these classes to X and y."
        )


def kind_of(y: np.ndarray) -> str:
    """Return what `y` is, a key of SHAPES."""
    check_classification_targets(y)
    kinds = {"multilabel-indicator": "labels", "multiclass-multioutput": "columns"}
    kind = kinds.get(type_of_target(y, input_name="y"), "exclusive")
    if kind == "labels" and not np.isin(y, (0, 1)).all():
        kind = "columns"  # of two values each, such as -1 and 1
    return kind


class Labels:
    """What a classifier learns of its targets.

    Parameters
    ----------
    y : ndarray
        The first targets.
    classes : array-like, or list of array-like for columns, optional
        All classes, where `y` may lack some.

    Attributes
    ----------
    kind : {"exclusive", "labels", "columns"}
        One column of classes, labels that do not exclude each other, or several columns.
    columns : list of ndarray
        The classes of every column; 0 and 1 for every label.
    """

    def __init__(self, y: np.ndarray, classes: Any = None):
        self.kind = kind_of(y)
        if self.kind == "labels":
            self.columns = [np.arange(2)] * y.shape[1]
        elif self.kind == "columns":
            given = [None] * y.shape[1] if classes is None else list(classes)
            if len(given) != y.shape[1]:
                raise ValueError(f"classes must list the classes of {y.shape[1]} columns.")
            self.columns = [np.unique(y[:, k] if c is None else c) for k, c in enumerate(given)]
        else:
            self.columns = [np.unique(y if classes is None else np.asarray(classes))]

    @property
    def classes(self) -> Any:
        """What the classifier shows as ``classes_``."""
        if self.kind == "labels":
            return np.arange(len(self.columns))
        return self.columns if self.kind == "columns" else self.columns[0]

    @property
    def n_outputs(self) -> int:
        """Outputs: columns, labels, or classes (one for two classes)."""
        if self.kind != "exclusive":
            return len(self.columns)
        return len(self.columns[0]) if len(self.columns[0]) > 2 else 1

    def encode(self, y: np.ndarray, classes: Any = None, learned: bool = False) -> np.ndarray:
        """Return codes of shape (n_samples,) or (n_samples, n_outputs), or the matrix of labels.

        `learned` says that `y` is what the labels were learned from.
        """
        kind = self.kind if learned else kind_of(y)
        if self.kind == "columns" and y.ndim == 2:
            kind = "columns"  # a batch of them may happen to hold two values only
        if kind != self.kind or (y.ndim == 2 and y.shape[1] != len(self.columns)):
            width = "" if self.kind == "exclusive" else f" with {len(self.columns)} columns"
            raise ValueError(
                f"y must be {SHAPES[self.kind]}{width}, as in the first fit. Got "
                f"{SHAPES[kind]} of shape {y.shape}."
            )
        if classes is not None and kind != "labels":
            self._check_classes(classes if kind == "columns" else [classes])
        if kind == "labels":
            return y.astype(np.float64)
        columns = y.T if kind == "columns" else [y]
        codes = [_codes(known, found) for known, found in zip(self.columns, columns, strict=True)]
        return np.stack(codes, axis=1) if kind == "columns" else codes[0]

    def _check_classes(self, classes: Any) -> None:
        for known, given in zip(self.columns, classes, strict=True):
            if not np.array_equal(np.unique(given), known):
                raise ValueError(
                    f"classes={given!r} is not the same as in the first call: {known!r}."
                )

    def decode(self, codes: list[np.ndarray]) -> np.ndarray:
        """Return the labels for the codes of every column."""
        labels = [known[found] for known, found in zip(self.columns, codes, strict=True)]
        return labels[0] if self.kind == "exclusive" else np.stack(labels, axis=1)

    def weights(self, class_weight: Any, weight: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return sample weights times class weights; those of several columns are multiplied.

        Parameters
        ----------
        class_weight : dict, list of dict or "balanced"
            ``"balanced"`` gives the classes of a column the same total weight.
        weight : ndarray of shape (n_samples,)
            Sample weights.
        targets : ndarray
            What ``encode`` returned.
        """
        columns = targets.reshape(len(targets), -1).astype(int).T
        given = class_weight
        if class_weight == "balanced":
            given = ["balanced"] * len(columns)
        elif self.kind == "exclusive":
            given = [class_weight]
        if (
            not isinstance(given, list)
            or len(given) != len(columns)
            or not all(isinstance(asked, dict) or str(asked) == "balanced" for asked in given)
        ):
            expected = f"'balanced' or a list of {len(columns)} dicts, one for each column of y"
            expected = "'balanced' or a dict" if self.kind == "exclusive" else expected
            raise ValueError(f"class_weight must be {expected}. Got {class_weight!r}.")
        product = np.array(weight, dtype=np.float64)
        for known, codes, asked in zip(self.columns, columns, given, strict=True):
            factors = with_ordinary_size(_per_class(known, codes, weight, asked)[codes])
            product = with_ordinary_size(product * factors)
        if not (np.isfinite(product).all() and (product >= 0).all() and product.any()):
            raise ValueError(
                "class_weight must give finite weights, not negative, with a positive sum. Got "
                f"{class_weight!r}."
            )
        return product


def _codes(known: np.ndarray, found: np.ndarray) -> np.ndarray:
    codes = np.searchsorted(known, found)
    codes[codes == len(known)] = 0
    unseen = known[codes] != found
    if unseen.any():
        raise UnseenClasses(np.unique(found[unseen]), known)
    return codes


def _per_class(known: np.ndarray, codes: np.ndarray, weight: np.ndarray, asked: Any) -> np.ndarray:
    """Return the weight of each class of one column."""
    if isinstance(asked, str):
        totals = np.bincount(codes, weight, minlength=len(known))
        present = totals > 0
        totals[~present] = 1  # the weight of a class without samples is not used
        return np.where(present, weight.sum() / (present.sum() * totals), 1.0)
    names = known.tolist()
    unknown, rest = [n for n in asked if n not in names], [n for n in names if n not in asked]
    # As in scikit-learn: a subset of the samples may lack a class, but a name that is unknown
    # while a class has no weight is probably misspelled.
    if unknown and rest:
        raise ValueError(
            f"class_weight names {unknown!r}, but the classes are {names!r}. Give a weight for "
            f"{rest!r}, or leave the unknown names out."
        )
    weights = [asked.get(name, 1) for name in names]
    if not all(isinstance(weight, Real) for weight in weights):
        raise ValueError(f"The weights in class_weight must be numbers. Got {asked!r}.")
    return np.array(weights, dtype=np.float64)
