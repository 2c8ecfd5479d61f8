"""Encodings of categories with many levels: means of the target, and counts."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, is_regressor
from sklearn.model_selection import KFold
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from sknn_adam._utils.sklearn_compat import StrOptions, check_feature_names_in
from sknn_adam._utils.validation import POSITIVE_INTEGER

__all__ = ["ByTarget", "LogCount", "encode_levels"]

UNSEEN, MISSING_LEVEL = -1, -2


def encode_levels(estimator: Any, random_state: Any) -> FeatureUnion:
    """Return the encoder of columns with many levels for a pipeline that ends with `estimator`."""
    # Integer targets can be numbers or classes. Only the estimator determines which.
    target_type = "continuous" if is_regressor(estimator) else "auto"
    by_target = ByTarget(target_type=target_type, random_state=random_state)
    return FeatureUnion([("mean", by_target), ("log_count", LogCount())])


def _codes() -> OrdinalEncoder:
    """Return an encoder that maps levels to 0, 1, ..., also if they are unseen or missing."""
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=UNSEEN,
        encoded_missing_value=MISSING_LEVEL,
    )


class ByTarget(TransformerMixin, BaseEstimator):
    """Encode each level by the mean of every target, or by the frequency of every class.

    Each target and each class has its own TargetEncoder, which shrinks the means of rare levels
    towards the overall mean, and cross-fits them in `fit_transform`. An unseen level gets the
    overall mean. Missing values are a level.

    Parameters
    ----------
    target_type : {"auto", "continuous"}, default="auto"
        With ``"continuous"``, targets are numbers. With ``"auto"``, integers, booleans and strings
        are classes.
    smooth : "auto" or float, default="auto"
        The parameter of TargetEncoder.
    cv : int, default=5
        Number of folds of the cross-fitting. The folds are shuffled and not stratified: a mean does
        not need samples of all classes.
    max_classes : int, default=20
        Maximum number of classes of a target that are encoded. If there are more, only the most
        frequent ones are encoded.
    random_state : int, RandomState instance or None, default=None
        Random state of the folds.

    Attributes
    ----------
    levels_ : OrdinalEncoder
        Encoder of the levels, shared by all targets.
    encoders_ : list of TargetEncoder
        One encoder for each number or class that is averaged.
    target_names_ : list of str
        One name per encoder, empty for a single number and for two classes.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features seen during fit. Defined only if X has feature names that are all strings.
    """

    _parameter_constraints: ClassVar = {
        "target_type": [StrOptions({"auto", "continuous"})],
        "max_classes": [POSITIVE_INTEGER],
    }

    def __init__(
        self,
        target_type: str = "auto",
        smooth: Any = "auto",
        cv: int = 5,
        max_classes: int = 20,
        random_state: Any = None,
    ) -> None:
        self.target_type = target_type
        self.smooth = smooth
        self.cv = cv
        self.max_classes = max_classes
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the means to all samples."""
        self._fit("fit", X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the means to all samples, but return those of the other folds for each sample."""
        return _interleaved(self._fit("fit_transform", X, y))

    def transform(self, X: Any) -> np.ndarray:
        """Return the means of all samples of each level."""
        check_is_fitted(self)
        with config_context(transform_output="default"):
            codes = self.levels_.transform(X)
            return _interleaved([encoder.transform(codes) for encoder in self.encoders_])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, followed by that of the target or class, if any."""
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        both = [[column, target] for column in names for target in self.target_names_]
        return np.array(["_".join(filter(None, pair)) for pair in both], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.string = tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def _fit(self, method: str, X: Any, y: Any) -> list[Any]:
        self._validate_params()
        validate_data(self, X, y, skip_check_array=True)
        numbers = _numbers_to_average(y, self.target_type, self.max_classes)
        self.target_names_ = [name for name, _ in numbers]
        # With metadata routing, scikit-learn 1.9 would require groups.
        with config_context(enable_metadata_routing=False, transform_output="default"):
            self.levels_ = _codes()
            codes = self.levels_.fit_transform(X)
            self.encoders_ = [self._encoder() for _ in numbers]
            return [
                getattr(encoder, method)(codes, target)
                for encoder, (_, target) in zip(self.encoders_, numbers, strict=True)
            ]

    def _encoder(self) -> TargetEncoder:
        if getattr(TargetEncoder(), "random_state", "") is None:  # before scikit-learn 1.9
            folds = {"cv": self.cv, "random_state": self.random_state}
        else:
            folds = {"cv": KFold(self.cv, shuffle=True, random_state=self.random_state)}
        return TargetEncoder(target_type="continuous", smooth=self.smooth, **folds)


def _interleaved(parts: list[np.ndarray]) -> np.ndarray:
    """Return all targets of the first column, then those of the second column, and so on."""
    return np.stack(parts, axis=2).reshape(len(parts[0]), -1)


def _numbers_to_average(y: Any, target_type: str, max_classes: int) -> list[tuple[str, np.ndarray]]:
    """Return the numbers to average, each with the name of the target, the class, or both."""
    numbers = []
    continuous = target_type == "continuous" or "continuous" in type_of_target(y, input_name="y")
    if continuous:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    else:
        check_classification_targets(y)
        y = np.asarray(y)
    single = y.ndim == 1 or y.shape[1] == 1
    for i, target in enumerate(y.reshape(len(y), -1).T):
        name = "" if single else f"y{i}"
        if continuous:
            numbers.append((name, target))
            continue
        classes, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
        if len(classes) <= 2:
            numbers.append((name, (codes == 1).astype(float)))
            continue
        # The sort is stable, so the first of equally frequent classes are kept.
        for code in np.sort(np.argsort(-counts, kind="stable")[:max_classes]):
            both = f"{name}_{classes[code]}" if name else str(classes[code])
            numbers.append((both, (codes == code).astype(float)))
    return numbers


class LogCount(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode each level by the logarithm of one plus its number of samples in ``fit``.

    An unseen level has no samples. Missing values are a level.

    Attributes
    ----------
    levels_ : OrdinalEncoder
        Encoder of the levels.
    log_counts_ : list of ndarray
        For each column, the values of missing values, of unseen levels, and of the levels in the
        order of ``levels_.categories_``.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features seen during fit. Defined only if X has feature names that are all strings.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Count the samples of each level."""
        validate_data(self, X, skip_check_array=True)
        with config_context(transform_output="default"):
            self.levels_ = _codes()
            indices = self.levels_.fit_transform(X).astype(int) - MISSING_LEVEL
        self.log_counts_ = [np.log1p(np.bincount(column, minlength=2)) for column in indices.T]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the logarithm of each level's count."""
        check_is_fitted(self)
        with config_context(transform_output="default"):
            indices = self.levels_.transform(X).astype(int) - MISSING_LEVEL
        columns = zip(self.log_counts_, indices.T, strict=True)
        return np.column_stack([counts[column] for counts, column in columns])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.string = tags.input_tags.allow_nan = True
        return tags
