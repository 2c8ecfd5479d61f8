"""Which of the two executions a training takes: NumPy, or loops fused by Numba."""

import importlib.util
import os

from sknn_adam._backends.numpy_backend import NumpyKernels

__all__ = ["FUSED_PAYS", "choose", "predicted_gain"]

# Seconds of one epoch, so 0.017 of a hundred. The import of Numba takes more, but once for all fits
# of a process. How many epochs a fit has must not matter: two halves give the bits of the whole.
FUSED_PAYS = 1.7e-4


def predicted_gain(n_steps: int, n_parameters: int, n_activations: int) -> float:
    """Return about how many seconds an epoch would gain from fused loops.

    `n_activations` counts the elements of all activations of a batch. The constants are those of
    a processor of 2023; nothing is timed, so that equal fits are executed equally.
    """
    return n_steps * (37e-6 + 2.8e-9 * n_parameters + 1.1e-9 * n_activations)


def choose(gain: float = 0.0) -> type[NumpyKernels]:
    """Return the backend for a training whose epochs save `gain` seconds by fused loops.

    The one place that decides. Importing Numba and loading the loops takes a quarter of a second.
    ``SKNN_ADAM_KERNELS=numpy`` or ``fused`` in the environment overrules it.
    """
    wanted = os.environ.get("SKNN_ADAM_KERNELS", "auto")
    if wanted == "fused" or (wanted != "numpy" and gain > FUSED_PAYS):
        if importlib.util.find_spec("numba") is not None:  # not imported for that
            from sknn_adam._backends.numba_backend import FusedKernels

            return FusedKernels
    return NumpyKernels
