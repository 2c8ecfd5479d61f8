"""The layout of a flat vector that contains the arrays of one or several networks.

With several members, each array has a leading members axis.
"""

from math import prod

import numpy as np

__all__ = ["Layout", "by_member", "count_members", "weight_bounds"]

Layout = list[tuple[slice, tuple[int, ...], str]]


def count_members(layout: Layout | None) -> int | None:
    """Return the number of members of a layout; None for one network without a members axis."""
    for _, shape, role in layout or ():
        if role == "weight":
            return shape[0] if len(shape) == 3 else None
    return None


def by_member(layout: Layout | None) -> list[list[tuple[slice, str]]] | None:
    """Return the blocks of the vector and their roles for each member; None for one network.

    Reductions such as norms and inner products run over the blocks of one member.
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
    """Return the bounds of the weight matrices; None for one network.

    They are ordered by layer, and within a layer by member.
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
