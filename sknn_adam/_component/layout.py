"""Several networks in one flat vector: which blocks of it belong to which of them.

The arrays of a layout are then those of all members, with the members on a leading axis.
"""

from math import prod

import numpy as np

__all__ = ["Layout", "by_member", "count_members", "weight_bounds"]

Layout = list[tuple[slice, tuple[int, ...], str]]


def count_members(layout: Layout | None) -> int | None:
    """Return how many networks a layout holds; None for a single one without a leading axis."""
    for _, shape, role in layout or ():
        if role == "weight":
            return shape[0] if len(shape) == 3 else None
    return None


def by_member(layout: Layout | None) -> list[list[tuple[slice, str]]] | None:
    """Return for every member its blocks of the vector and their roles; None for one network.

    What reduces over the vector (a norm, an inner product) does so over the blocks of one member.
    """
    n_members = count_members(layout)
    if n_members is None:
        return None
    members: list[list[tuple[slice, str]]] = [[] for _ in range(n_members)]
    for block, shape, role in layout or ():
        size = prod(shape[1:])
        for m, blocks in enumerate(members):
            start = block.start + m * size
            blocks.append((slice(start, start + size), role))
    return members


def weight_bounds(layout: Layout) -> np.ndarray | None:
    """Return where the weight matrices begin and end, of one layer member by member.

    None for one network.
    """
    n_members = count_members(layout)
    if n_members is None:
        return None
    bounds = [0]
    for block, _, role in layout:
        if role == "weight":
            size = (block.stop - block.start) // n_members
            bounds += range(block.start + size, block.stop + 1, size)
    return np.array(bounds)
