"""Reading of the files in an archive, within limits that depend on its size."""

import io
import json
import re
from math import prod
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

__all__ = ["Contents", "Refused", "require"]

SCHEMA = "schema.json"
ABOUT = "sknn_adam.json"
NAMES = re.compile(r"schema\.json|sknn_adam\.json|[0-9]{1,20}\.npy|[0-9a-f-]{36}\.bin")

# Maximum number of unpacked bytes: a multiple of the size of the archive, plus a constant for small
# archives. The schema has a lower limit, because its Python objects take several times the memory
# of its text.
MOST_EXPANSION, ALWAYS = 200, 2**24
MOST_EXPANSION_OF_SCHEMA, ALWAYS_FOR_SCHEMA = 50, 2**21
MOST_ABOUT = 2**16
# Minimum number of characters per bracket or comma of the schema. `save` writes about 20. Text with
# fewer would become many more objects.
FEWEST_CHARACTERS = 8

HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-zA-Z]\d{0,9}(?:\[\d{0,6}[a-zA-Z]{1,2}\])?)', "
    rb"'fortran_order': (True|False), 'shape': \(((?:\d{1,18}(?:, |,|(?=\))))*)\), \} *\n"
)
LONGEST_HEADER = 4096
KINDS = "biufcSUmM"


class Refused(ValueError):
    """Error raised if an archive has a structure that `save` does not write."""


def require(holds: Any, reason: str) -> None:
    """Raise Refused with this reason unless the condition holds."""
    if not holds:
        raise Refused(reason)


class Contents:
    """The files of an archive.

    Parameters
    ----------
    data : bytes
        The archive.

    Raises
    ------
    Refused
        If a file has an unexpected name, is encrypted, or is compressed by a method that ``save``
        does not use. If the unpacked files would exceed the limit for an archive of this size.
    """

    def __init__(self, data: bytes):
        self.size = len(data)
        self._zip = ZipFile(io.BytesIO(data))
        self._arrays: dict[str, np.ndarray] = {}
        seen: set[str] = set()
        for member in self._zip.infolist():
            if member.filename in seen or not NAMES.fullmatch(member.filename):
                raise Refused(f"it contains the unexpected file {member.filename[:100]!r}")
            if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or member.flag_bits & 1:
                raise Refused(
                    f"its file {member.filename!r} is encrypted, or compressed by another method "
                    "than deflate"
                )
            seen.add(member.filename)
        sizes = {member.filename: member.file_size for member in self._zip.infolist()}
        self._check_size(sum(sizes.values()), MOST_EXPANSION, ALWAYS)
        self._check_size(sizes.get(SCHEMA, 0), MOST_EXPANSION_OF_SCHEMA, ALWAYS_FOR_SCHEMA)

    def _check_size(self, unpacked: int, expansion: int, always: int) -> None:
        if unpacked > expansion * self.size + always:
            raise Refused(f"{self.size} bytes would unpack to {unpacked}")

    def read(self, name: Any, ending: str = ".json") -> bytes:
        """Return the content of a file; raise if its size is not that in the zip directory.

        Without a limit, all data would be decompressed before the sizes are compared.
        """
        if not str(name).endswith(ending):
            raise Refused(f"its file {str(name)[:100]!r} has an unexpected extension")
        size = self._zip.getinfo(name).file_size
        with self._zip.open(name) as file:
            content = file.read(size)
        require(len(content) == size, f"its file {name!r} has {len(content)} bytes, not {size}")
        return content

    def about(self) -> dict[str, Any]:
        """Return the format of the archive and the library versions that wrote it."""
        if self._zip.getinfo(ABOUT).file_size > MOST_ABOUT:
            raise Refused(f"its file {ABOUT!r} is longer than {MOST_ABOUT} bytes")
        return json.loads(self.read(ABOUT))

    def schema(self) -> Any:
        """Return the tree of nodes."""
        text = self.read(SCHEMA).decode()
        marks = sum(map(text.count, "[{,"))
        if FEWEST_CHARACTERS * marks > len(text) + 2**20:
            raise Refused(f"its file {SCHEMA!r} has {marks} brackets and commas")
        return json.loads(text)

    def array(self, name: Any) -> np.ndarray:
        """Return the array in a file. Repeated calls return the same object."""
        if name not in self._arrays:
            self._arrays[name] = _parsed(self.read(name, ".npy"), name, self.size)
        return self._arrays[name]


def _parsed(content: bytes, name: str, size: int) -> np.ndarray:
    """Return the array in a file of NumPy's format 1.0 or 2.0, in the byte order of this machine.

    `numpy.load` is not used, because it allocates the amount of memory stated in the header before
    it reads any data.
    """
    magic, version = content[:6], content[6:8]
    n_bytes = {b"\x01\x00": 2, b"\x02\x00": 4}.get(version, 0)
    start = 8 + n_bytes
    stop = start + int.from_bytes(content[8:start], "little")
    header = HEADER.fullmatch(content[start : min(stop, start + LONGEST_HEADER)])
    if magic != b"\x93NUMPY" or not n_bytes or header is None:
        raise Refused(f"the file {name!r} has no valid header of an array of numbers or strings")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(n) for n in header[3].decode().split(",") if n.strip())
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise Refused(f"the file {name!r} has an array of dtype {dtype}, which is not supported")
    if prod(shape) * dtype.itemsize != len(content) - stop:
        raise Refused(f"the file {name!r} states the shape {shape}, which does not fit its data")
    if len(shape) > 32 or prod(max(1, n) for n in shape) > MOST_EXPANSION * size + ALWAYS:
        raise Refused(f"the file {name!r} states the shape {shape}, which is too large")
    flat = np.frombuffer(content, dtype, offset=stop)
    array = flat.reshape(shape, order="F" if header[2] == b"True" else "C")
    # Arrays from `frombuffer` are read-only; the copy is writeable.
    array = np.array(array, dtype.newbyteorder("="), order="K")
    flat = array.ravel(order="K")
    if dtype.kind == "b" and (flat.view(np.uint8) > 1).any():
        raise Refused(f"the file {name!r} has booleans that are neither true nor false")
    if dtype.kind == "U" and array.size and flat.view(np.uint32).max() > 0x10FFFF:
        raise Refused(f"the file {name!r} has strings with invalid characters")
    return array
