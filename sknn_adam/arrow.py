"""Tables larger than memory: encoded batch by batch into files from which a network is trained.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.files import replacing
from sknn_adam._utils.optional import optional
from sknn_adam.persistence import load, save

__all__ = ["EncodedDataset", "encode_dataset"]

ENCODED, TARGET, WEIGHT = "X.npy", "y.npy", "sample_weight.npy"
STEPS, PROGRESS = "steps.skops", "progress.json"
SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class EncodedDataset:
    """The encoded rows of a dataset, as `encode_dataset` returns them.

    Parameters
    ----------
    X : memmap of shape (n_samples, n_features)
        The encoded features, float32.
    y : ndarray of shape (n_samples,)
        The targets: a memmap of numbers, or an array of class labels in memory.
    sample_weight : memmap of shape (n_samples,) or None
        The sample weights, if the dataset has any.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.arrow import EncodedDataset
    >>> data = EncodedDataset(np.zeros((3, 2), np.float32), np.arange(3))
    >>> data.sample_weight is None
    True
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None = None


def encode_dataset(
    source: Any,
    pipeline: Pipeline,
    *,
    target: str,
    directory: str | os.PathLike[Any],
    sample_weight: str | None = None,
    sample_size: int = 100_000,
    batch_size: int = 16_384,
    random_state: Any = None,
    verbose: bool = False,
) -> EncodedDataset:
    """Encode Parquet files or an Arrow dataset that does not fit in memory.

    The rows are read in batches, transformed by all steps but the last, and written to files for
    the last step. If the process is killed, another call with the same arguments continues.

    Parameters
    ----------
    source : path, list of paths, or pyarrow.dataset.Dataset
        Parquet files, a directory of them, or a dataset. All columns but those of the target and
        the weights are features.
    pipeline : Pipeline
        A pipeline, for example from `make_tabular_pipeline`. Its steps but the last are fitted in
        place on a random sample of the rows, unless they are fitted.
    target : str
        Name of the column with the targets. Numbers and booleans are kept; strings, and the values
        of dictionaries, are labels of classes.
    directory : path
        Directory for the encoded rows, with 4 bytes for each row and encoded column.
    sample_weight : str, optional
        Name of the column with the weights.
    sample_size : int, default=100_000
        Number of rows to which the steps are fitted; they must fit in memory. Encodings of
        categories by targets have seen the targets of these rows.
    batch_size : int, default=16_384
        Number of rows that are encoded at once.
    random_state : int, RandomState instance or None, default=None
        Determines the sample.
    verbose : bool, default=False
        Whether to print the progress.

    Returns
    -------
    EncodedDataset
        The encoded rows, in the order of the source.

    Raises
    ------
    ImportError
        If pyarrow, pandas or skops is missing (extra ``large``).
    ValueError
        If the target or the weights are missing or have missing values, if the targets have another
        type, or if `directory` has the encoded rows of another dataset or pipeline.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from sknn_adam import make_tabular_pipeline
    >>> from sknn_adam.arrow import encode_dataset
    >>> path = pathlib.Path(tempfile.mkdtemp())
    >>> pd.DataFrame({"a": range(400), "b": range(400)}).to_parquet(path / "part.parquet")
    >>> model = make_tabular_pipeline("regressor", recipe="fast", random_state=0)
    >>> data = encode_dataset(path / "part.parquet", model, target="b", directory=path / "encoded")
    >>> _ = model[-1].fit(data.X, data.y)
    >>> model.predict(pd.DataFrame({"a": [3, 5]})).shape
    (2,)
    """
    if len(pipeline.steps) < 2:
        raise ValueError(f"pipeline needs a step before the last one. Got {pipeline!r}.")
    path = Path(directory)
    rows = _Rows(source, target, sample_weight)
    state = _State.read(path, {**rows.identity(), "steps": _settings(pipeline[:-1])})
    if state.n_columns == 0:
        _fit_steps(pipeline, rows, sample_size, random_state)
    else:
        pipeline.steps[:-1] = load(path / STEPS).steps
    _encode_rows(pipeline[:-1], rows, state, path, batch_size, verbose)
    return state.opened(path)


def _encode_rows(
    steps: Pipeline, rows: "_Rows", state: "_State", path: Path, batch_size: int, verbose: bool
) -> None:
    """Encode the rows that have not been encoded yet."""
    begin, shown, first = monotonic(), monotonic(), state.n_rows
    for batch in rows.batches(batch_size, state.n_rows):
        X, y, weight = rows.split(batch)
        encoded = steps.transform(X)
        encoded = np.asarray(encoded.toarray() if issparse(encoded) else encoded, np.float32)
        values = state.numbers(y)
        if state.n_columns == 0:
            state.create(path, rows.n_rows, encoded.shape[1], values.dtype, weight is not None)
            save(steps, path / STEPS)
        for name, array in ((ENCODED, encoded), (TARGET, values), (WEIGHT, weight)):
            if array is not None:
                _write(path / name, array, state.n_rows)
        state.n_rows += len(encoded)
        # The files have been written at this point, so no row is lost or repeated after a kill.
        state.write(path)
        if verbose and monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = monotonic()
            left = (shown - begin) / (state.n_rows - first) * (rows.n_rows - state.n_rows)
            share = state.n_rows / rows.n_rows
            print(f"[encode_dataset] {state.n_rows:,} rows ({share:.0%}), {left:.0f} s left")


# -- the source ----------------------------------------------------------------------------------


class _Rows:
    """The rows of an Arrow dataset, in a fixed order."""

    def __init__(self, source: Any, target: str, sample_weight: str | None):
        datasets = optional("pyarrow.dataset", "encode_dataset", "pyarrow", "large")
        for package in ("pandas", "skops"):
            optional(package, "encode_dataset", package, "large")
        if not isinstance(source, datasets.Dataset):
            files = list(map(str, source)) if isinstance(source, list | tuple) else str(source)
            source = datasets.dataset(files, format="parquet")
        self.dataset, self.target, self.sample_weight = source, target, sample_weight
        for role, name in (("target", target), ("sample_weight", sample_weight)):
            if name is not None and name not in source.schema.names:
                raise ValueError(
                    f"{role}={name!r} is not a column of the dataset. Its columns are "
                    f"{source.schema.names}."
                )
        self._check_target(source.schema.field(target).type)
        try:
            self.fragments = list(source.get_fragments())
        except ValueError as error:
            raise ValueError(
                "encode_dataset cannot read a filtered or projected dataset. Write it to Parquet "
                "files with pyarrow.dataset.write_dataset(source, folder, format='parquet')."
            ) from error
        self.counts = [fragment.count_rows() for fragment in self.fragments]
        self.n_rows = sum(self.counts)
        if self.n_rows == 0:
            raise ValueError("The dataset has no rows.")

    def _check_target(self, kind: Any) -> None:
        """Raise if the targets are neither numbers nor labels."""
        types = optional("pyarrow.types", "encode_dataset", "pyarrow", "large")
        label = kind.value_type if types.is_dictionary(kind) else kind
        names = "integer", "floating", "boolean", "string", "large_string"
        if not any(getattr(types, f"is_{name}")(label) for name in names):
            raise ValueError(
                f"Column {self.target!r} (target) must contain numbers, booleans or strings. Its "
                f"type is {kind}. Cast the column."
            )

    def identity(self) -> dict[str, Any]:
        """Return what must be equal for an encoding to be continued."""
        return {
            "schema": str(self.dataset.schema.remove_metadata()),
            "files": [self._file(fragment) for fragment in self.fragments],
            "rows": self.counts,
            "target": self.target,
            "sample_weight": self.sample_weight,
        }

    @staticmethod
    def _file(fragment: Any) -> list[Any]:
        """Return name, size and time of the last change of a file; nothing for data in memory."""
        if not hasattr(fragment, "path"):
            return []
        facts = fragment.filesystem.get_file_info(fragment.path)
        return [facts.base_name, facts.size, facts.mtime_ns]

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Any]:
        """Yield tables of consecutive rows from the row `start` on."""
        for fragment, n_rows in zip(self.fragments, self.counts, strict=True):
            if start >= n_rows:
                start -= n_rows
                continue
            # Reading ahead would need memory for many batches.
            for batch in fragment.to_batches(
                schema=self.dataset.schema, batch_size=batch_size, batch_readahead=1
            ):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)

    def split(self, batch: Any) -> tuple[Any, Any, np.ndarray | None]:
        """Return features, targets and weights of a batch, as pandas objects and an array."""
        table = batch.to_pandas()
        y = self._complete(table.pop(self.target), "target")
        weight = None
        if self.sample_weight is not None:
            weight = self._complete(table.pop(self.sample_weight), "sample_weight")
            weight = weight.to_numpy(np.float64)
        return table, y, weight

    @staticmethod
    def _complete(column: Any, role: str) -> Any:
        if column.isna().any():
            raise ValueError(
                f"Column {column.name!r} ({role}) has missing values. Write the other rows to "
                "Parquet files."
            )
        return column


def _fit_steps(pipeline: Pipeline, rows: _Rows, sample_size: int, random_state: Any) -> None:
    """Fit the steps before the last to a random sample, unless they are fitted."""
    import pandas as pd

    try:
        check_is_fitted(pipeline[:-1])
        return
    except NotFittedError:
        pass
    generator = check_random_state(random_state)
    n_chosen = min(sample_size, rows.n_rows)
    chosen = np.sort(generator.choice(rows.n_rows, n_chosen, replace=False))
    parts, start = [], 0
    for batch in rows.batches(65_536):
        first, last = np.searchsorted(chosen, [start, start + batch.num_rows])
        parts.append(rows.split(batch.take(chosen[first:last] - start))[:2])
        start += batch.num_rows
    features, targets = zip(*parts, strict=True)
    steps = pipeline[:-1].fit(
        pd.concat(features, ignore_index=True), pd.concat(targets, ignore_index=True)
    )
    pipeline.steps[:-1] = steps.steps


def _settings(steps: Pipeline) -> dict[str, Any]:
    """Return the parameters that are numbers, names or None."""
    simple = str, int, float, type(None)
    params = steps.get_params()
    return {name: params[name] for name in sorted(params) if isinstance(params[name], simple)}


# -- the files -----------------------------------------------------------------------------------


@dataclass
class _State:
    """What has been encoded so far."""

    identity: dict[str, Any]
    n_rows: int = 0
    n_columns: int = 0
    classes: list[str] | None = None

    @classmethod
    def read(cls, path: Path, identity: dict[str, Any]) -> "_State":
        """Return the state in a directory, or a new one."""
        # As it is read from the file.
        identity = json.loads(json.dumps(identity))
        if not (path / PROGRESS).exists():
            path.mkdir(parents=True, exist_ok=True)
            return cls(identity)
        state = cls(**json.loads((path / PROGRESS).read_text("utf-8")))
        other = [name for name, value in identity.items() if state.identity.get(name) != value]
        if other:
            raise ValueError(
                f"The directory {str(path)!r} has the encoded rows of another dataset or pipeline "
                f"(different: {', '.join(other)}). Choose another directory, or remove this one."
            )
        return state

    def write(self, path: Path) -> None:
        with replacing(path / PROGRESS) as file:
            file.write(json.dumps(vars(self)).encode())

    def create(
        self, path: Path, n_rows: int, n_columns: int, dtype: np.dtype, weighted: bool
    ) -> None:
        """Create the files at their full size."""
        self.n_columns = n_columns
        shapes: list[tuple[str, Any, tuple[int, ...]]] = [
            (ENCODED, np.float32, (n_rows, n_columns)),
            (TARGET, dtype, (n_rows,)),
        ]
        if weighted:
            shapes.append((WEIGHT, np.float64, (n_rows,)))
        for name, kind, shape in shapes:
            np.lib.format.open_memmap(path / name, "w+", kind, shape)

    def numbers(self, y: Any) -> np.ndarray:
        """Return targets as numbers: the positions of labels in `classes`."""
        if y.dtype.kind in "biuf":
            return y.to_numpy()
        labels = y.astype(str)
        known = self.classes = self.classes or []
        known += [label for label in labels.unique().tolist() if label not in known]
        codes = {label: code for code, label in enumerate(known)}
        return labels.map(codes).to_numpy(np.int32)

    def opened(self, path: Path) -> EncodedDataset:
        """Return the encoded rows."""
        weight = path / WEIGHT
        y = np.load(path / TARGET, "r")
        return EncodedDataset(
            np.load(path / ENCODED, "r"),
            y if self.classes is None else np.array(self.classes)[y],
            np.load(weight, "r") if weight.exists() else None,
        )


def _write(path: Path, array: np.ndarray, start: int) -> None:
    """Write rows to a file of NumPy. Unlike those of a memmap, its pages do not fill the memory."""
    whole = np.load(path, "r")
    array = np.ascontiguousarray(array, whole.dtype)
    with open(path, "r+b") as file:
        file.seek(whole.offset + start * whole.strides[0])
        file.write(array.data)
        file.flush()
        os.fsync(file.fileno())
