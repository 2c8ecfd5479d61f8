"""Forged archives, and a process with resource limits that loads them.

    python tests/forging.py FOLDER

This command loads every file in the folder and prints one line of JSON for each. A file may take
10 seconds of CPU time and 300 MB of memory. Above these limits, the process ends without a line for
the file.
"""

import copy
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

SECONDS, MEMORY = 10, 300 * 2**20
# Prefix of the lines with results, because estimators may also print during training.
RESULT = "outcome "
NUMBERS = [-1, 0, 1, 3, 10**6, 2**63, -(2**70), 1e308, float("nan"), "x", "", None, True]


# -- nodes ---------------------------------------------------------------------------------------


def node(name, loader, number, **more):
    module, _, own = name.rpartition(".")
    return {"__class__": own, "__module__": module, "__loader__": loader, "__id__": number} | more


def text(number, value="null"):
    return node("builtins.str", "JsonNode", number, content=value, is_json=True)


def mapping(number, **content):
    """Return the node of a dictionary with string keys."""
    kinds = node(
        "builtins.list",
        "ListNode",
        number + 1,
        content=[node("builtins.str", "TypeNode", number + 2)] * len(content),
    )
    return node("builtins.dict", "DictNode", number, content=content, key_types=kinds)


def sequence(number, content, kind="list"):
    return node(f"builtins.{kind}", f"{kind.title()}Node", number, content=content)


def nested(depth, kind="list"):
    """Return a node with this depth of nested containers."""
    tree = text(1)
    for number in range(2, depth + 2):
        tree = sequence(number, [tree], kind)
    return tree


def shared(depth, kind="list", width=2):
    """Return a few nodes that stand for ``width ** depth``, by references to earlier nodes."""
    tree = text(1)
    for number in range(2, depth + 2):
        references = [{"__id__": number - 1}] * (width - 1)
        tree = sequence(number, [tree, *references], kind)
    return tree


def shared_with_names(depth, kind="list"):
    """Return a tree as in `shared`, with references that look like complete nodes."""
    tree = text(1)
    for number in range(2, depth + 2):
        again = {key: value for key, value in tree.items() if key != "content"}
        tree = sequence(number, [tree, again | {"content": []}], kind)
    return tree


def cycle():
    """Return a list that contains itself."""
    return sequence(2, [sequence(2, [text(1)])])


def array_of(tree, shape):
    """Return the node of an object array of this shape."""
    sizes = [text(10**6 + i, str(n)) for i, n in enumerate(shape)]
    return node(
        "numpy.ndarray",
        "NdArrayNode",
        10**6 - 1,
        type="json",
        content=[tree, tree],
        shape=sequence(10**6 - 2, sizes, "tuple"),
    )


# -- changes to a complete archive ---------------------------------------------------------------


def nodes_of(tree):
    """Yield all nodes of a tree."""
    if isinstance(tree, dict):
        if "__loader__" in tree:
            yield tree
        for value in tree.values():
            yield from nodes_of(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes_of(value)


def changed_numbers(schema, rng, n):
    """Yield schemas in which one plain value is changed."""
    places = [i for i, each in enumerate(nodes_of(schema)) if each["__loader__"] == "JsonNode"]
    for _ in range(n):
        other, place = copy.deepcopy(schema), rng.choice(places)
        chosen = list(nodes_of(other))[place]
        value = json.dumps(rng.choice(NUMBERS))
        chosen["content"], chosen["__id__"] = value, 10**18
        yield f"{place} is {value}", other


def swapped_nodes(schema, rng, n):
    """Yield schemas in which a copy of one node replaces another."""
    total = sum(1 for _ in nodes_of(schema))
    for _ in range(n):
        other = copy.deepcopy(schema)
        every = list(nodes_of(other))
        one, two = rng.randrange(1, total), rng.randrange(1, total)
        taken = copy.deepcopy(every[two])
        every[one].clear()
        every[one].update(taken)
        yield f"{two} at {one}", other


def without_keys(schema, rng, n):
    """Yield schemas in which a dictionary lacks a key."""
    places = [i for i, each in enumerate(nodes_of(schema)) if each["__loader__"] == "DictNode"]
    for _ in range(n):
        other, place = copy.deepcopy(schema), rng.choice(places)
        chosen = list(nodes_of(other))[place]
        if chosen["content"]:
            key = rng.choice(list(chosen["content"]))
            del chosen["content"][key]
            chosen["key_types"]["content"].pop()
            yield f"{place} without {key}", other


def changed_arrays(array, rng):
    """Yield (label, changed copy of the array): other sizes, shapes, dtypes and values."""
    n = array.size
    single = array.astype("f4") if array.dtype.kind in "fiu" else np.zeros(n, "f4")
    yield "empty", array.reshape(-1)[:0]
    yield "one element", np.zeros(1, "f4")
    yield "one element of the same dtype", np.zeros(1, array.dtype)
    yield "one less", array.reshape(-1)[: max(0, n - 1)]
    yield "one more", np.resize(array, n + 1)
    yield "a column", array.reshape(-1, 1)
    yield "a scalar", np.array(array.reshape(-1)[0] if n else 0)
    yield "another axis", array[None]
    yield "single", single
    yield "double", single.astype("f8")
    with np.errstate(all="ignore"):
        others = {name: single.astype(name) for name in ("f2", "c8", "i8", "i1")}
    yield from others.items()
    yield "texts", single.astype("U8")
    yield "other order of bytes", array.astype(array.dtype.newbyteorder(">"))
    if array.dtype.kind == "f":
        yield "nan", np.full_like(array, np.nan)
        yield "infinite", np.full_like(array, np.inf)
        yield "negative", -np.abs(array) - 1
    if array.dtype.kind in "iu" and n:
        large = array.copy()
        large.flat[rng.randrange(n)] = np.iinfo(array.dtype).max
        yield "large", large
        yield "constant", np.full_like(array, array.flat[0])
        yield "below zero", -array - 1 if array.dtype.kind == "i" else ~array
    if array.ndim > 1:
        yield "by column", np.asfortranarray(array)


# -- a process with resource limits --------------------------------------------------------------


def load_all(forged, folder, kernels="numpy"):
    """Load archives, given as (label, bytes), in a process with limits.

    Return a list of (label, outcome).

    Raises
    ------
    AssertionError
        If the process dies or a file exceeds a limit. The message names the file.
    """
    folder = Path(folder)
    folder.mkdir()
    labels = []
    for i, (label, data) in enumerate(forged):
        (folder / f"{i:06d}.skops").write_bytes(data)
        labels.append(label)
    environment = os.environ | {"SKNN_ADAM_KERNELS": kernels}
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, env=environment
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    outcomes = [json.loads(line.removeprefix(RESULT)) for line in lines]
    stopped = labels[len(outcomes)] if len(outcomes) < len(labels) else "none"
    assert done.returncode == 0, f"{done.returncode} at {stopped}: {done.stderr[-2000:]}"
    assert len(outcomes) == len(labels)
    found = list(zip(labels, outcomes, strict=True))
    wrong = [pair for pair in found if pair[1]["outcome"] not in ("refused", "loaded")]
    assert not wrong, wrong[:5]
    return found


def _limit():
    """Limit additional memory to `MEMORY` and additional CPU time to about `SECONDS`."""
    # The module does not exist on Windows.
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _use(model):
    """Predict and train with a loaded model. Errors are allowed, but not crashes or NaN."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    known = getattr(model, "classes_", None)
    y = rng.normal(size=60) if known is None else np.resize(known, 60)
    for call in (model.predict, lambda X: model.partial_fit(X, y), model.predict):
        try:
            made = call(X)
        except Exception:
            continue
        if isinstance(made, np.ndarray) and made.dtype.kind == "f" and not np.isfinite(made).all():
            return "predicted numbers that are not finite"
    model.max_iter = 6
    try:
        model.fit(X, y)
    except Exception:
        pass
    return "loaded"


def _load(path):
    from sknn_adam.persistence import ArchiveError, load

    _limit()
    try:
        model = load(path)
    except ArchiveError as error:
        message = str(error)
        return {
            "outcome": "memory" if "MemoryError" in message else "refused",
            "message": message[:300],
        }
    except Exception as error:
        return {"outcome": f"{type(error).__name__}: {str(error)[:200]}"}
    planted = getattr(model, "validation_fraction", None)
    kind = planted if isinstance(planted, type) or hasattr(planted, "__name__") else type(planted)
    plain = isinstance(planted, np.ndarray | str | int | float | type(None))
    name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__name__', '')}"
    trained = hasattr(model, "partial_fit") and hasattr(model, "_network")
    outcome = _use(model) if trained else "loaded"
    return {"outcome": outcome, "planted": None if plain else name}


def main(folder):
    warnings.simplefilter("ignore")
    from sknn_adam.persistence.trusted import TRUSTED_TYPES, names_by_loader

    # Import scikit-learn first, so that this does not count against the limits of the first file.
    names_by_loader(TRUSTED_TYPES)
    for path in sorted(Path(folder).iterdir()):
        found = _load(path)
        print(f"\n{RESULT}{json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
