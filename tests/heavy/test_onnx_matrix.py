"""Differences between onnxruntime's predictions and ours, for all cases in both precisions.

RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_onnx_matrix.py
"""

from collections import defaultdict
from importlib.metadata import version

import numpy as np
import pytest
from recording import record

pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

from onnx_matrix import CASES, LOADERS, difference

from sknn_adam.onnx import register

pytestmark = pytest.mark.slow


def test_onnx_matrix_agrees_with_our_predictions():
    register()
    worst = {name: defaultdict(float) for name in ("float32", "float64")}
    for precision, found in worst.items():
        for case, (_, table, _) in CASES.items():
            found[table] = max(found[table], difference(case, np.dtype(precision).type))
    record(
        "onnx_matrix",
        cases={table: sum(name == table for _, name, _ in CASES.values()) for table in LOADERS},
        largest_difference={name: dict(found) for name, found in worst.items()},
        unit="the largest prediction of the case, at least 1",
        libraries={name: version(name) for name in ("skl2onnx", "onnx", "onnxruntime")},
    )
    assert max(worst["float32"].values()) < 1e-5
    assert max(worst["float64"].values()) < 1e-5
