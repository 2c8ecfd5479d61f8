"""Forged archives raise ArchiveError, in little time and memory, or load as usable estimators.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_forged_archives.py

All archives have a valid checksum. They are loaded in processes with limits on CPU time and memory
(see tests/forging.py). If a changed archive loads, its estimator predicts and continues training,
with NumPy or with compiled loops. This may raise an error, but the process must not crash.
"""

import importlib.util
import io
import json
import os
import random
import sys
from itertools import islice
from zipfile import ZipFile

import numpy as np
import pytest
from recording import record

pytest.importorskip("skops")

import forging
from archives import LENGTH, archive, flipped, flipped_inside, planted, rewritten, sealed, with_file
from copies import LABELS, NUMBERS, X, small
from forging import load_all

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.persistence import TRUSTED_TYPES
from sknn_adam.persistence.trusted import names_by_loader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the memory limits need Linux"),
]

SEED = int(os.environ.get("FORGE_SEED", random.randrange(10**6)))
# Number of archives for each type of change.
N = int(os.environ.get("FORGE_N", 100))


def trained():
    """Yield trained models with different types of state, which can continue training."""
    yield small(MLPClassifier, warm_start=True).fit(X, LABELS)
    labels = (X[:, :3] > 0).astype(int)
    yield small(MLPClassifier, warm_start=True, normalization="batch").fit(X, labels)
    columns = np.stack([LABELS, LABELS[::-1]], axis=1)
    yield small(MLPClassifier, warm_start=True, schedule="plateau").fit(X, columns)
    for optimizer in ("schedule_free_adamw", "muon", "prodigy", "nadam"):
        params = {"optimizer": optimizer, "n_members": 2, "dtype": "float32"}
        yield small(MLPRegressor, warm_start=True, **params).fit(X, NUMBERS)
    yield small(MLPRegressor, warm_start=True, activation="prelu", loss="gaussian").fit(X, NUMBERS)
    crossed = small(MLPClassifier, warm_start=True, cv=3, early_stopping=True, dropout=0.1)
    yield crossed.fit(X, LABELS)
    interrupted = small(MLPRegressor, warm_start=True).fit(X, NUMBERS)
    run = interrupted._run
    run.order, run.batch, run.in_fit = np.random.default_rng(0).permutation(60), 2, True
    yield interrupted


MODELS = [
    "labels", "batch normalization", "columns", "schedule-free", "muon", "prodigy", "nadam",
    "gaussian", "cross-fitted", "interrupted",
]  # fmt: skip


def with_schema(data, schema):
    return rewritten(data, lambda _: schema)


def schema_of(data):
    with ZipFile(io.BytesIO(data)) as file:
        return json.loads(file.read("schema.json"))


def arrays_of(data):
    with ZipFile(io.BytesIO(data)) as file:
        for name in file.namelist():
            if name.endswith(".npy"):
                yield name, np.load(io.BytesIO(file.read(name)))


def changed_runs(data, rng):
    """Yield (label, archive) with one changed array, number, node or attribute of a model."""
    for name, array in arrays_of(data):
        for label, other in forging.changed_arrays(array, rng):
            buffer = io.BytesIO()
            np.save(buffer, other, allow_pickle=False)
            yield (
                f"{name} {array.dtype}{array.shape}: {label}",
                with_file(data, name, buffer.getvalue()),
            )
    schema = schema_of(data)
    for change in (forging.changed_numbers, forging.swapped_nodes, forging.without_keys):
        for label, other in change(schema, rng, N):
            yield f"{change.__name__}: {label}", with_schema(data, other)


def counted(found):
    outcomes = [outcome["outcome"] for _, outcome in found]
    return {kind: outcomes.count(kind) for kind in ("refused", "loaded")}


COUNTS = {}


@pytest.fixture(scope="module", autouse=True)
def recorded():
    print(f"FORGE_SEED={SEED}")
    yield
    record("forged_archives", seed=SEED, each=N, outcomes=COUNTS, crashes=0)


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.parametrize("name", MODELS)
def test_changed_runs_are_refused_or_usable(name, kernels, tmp_path):
    if kernels == "fused" and importlib.util.find_spec("numba") is None:
        pytest.skip("needs Numba")
    model = next(islice(trained(), MODELS.index(name), None))
    rng = random.Random(SEED)
    found = load_all(changed_runs(archive(model, tmp_path), rng), tmp_path / "forged", kernels)
    COUNTS[f"changed: {name}, {kernels}"] = counted(found)
    assert COUNTS[f"changed: {name}, {kernels}"]["refused"] > N


def test_deeply_nested_and_shared_nodes_are_refused(tmp_path):
    data = archive(small(MLPClassifier), tmp_path)
    kinds, forged = ("list", "tuple"), []
    for kind in kinds:
        for depth in (10, 100, 200, 300):
            forged.append((f"{kind} {depth}", planted(data, forging.nested(depth, kind))))
            for make in (forging.shared, forging.shared_with_names):
                tree = make(depth, kind)
                forged.append((f"{make.__name__} {kind} {depth}", planted(data, tree)))
                shape = forging.array_of(tree, (2,) * min(depth, 30))
                forged.append((f"array {make.__name__} {depth}", planted(data, shape)))
        forged.append((f"wide {kind}", planted(data, forging.shared(20, kind, width=10))))
    forged.append(("cycle", planted(data, forging.cycle())))
    found = load_all(forged, tmp_path / "forged")
    COUNTS["nested and shared"] = counted(found)
    loaded = [label for label, outcome in found if outcome["outcome"] == "loaded"]
    assert set(loaded) <= {"list 10", "list 100", "tuple 10", "tuple 100"}


def loaders_and_types(rng):
    """Yield (label, type name, node with random content) for each loader and trusted type."""
    table = names_by_loader(TRUSTED_TYPES)
    others = ("CachedNode", "DefaultDictNode", "MethodNode", "OperatorFuncNode", "PartialNode",
              "SparseMatrixNode", "TreeNode", "QuantileForestNode", "ReduceNode")  # fmt: skip
    names = sorted(set().union(*table.values()))
    ufuncs = [name for name in names if name.startswith(("scipy.special.", "numpy._core."))]
    names = sorted(set(names) - set(ufuncs)) + rng.sample(ufuncs, 20)
    empty = forging.sequence(50, [])
    for loader in (*table, *others):
        for name in names:
            content = rng.choice([
                forging.mapping(60, memory=forging.text(70, '"/tmp"')), {}, [], empty, "null",
                forging.mapping(60), forging.sequence(80, [forging.text(81, "1")], "tuple"),
                {"func": "fit", "obj": empty}, {"data": empty, "mask": empty},
                {"main": forging.mapping(60), "default_factory": empty},
            ])  # fmt: skip
            more = {
                "content": content, "key_types": empty, "attrs": empty, "type": "json",
                "shape": forging.sequence(82, [forging.text(83, "0")], "tuple"),
                "file": "1.npy", "is_json": True,
                "__reduce__": {"args": forging.sequence(84, [], "tuple")},
            }  # fmt: skip
            yield f"{loader} of {name}", name, forging.node(name, loader, 49, **more)


def test_each_loader_makes_only_its_own_types(tmp_path):
    """If an object loads, it must have the class named by its node."""
    data = archive(small(MLPClassifier), tmp_path)
    trees = list(loaders_and_types(random.Random(SEED)))
    found = load_all(
        ((label, planted(data, tree)) for label, _, tree in trees), tmp_path / "forged"
    )
    COUNTS["every loader with every type"] = counted(found)
    wrong = []
    for (_, outcome), (label, name, _) in zip(found, trees, strict=True):
        own, short = outcome.get("planted"), name.rpartition(".")[2]
        # The __name__ of numpy.abs, for example, is "absolute".
        alias = getattr(vars(np).get(short), "__name__", short)
        allowed = {short.rstrip("_"), alias.rstrip("_")}
        if own is not None and own.rpartition(".")[2].rstrip("_") not in allowed:
            wrong.append((label, own))
    assert not wrong, wrong[:10]
    assert COUNTS["every loader with every type"]["refused"] > 0.9 * len(found)


def test_truncated_and_flipped_archives(tmp_path):
    rng = random.Random(SEED)
    data = archive(small(MLPClassifier, warm_start=True).fit(X, LABELS), tmp_path)
    forged = []
    for i in range(N):
        cut = data[: rng.randrange(LENGTH, len(data))] + b"x" * LENGTH
        forged += [
            (f"cut {i}", sealed(cut)),
            (f"flipped {i}", sealed(flipped(data, rng, rng.randint(1, 4)))),
            (f"flipped inside {i}", flipped_inside(data, rng)),
        ]
    found = load_all(forged, tmp_path / "forged")
    COUNTS["truncated and flipped"] = counted(found)
    assert counted(found)["refused"] > N
