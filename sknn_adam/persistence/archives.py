"""Writing and reading of archives, which are zip files of skops with a checksum at the end."""

import hashlib
import io
import json
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from sklearn.base import BaseEstimator
from sklearn.utils.fixes import parse_version

from sknn_adam import __version__
from sknn_adam._utils.files import replacing
from sknn_adam._utils.warnings import warn
from sknn_adam.persistence.contents import ABOUT, Contents, Refused
from sknn_adam.persistence.reader import Reader
from sknn_adam.persistence.searches import portable, restored
from sknn_adam.persistence.trusted import TRUSTED_TYPES

__all__ = ["ArchiveError", "load", "save"]

FORMAT = 1
# The comment is at the end of the zip file. The checksum covers all bytes before it.
COMMENT = "sknn_adam archive, format {:04d}, sha256 {}"
COMMENT_PATTERN = re.compile(rb"sknn_adam archive, format (\d{4}), sha256 ([0-9a-f]{64})")
LENGTH = len(COMMENT.format(FORMAT, "0" * 64))


class ArchiveError(ValueError):
    """Error raised if an archive cannot be written or read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sknn_adam.persistence import ArchiveError, load
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.skops"
    >>> _ = path.write_text("something else")
    >>> try:
    ...     load(path)
    ... except ArchiveError as error:
    ...     print("not an archive" in str(error))
    True
    """


def save(estimator: Any, path: str | os.PathLike[Any]) -> None:
    """Write an estimator to an archive that `load` opens without running code from the file.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, fitted or not, or a Pipeline, search or other meta-estimator
        of scikit-learn that contains one. A Bayesian search is written without its surrogate
        models (``optimizer_results_``), which are needed only while the search runs.
    path : str or path-like
        Path of the file, by convention with the extension ``.skops``. The file is written under a
        temporary name and then renamed, so an existing file is unchanged if an error occurs.

    Raises
    ------
    ArchiveError
        If the estimator contains an object that skops cannot write, such as a lambda, or one that
        `load` would refuse, such as a custom activation or a Pipeline with ``memory``. The message
        names the object. To find out, `save` reads the archive once before it writes the file.

    See Also
    --------
    load : Read the archive.

    Notes
    -----
    The file is a zip archive of skops [1]_ with ``schema.json`` and arrays in NumPy's format. This
    package adds ``sknn_adam.json``, which lists the versions that wrote the archive, and a SHA-256
    checksum at the end.

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
    try:
        from skops.io import dumps
    except ImportError as error:
        raise ImportError(
            "save needs skops. Install it, or the extra 'secure': pip install 'sknn_adam[secure]'."
        ) from error
    name = type(estimator).__name__
    if not isinstance(estimator, BaseEstimator):
        raise ArchiveError(f"save takes an estimator. Got {name!r}.")
    try:
        written = portable(estimator)
        # Deflate compresses repetitive text beyond the expansion that `load` accepts.
        for compression in (ZIP_DEFLATED, ZIP_STORED):
            body = _packed(dumps(written, compression=compression))
            with suppress(Refused):
                Contents(body)
                break
    except Exception as error:
        raise ArchiveError(
            f"{name} contains an object that skops cannot write: {type(error).__name__}: {error}. "
            "Functions must be importable by name."
        ) from error
    try:
        Reader(Contents(body), TRUSTED_TYPES).read()
    except Exception as error:
        reason = error if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        raise ArchiveError(
            f"{name} cannot be archived, because load would refuse it: {reason}."
        ) from error
    body = body[:-LENGTH]
    with replacing(path) as file:
        file.write(body)
        file.write(COMMENT.format(FORMAT, hashlib.sha256(body).hexdigest()).encode())


def _packed(data: bytes) -> bytes:
    """Add ``sknn_adam.json`` and space for the checksum to the archive written by skops."""
    about = {
        "format": FORMAT,
        "sknn_adam": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("scikit-learn", "numpy", "scipy", "skops")},
    }
    buffer = io.BytesIO(data)
    with ZipFile(buffer, "a") as archive:
        archive.writestr(ABOUT, json.dumps(about))
        # A placeholder of the final length.
        archive.comment = COMMENT.format(FORMAT, "0" * 64).encode()
    return buffer.getvalue()


def load(path: str | os.PathLike[Any]) -> Any:
    """Read an estimator from an archive without running code from the file.

    Parameters
    ----------
    path : str or path-like
        A file written by `save`.

    Returns
    -------
    estimator
        The estimator as it was saved. With the same library versions its predictions are
        bit-identical, and training continues where it stopped.

    Raises
    ------
    ArchiveError
        If the file is not an archive, is damaged, or has a newer format than this version can
        read. If it contains types other than `TRUSTED_TYPES`, scikit-learn's estimators, arrays and
        plain values; the message names these types, and they are not imported. If its structure,
        or the state of an estimator in it, is not one that `save` writes.
    OSError
        If the file cannot be opened.

    Warns
    -----
    UserWarning
        If the archive was written by a newer version of this package, but in a format that this
        version can read. scikit-learn also warns if its estimators come from another version.

    See Also
    --------
    save : Write the archive.

    Notes
    -----
    The checksum detects damage. It is not a signature: anyone who can modify the file can recompute
    it. To protect against forged files, the entire tree of the archive is checked before any object
    is created. Each loader creates only its own types, the limits on memory and time depend on the
    size of the file, and the arrays of a training run must fit its network. ``SECURITY.md`` lists
    the guarantees.

    Only `save` needs skops; `load` needs no packages beyond those for fitting.

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
    name = repr(os.fspath(path))
    data = Path(path).read_bytes()
    stated, more = _check_sum(data, name), ""
    try:
        contents = Contents(data)
        by = _check_version(contents, name, stated)
        more = f" It was written by sknn_adam {by}."
        estimator = Reader(contents, TRUSTED_TYPES).read()
        if not isinstance(estimator, BaseEstimator):
            raise Refused(f"it contains {type(estimator).__name__!r} instead of an estimator")
        return restored(estimator)
    except Refused as error:
        raise ArchiveError(f"{name} was refused: {error}.") from error
    except Exception as error:
        raise ArchiveError(
            f"{name} cannot be read: {type(error).__name__}: {str(error)[:500]}.{more} It may be "
            "damaged, or need the library versions listed in its file sknn_adam.json."
        ) from error


def _check_sum(data: bytes, name: str) -> int:
    """Return the format number from the end of the file; raise if the checksum is wrong."""
    body, comment = data[:-LENGTH], data[-LENGTH:]
    match = COMMENT_PATTERN.fullmatch(comment)
    if match is None:
        raise ArchiveError(
            f"{name} is not an archive written by sknn_adam.persistence.save, or its end is "
            "damaged or cut off."
        )
    if hashlib.sha256(body).hexdigest().encode() != match[2]:
        raise ArchiveError(f"{name} is damaged: its content does not match its checksum.")
    return int(match[1])


def _check_version(contents: Contents, name: str, stated: int) -> str:
    """Return the version that wrote the archive; warn if it is newer than this one."""
    about = contents.about()
    written, by = int(about["format"]), str(about["sknn_adam"])[:40]
    if written != stated:
        raise Refused("it is damaged, because its end and its content state different formats")
    if written > FORMAT:
        raise Refused(
            f"it was written by sknn_adam {by} in format {written}, but this version, sknn_adam "
            f"{__version__}, reads format {FORMAT}. Install sknn_adam {by} or newer"
        )
    if parse_version(by) > parse_version(__version__):
        warn(
            f"{name} was written by sknn_adam {by}, which is newer than the installed version "
            f"{__version__}. If loading fails or predictions differ, install that version."
        )
    return by
