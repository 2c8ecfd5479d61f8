"""Elementary functions are accurate for every float32 value.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_every_float32.py

Each function is evaluated for all 2^32 bit patterns in a vectorized loop. The reference is NumPy or
SciPy in float64, rounded to float32. Distances count float32 numbers. The functions are distributed
over threads; together they need 15 minutes of processor time.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from recording import record
from ulps import LIMITS, REFERENCES, compiled_map, ulps

pytest.importorskip("numba")

from sknn_adam._backends.elementary import functions

pytestmark = pytest.mark.slow

# Small enough for the caches of a processor.
BLOCK = 2**15


@np.errstate(all="ignore")
def largest_distance(name):
    """Return the largest distance, and the fraction of results that are not correctly rounded."""
    apply = compiled_map(functions("float32")[name])
    out = np.empty(BLOCK, np.float32)
    largest = inexact = 0
    for start in range(0, 2**32, BLOCK):
        x = np.arange(start, start + BLOCK, dtype=np.int64).astype(np.uint32).view(np.float32)
        apply(x, out)
        nearest = REFERENCES[name](x.astype(np.float64)).astype(np.float32)
        (at,) = np.nonzero(out.view(np.int32) != nearest.view(np.int32))
        if at.size:
            distances = ulps(out[at], nearest[at])
            wrong = at[distances < 0]
            assert not wrong.size, f"{name}({x[wrong][0]!r}) is NaN or has the wrong sign"
            largest = max(largest, int(distances.max()))
            inexact += int(np.count_nonzero(distances))
    print(f"{name}: at most {largest} ulp", flush=True)
    return largest, round(inexact / 2**32, 4)


def test_functions_of_every_float32():
    began = time.monotonic()
    # Compiled before the threads start.
    functions("float32")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = dict(zip(REFERENCES, pool.map(largest_distance, REFERENCES), strict=True))
    largest = {name: value for name, (value, _) in measured.items()}
    inexact = {name: value for name, (_, value) in measured.items()}
    record(
        "every_float32",
        largest_distance=largest,
        fraction_not_correctly_rounded=inexact,
        seconds=round(time.monotonic() - began),
    )
    assert all(largest[name] <= LIMITS[name] for name in largest)
