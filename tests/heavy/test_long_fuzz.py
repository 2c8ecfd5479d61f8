"""The random cases of tests/test_fuzz.py, more of them and others every time.

    FUZZ_SEED=7 FUZZ_CASES=3000 python -m pytest -s -m slow tests/heavy/test_long_fuzz.py

Without FUZZ_SEED the seed is drawn; it is printed in any case.
"""

import os
import random
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, seed, settings
from recording import record
from test_fuzz import cases, check_case

pytestmark = pytest.mark.slow


def test_long_fuzz():
    number = int(os.environ.get("FUZZ_SEED", random.randrange(10**6)))
    n_cases = int(os.environ.get("FUZZ_CASES", 3000))
    print(f"FUZZ_SEED={number} FUZZ_CASES={n_cases}")
    outcomes, began = Counter(), time.monotonic()

    @seed(number)
    @settings(
        max_examples=n_cases,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases())
    def run(case):
        outcomes[check_case(*case)] += 1

    run()
    record(
        "long_fuzz",
        seed=number,
        cases=sum(outcomes.values()),
        outcomes=dict(sorted(outcomes.items())),
        faults=0,
        seconds=round(time.monotonic() - began),
    )
    assert sum(outcomes.values()) >= n_cases
    assert min(outcomes[kind] for kind in ("trained", "diverged", "refused")) > n_cases / 50
