"""Dropout with draws from a counter-based generator, in NumPy and as a loop for Numba.

The generator is Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
as in `numpy.random.Philox`. It maps a key of two words and a counter of four words to 256 random
bits, which are 16 draws of 16 bits. The counter is (block, layer, member, step), where block i has
the draws of units 16 i to 16 i + 15 of a member's activations (n_rows, width) in C order. So a draw
depends on the key, the step, the member, the layer and the position of the unit only. Threads, the
order of computation and repeated evaluations do not change it.
"""

import threading
from typing import Any

import numpy as np
from numpy import ndarray

from sknn_adam._backends.kernels import arrays

__all__ = ["drop", "drop_in_numpy", "new_draws", "scratch", "threshold"]

# The constants of Philox4x64: two multipliers, split into halves of 32 bits, and the increments of
# the key.
LOW_0, HIGH_0 = np.uint64(0xE14C6C93), np.uint64(0xD2E7470E)
LOW_1, HIGH_1 = np.uint64(0x95121157), np.uint64(0xCA5A8263)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10
LOW_HALF, HALF, ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(1)


def new_draws(rng: np.random.Generator) -> ndarray:
    """Return a new key and the step 0 as three words; the stream of `rng` is not advanced."""
    seeds: Any = rng.bit_generator.seed_seq
    return np.append(seeds.spawn(1)[0].generate_state(2, np.uint64), np.uint64(0))


def threshold(rate: float) -> int:
    """Return the integer below which a draw drops a unit, so the rate is threshold / 2^16.

    Draws of 16 bits take half the time of draws of 32 bits, and the rate changes by at most 2^-17.
    """
    return min(round(rate * 2**16), 2**16 - 1)


def scratch(n_members: int, n_blocks: int = 64) -> ndarray:
    """Return memory in which `drop` computes this number of blocks of the generator at once."""
    return np.empty((n_members, 8, n_blocks), np.uint64)


class _OfThread(threading.local):
    """The generator of a thread. Its state is set before each use."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(key=0)


_of_thread = _OfThread()


def _philox_bits(draws: ndarray, layer: int, member: int, n: int) -> ndarray:
    """Return the first n draws of a layer and member."""
    # NumPy increments the counter before it computes a block, so the first block has counter 1.
    counter = 0, layer, member, int(draws[2])
    philox: Any = _of_thread.philox
    philox.state = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": draws},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return philox.random_raw(-(-n // 4)).view(np.uint16)[:n]


def drop_in_numpy(
    x: ndarray,
    draws: ndarray,
    layer: int,
    rate: float,
    factors: tuple[float, float, float],
    y: ndarray,
    kept: ndarray,
) -> None:
    """Drop units of `x` (..., n_rows, width); see `Backend.dropout`."""
    scale, offset, shift = factors
    least = np.uint16(threshold(rate))
    masks = kept.reshape(-1, x.shape[-2] * x.shape[-1])
    for member, mask in enumerate(masks):
        np.greater_equal(_philox_bits(draws, layer, member, mask.size), least, mask)
    np.multiply(kept, scale, kept)
    if offset:
        np.add(x, offset, y)
        np.multiply(y, kept, y)
        np.add(y, shift, y)
    else:
        np.multiply(x, kept, y)


@arrays("mnk", "*u:3", "u:2", "u:m", "3", "u:mwb", "mnk", "mnk")
def drop(
    x: ndarray,
    draws: ndarray,
    place: ndarray,
    members: ndarray,
    factors: ndarray,
    work: ndarray,
    y: ndarray,
    kept: ndarray,
) -> None:
    """Drop units of `x` (members, n_rows, width), in one pass, to be compiled by Numba.

    `draws` is (key, key, step), `place` is (layer, threshold), and `members` contains the numbers
    of the members. `factors` is (scale, offset, shift). The factor of each unit, which is scale or
    0, is written to `kept`, and ``(x + offset) * factor + shift`` to `y`. `work` is the memory that
    `scratch` returns.
    """
    scale, offset, shift = factors[0], factors[1], factors[2]
    least, dropped = np.uint16(place[1]), scale - scale
    size, n_blocks = x.shape[1] * x.shape[2], work.shape[2]
    for m in range(x.shape[0]):
        # Each row of `words` has one of the four words of all blocks, so that the rounds are
        # computed with vector instructions. NumPy returns the words of a block in sequence.
        words, sequence = work[m, :4], work[m, 4:].reshape(4 * n_blocks)
        bits = sequence.view(np.uint16)
        inputs, outputs, slopes = x[m].reshape(size), y[m].reshape(size), kept[m].reshape(size)
        for start in range(0, size, 16 * n_blocks):
            stop = min(size, start + 16 * n_blocks)
            n = (stop - start + 15) // 16
            for i in range(n):
                words[0, i] = np.uint64(start // 16 + i) + ONE
                words[1, i] = place[0]
                words[2, i] = members[m]
                words[3, i] = draws[2]
            key_0, key_1 = draws[0], draws[1]
            for _ in range(ROUNDS):
                for i in range(n):
                    # Products of 128 bits, computed from products of 32-bit halves.
                    low, high = words[0, i] & LOW_HALF, words[0, i] >> HALF
                    one = low * LOW_0
                    two = high * LOW_0 + (one >> HALF)
                    three = low * HIGH_0 + (two & LOW_HALF)
                    low_0 = (three << HALF) | (one & LOW_HALF)
                    high_0 = high * HIGH_0 + (two >> HALF) + (three >> HALF)
                    low, high = words[2, i] & LOW_HALF, words[2, i] >> HALF
                    one = low * LOW_1
                    two = high * LOW_1 + (one >> HALF)
                    three = low * HIGH_1 + (two & LOW_HALF)
                    low_1 = (three << HALF) | (one & LOW_HALF)
                    high_1 = high * HIGH_1 + (two >> HALF) + (three >> HALF)
                    words[0, i] = high_1 ^ words[1, i] ^ key_0
                    words[1, i] = low_1
                    words[2, i] = high_0 ^ words[3, i] ^ key_1
                    words[3, i] = low_0
                key_0 += WEYL_0
                key_1 += WEYL_1
            for i in range(n):
                for k in range(4):
                    sequence[4 * i + k] = words[k, i]
            # Slices, because Numba checks computed indices for negative values.
            a, b, c = inputs[start:stop], outputs[start:stop], slopes[start:stop]
            for j in range(a.size):
                c[j] = scale if bits[j] >= least else dropped
                b[j] = (a[j] + offset) * c[j] + shift
