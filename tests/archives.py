"""Damaged and forged archives for tests/test_persistence.py and the heavy tests."""

import hashlib
import io
import json
import random
import re
from zipfile import ZIP_DEFLATED, ZipFile

from sklearn.base import BaseEstimator

from sknn_adam.persistence import ArchiveError, load, save

# Length of the comment at the end of an archive, which contains the checksum of the other bytes.
LENGTH = 103


def archive(model, folder):
    """Return the bytes of an archive of the model."""
    save(model, folder / "whole.skops")
    return (folder / "whole.skops").read_bytes()


def sealed(data, written=1):
    """Return the archive with a valid checksum, which any forger can compute."""
    body = bytes(data[:-LENGTH])
    total = hashlib.sha256(body).hexdigest()
    return body + f"sknn_adam archive, format {written:04d}, sha256 {total}".encode()


def rewritten(data, change=None, about=None, written=1):
    """Return the archive with a changed schema or changed entries of sknn_adam.json."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as old, ZipFile(buffer, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json" and change is not None:
                content = change(json.loads(content))
                content = content if isinstance(content, str) else json.dumps(content)
            if name == "sknn_adam.json" and about is not None:
                content = json.dumps({**json.loads(content), **about})
            new.writestr(name, content)
        new.comment = b"x" * LENGTH
    return sealed(buffer.getvalue(), written)


def with_file(data, name, content):
    """Return the archive with new content of the file called `name`."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as old, ZipFile(buffer, "w", ZIP_DEFLATED) as new:
        for each in old.namelist():
            new.writestr(each, content if each == name else old.read(each))
        new.comment = b"x" * LENGTH
    return sealed(buffer.getvalue())


def planted(data, foreign):
    """Return the archive with `foreign` as the node of the first ``validation_fraction``."""

    def change(schema):
        text = json.dumps(schema)
        found = re.search(r'"validation_fraction": (\{[^{}]*\})', text)
        return json.loads(text[: found.start(1)] + json.dumps(foreign) + text[found.end(1) :])

    return rewritten(data, change)


def flipped(data, rng, n_bits=1):
    """Return the data with randomly flipped bits."""
    damaged = bytearray(data)
    for _ in range(n_bits):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def outcome(data, path):
    """Load the data; return "loaded", or the message if an ArchiveError is raised."""
    path.write_bytes(data)
    try:
        loaded = load(path)
    except ArchiveError as error:
        return str(error)
    assert isinstance(loaded, BaseEstimator)
    return "loaded"


def damage(data, path, seed, n):
    """Damage the data `n` times in each way; count the outcomes.

    "Sealed" archives have a valid checksum.
    """
    rng = random.Random(seed)
    kinds = {
        "flipped": lambda: flipped(data, rng),
        "cut off": lambda: data[: rng.randrange(len(data))],
        "flipped and sealed": lambda: sealed(flipped(data, rng, rng.randint(1, 4))),
        "cut off and sealed": lambda: sealed(
            data[: rng.randrange(LENGTH, len(data))] + b"x" * LENGTH
        ),
        "flipped inside and sealed": lambda: flipped_inside(data, rng),
    }
    counts = {}
    for kind, make in kinds.items():
        results = [outcome(make(), path) for _ in range(n)]
        refused = sum(text != "loaded" for text in results)
        counts[kind] = {"refused": refused, "loaded": n - refused}
        assert all(len(text) < 1500 for text in results)
    return counts


def flipped_inside(data, rng):
    """Return the archive with flipped bits in one of its files, and with a valid checksum."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as old, ZipFile(buffer, "w", ZIP_DEFLATED) as new:
        names = [name for name in old.namelist() if name != "sknn_adam.json"]
        chosen = rng.choice(names) if rng.random() < 0.5 else "schema.json"
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                part = content[:128] if name.endswith(".npy") else content
                content = flipped(part, rng, rng.randint(1, 3)) + content[len(part) :]
            new.writestr(name, content)
        new.comment = b"x" * LENGTH
    return sealed(buffer.getvalue())
