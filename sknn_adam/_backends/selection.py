"""Selection of the backend of a training run: NumPy, or loops fused by Numba."""

import importlib.util
import os

from sknn_adam._backends.numpy_backend import NumpyKernels

__all__ = ["FUSED_PAYS", "choose", "predicted_gain"]

# Minimum gain in seconds per epoch, that is 0.017 s per 100 epochs. Importing Numba takes longer,
# but happens once per process. The choice must not depend on the number of epochs, so that training
# in two halves gives the same bits as training at once.
FUSED_PAYS = 1.7e-4


def predicted_gain(n_steps: int, n_parameters: int, n_activations: int) -> float:
    """Return the predicted gain of fused loops in seconds per epoch.

    `n_activations` is the number of elements of all activations of a batch. The constants are those
    of a processor of 2023. They are not measured at run time, so that equal fits use the same
    backend.
    """
    return n_steps * (37e-6 + 2.8e-9 * n_parameters + 1.1e-9 * n_activations)


def choose(gain: float = 0.0) -> type[NumpyKernels]:
    """Return the backend for a training run in which fused loops save `gain` seconds per epoch.

    Importing Numba and loading the loops takes a quarter of a second. The environment variable
    ``SKNN_ADAM_KERNELS`` (``numpy`` or ``fused``) overrides the choice.
    """
    wanted = os.environ.get("SKNN_ADAM_KERNELS", "auto")
    if wanted == "fused" or (wanted != "numpy" and gain > FUSED_PAYS):
        # find_spec does not import Numba.
        if importlib.util.find_spec("numba") is not None:
            from sknn_adam._backends.compilation import player
            from sknn_adam._backends.numba_backend import FusedKernels

            return FusedKernels if player() is not None else NumpyKernels
    return NumpyKernels
