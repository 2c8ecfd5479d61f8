"""Random parameters on random tables: documented errors, finite numbers, or a bug."""

from fuzz_cases import cases, check_case
from hypothesis import HealthCheck, given, settings


@settings(
    max_examples=300,
    deadline=None,  # the machine may be busy; check_case looks at its own CPU time
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_random_cases(case):
    check_case(*case)
