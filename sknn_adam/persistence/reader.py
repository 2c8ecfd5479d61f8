"""Reader for the tree of an archive, which checks the entire tree before it creates objects.

The check is an allow-list: each node must name a known loader and a class that this loader may
create. If an object occurs several times, each of its nodes must repeat the content, as `save`
writes it. The number of steps is therefore the number of nodes in the text.
"""

from typing import Any

from sknn_adam.persistence.contents import Contents, Refused
from sknn_adam.persistence.nodes import LOADERS
from sknn_adam.persistence.trusted import names_by_loader

__all__ = ["Reader"]

# All releases of skops that `save` supports write this protocol.
PROTOCOL = 2
# Maximum depth of nested nodes. A pipeline inside a search needs eight levels.
MAX_DEPTH = 120


class Reader:
    """Reader of one archive.

    Parameters
    ----------
    contents : Contents
        The files of the archive.
    trusted : tuple of str
        Full names of the types that are allowed in addition to scikit-learn's estimators and plain
        values.
    """

    def __init__(self, contents: Contents, trusted: tuple[str, ...]):
        self.contents = contents
        self.names = names_by_loader(trusted)
        self.known = frozenset[str]().union(*self.names.values())
        self.foreign: set[str] = set()
        # Results of `_check` by node id; None while the node is being checked.
        self.seen: dict[int, Any] = {}
        self.made: dict[int, Any] = {}

    def read(self) -> Any:
        """Return the object stored in the archive.

        Raises
        ------
        Refused
            If the archive contains types that are not trusted, which are not imported, or if its
            structure is not valid.
        """
        root = self.contents.schema()
        protocol = root["protocol"]
        if type(protocol) is not int or protocol != PROTOCOL:
            raise Refused(
                f"it is written in protocol {str(protocol)[:20]} of skops, but only protocol "
                f"{PROTOCOL} is supported"
            )
        self._check(root, MAX_DEPTH)
        if self.foreign:
            listed = ", ".join(name[:200] for name in sorted(self.foreign)[:5])
            listed += ", ..." if len(self.foreign) > 5 else ""
            raise Refused(f"it contains types not in sknn_adam.persistence.TRUSTED_TYPES: {listed}")
        return self._make(root)

    def _check(self, node: Any, depth: int) -> tuple[int, int]:
        """Check a node and its descendants; return their count and a hash of their content."""
        if not isinstance(node, dict):
            raise Refused("its schema has a plain value where a node is expected")
        if not depth:
            raise Refused(f"its objects are nested more than {MAX_DEPTH} levels deep")
        loader, number = node["__loader__"], node["__id__"]
        name = f"{node['__module__']}.{node['__class__']}"
        if type(number) is not int:
            raise Refused("its schema has a node whose __id__ is not an integer")
        if name not in self.names.get(loader, ()):
            if name in self.known:
                raise Refused(
                    f"it contains {name} as {str(loader)[:50]!r}, which loads other types"
                )
            self.foreign.add(name)
            if loader not in LOADERS:
                return 1, hash(name)
        first = number not in self.seen
        if first:
            self.seen[number] = None
        children = [self._check(below, depth - 1) for below in LOADERS[loader].below(node)]
        # The hash covers plain values and the keys of dictionaries.
        own = node.get("content")
        own = own if isinstance(own, str) else tuple(own) if isinstance(own, dict) else None
        result = 1 + sum(size for size, _ in children), hash((loader, name, own, *children))
        # If repeated nodes could omit their content, a few nodes could stand for very many.
        if not first and self.seen[number] != result:
            raise Refused(f"its schema has two different nodes with the __id__ {number}")
        self.seen[number] = result
        return result

    def _make(self, node: dict) -> Any:
        number = node["__id__"]
        if number not in self.made:
            loader = LOADERS[node["__loader__"]]
            below = [self._make(each) for each in loader.below(node)]
            name = f"{node['__module__']}.{node['__class__']}"
            self.made[number] = loader.make(node, name, below, self.contents)
        return self.made[number]
