"""Writing and reading archives: a zip file of skops, with a checksum at its end."""

import hashlib
import io
import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from sklearn.base import BaseEstimator
from sklearn.utils.fixes import parse_version

from sknn_adam import __version__
from sknn_adam._files import replacing
from sknn_adam._validation import warn
from sknn_adam.persistence.searches import portable, restored
from sknn_adam.persistence.trusted import TRUSTED_TYPES

__all__ = ["ArchiveError", "load", "save"]

FORMAT = 1
ABOUT = "sknn_adam.json"
# The comment of the zip file, its last bytes: the checksum is that of all bytes before.
COMMENT = "sknn_adam archive, format {:04d}, sha256 {}"
COMMENT_PATTERN = re.compile(rb"sknn_adam archive, format (\d{4}), sha256 ([0-9a-f]{64})")
LENGTH = len(COMMENT.format(FORMAT, "0" * 64))


class ArchiveError(ValueError):
    """An archive cannot be written or read: the message says why.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sknn_adam.persistence import ArchiveError, load
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.skops"
    >>> _ = path.write_text("something else")
    >>> try:
    ...     load(path)
    ... except ArchiveError as error:
    ...     print("no archive" in str(error))
    True
    """


def _skops(name: str) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            f"{name} needs skops. Install it, or the extra 'secure': "
            "pip install 'sknn_adam[secure]'."
        ) from error
    return skops.io


def save(estimator: Any, path: str | os.PathLike[Any]) -> None:
    """Write an estimator to an archive that `load` opens without running code from it.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, fitted or not, or a Pipeline, a search or another
        meta-estimator of scikit-learn that holds one. A Bayesian search is written without its
        surrogate models (``optimizer_results_``), which only a running search needs.
    path : str or path-like
        The file, by custom with the ending ``.skops``. It is written under a temporary name, then
        renamed: an error leaves what was there.

    Raises
    ------
    ArchiveError
        If it holds something that `load` would refuse, such as an activation of your own, or that
        skops cannot write, such as a lambda. The message names it.

    See Also
    --------
    load : Read the archive.

    Notes
    -----
    The file is a zip archive of skops [1]_: ``schema.json`` and arrays in NumPy's format, besides
    ``sknn_adam.json`` with the versions that wrote it, and a SHA-256 sum at its end.

    References
    ----------
    .. [1] skops, https://skops.readthedocs.io

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import load_iris
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.persistence import load, save
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.skops"
    >>> save(model, path)
    >>> bool((load(path).predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    skops = _skops("save")
    if not isinstance(estimator, BaseEstimator):
        raise ArchiveError(f"save takes an estimator. Got {type(estimator).__name__!r}.")
    try:
        data = skops.dumps(portable(estimator), compression=ZIP_DEFLATED)
    except Exception as error:
        raise ArchiveError(
            f"{type(estimator).__name__} holds something that skops cannot write: "
            f"{type(error).__name__}: {error}. Functions must be importable by their names."
        ) from error
    _check_types(skops, data, f"{type(estimator).__name__} cannot be archived: it holds")
    about = {
        "format": FORMAT,
        "sknn_adam": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("scikit-learn", "numpy", "scipy", "skops")},
    }
    buffer = io.BytesIO(data)
    with ZipFile(buffer, "a") as archive:
        archive.writestr(ABOUT, json.dumps(about))
        archive.comment = COMMENT.format(FORMAT, "0" * 64).encode()  # of its final length
    body = buffer.getvalue()[:-LENGTH]
    with replacing(path) as file:
        file.write(body + COMMENT.format(FORMAT, hashlib.sha256(body).hexdigest()).encode())


def load(path: str | os.PathLike[Any]) -> Any:
    """Read an estimator from an archive; nothing that stands in the file is run.

    Parameters
    ----------
    path : str or path-like
        A file that `save` has written.

    Returns
    -------
    estimator
        As it was saved; it predicts the same bits with the same libraries, and training goes on
        where it was.

    Raises
    ------
    ArchiveError
        If the file is no archive, is damaged, was written in a newer format than this version
        reads, or holds a type that is neither in `TRUSTED_TYPES` nor trusted by skops itself
        (scikit-learn's estimators, arrays, plain containers): then it is named, and not imported.
    OSError
        If the file cannot be opened.

    Warns
    -----
    UserWarning
        If the archive was written by a newer version of this package, in a format that this one
        knows. scikit-learn warns likewise of its own estimators.

    See Also
    --------
    save : Write the archive.

    Notes
    -----
    The checksum tells a damaged file from a whole one. It is no signature: who can write the file
    can write its sum. What protects you from them is the list of types.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sknn_adam import MLPRegressor
    >>> from sknn_adam.persistence import load, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.skops"
    >>> save(MLPRegressor("64x2", optimizer="sgd"), path)
    >>> load(path)
    MLPRegressor(hidden_layer_sizes='64x2', optimizer='sgd')
    """
    skops = _skops("load")
    name = repr(os.fspath(path))
    data = Path(path).read_bytes()
    by = _check_version(data, name, _check_sum(data, name))
    try:
        _check_types(skops, data, f"{name} was refused: it holds")
        estimator = skops.loads(data, trusted=list(TRUSTED_TYPES))
        if not isinstance(estimator, BaseEstimator):
            raise ArchiveError(f"{name} holds no estimator, but {type(estimator).__name__!r}.")
        return restored(estimator)
    except ArchiveError:
        raise
    except Exception as error:
        raise _unreadable(name, error, f" It was written by sknn_adam {by}.") from error


def _check_sum(data: bytes, name: str) -> int:
    """Return the format that the end of the file states."""
    body, comment = data[:-LENGTH], data[-LENGTH:]
    found = COMMENT_PATTERN.fullmatch(comment)
    if found is None:
        raise ArchiveError(
            f"{name} is no archive written by sknn_adam.persistence.save, or its end is damaged or "
            "cut off."
        )
    if hashlib.sha256(body).hexdigest().encode() != found[2]:
        raise ArchiveError(f"{name} is damaged: its content does not have the checksum it had.")
    return int(found[1])


def _check_size(archive: ZipFile, size: int, name: str) -> None:
    """Refuse a small file that would fill the memory; text of archives shrinks to a thirtieth."""
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > 200 * size + 2**24:
        raise ArchiveError(f"{name} was refused: {size} bytes would unpack to {unpacked}.")


def _check_version(data: bytes, name: str, stated: int) -> str:
    """Return the version that wrote the archive; say when it is newer than this one."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            _check_size(archive, len(data), name)
            about = json.loads(archive.read(ABOUT))
        written, by = int(about["format"]), str(about["sknn_adam"])
        newer = parse_version(by) > parse_version(__version__)
    except ArchiveError:
        raise
    except Exception as error:
        raise _unreadable(name, error) from error
    if written != stated:
        raise ArchiveError(f"{name} is damaged: its end states another format than its content.")
    if written > FORMAT:
        raise ArchiveError(
            f"{name} was written by sknn_adam {by} in format {written}; this is sknn_adam "
            f"{__version__}, which reads format {FORMAT}. Install sknn_adam {by} or newer."
        )
    if newer:
        warn(
            f"{name} was written by sknn_adam {by}, which is newer than this sknn_adam "
            f"{__version__}. If it fails or differs, install that version."
        )
    return by


def _check_types(skops: Any, data: bytes, what: str) -> None:
    foreign = sorted(set(skops.get_untrusted_types(data=data)) - set(TRUSTED_TYPES))
    if foreign:
        raise ArchiveError(
            f"{what} what is not in sknn_adam.persistence.TRUSTED_TYPES: {', '.join(foreign)}."
        )


def _unreadable(name: str, error: Exception, more: str = "") -> ArchiveError:
    return ArchiveError(
        f"{name} cannot be read: {type(error).__name__}: {str(error)[:500]}.{more} It may be "
        "damaged, or need other versions of the libraries that sknn_adam.json in it names."
    )
