"""Random parameters on random tables give documented errors or finite numbers."""

from fuzz_cases import cases, check_case
from hypothesis import HealthCheck, given, settings


@settings(
    max_examples=300,
    # The machine may be busy; check_case measures its own CPU time.
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_random_parameters_and_tables(case):
    check_case(*case)
