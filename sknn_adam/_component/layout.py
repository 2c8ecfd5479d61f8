"""Several networks in one flat vector: which parts of it belong to which of them.

The arrays of a layout are then those of all members, with the members on a leading axis.
"""

from math import prod

import numpy as np

__all__ = ["Layout", "by_member", "count_members", "weight_bounds"]

Layout = list[tuple[slice, tuple[int, ...], str]]


def count_members(layout: Layout | None) -> int | None:
    """Return how many networks a layout holds; None for a single one without a leading axis."""
    for _, shape, kind in layout or ():
        if kind == "weight":
            return shape[0] if len(shape) == 3 else None
    return None


def by_member(layout: Layout | None) -> list[list[tuple[slice, str]]] | None:
    """Return for every member its parts of the vector and their kinds; None for one network.

    What reduces over the vector (a norm, an inner product) does so over the parts of one member.
    """
    n_members = count_members(layout)
    if n_members is None:
        return None
    members: list[list[tuple[slice, str]]] = [[] for _ in range(n_members)]
    for part, shape, kind in layout or ():
        size = prod(shape[1:])
        for m, parts in enumerate(members):
            start = part.start + m * size
            parts.append((slice(start, start + size), kind))
    return members


def weight_bounds(layout: Layout) -> np.ndarray | None:
    """Return where the weight matrices begin and end, of one layer member by member.

    None for one network.
    """
    n_members = count_members(layout)
    if n_members is None:
        return None
    bounds = [0]
    for part, _, kind in layout:
        if kind == "weight":
            size = (part.stop - part.start) // n_members
            bounds += range(part.start + size, part.stop + 1, size)
    return np.array(bounds)
