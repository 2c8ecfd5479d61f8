"""Reading the tree of an archive: it is checked as a whole, then the objects are made.

The tree is an allow-list of structure. Each node has a loader that is known, and a class that this
loader may make. A node that stands for an object met before repeats its content, as `save` writes
it, so the number of steps is the number of nodes in the text.
"""

from typing import Any

from sknn_adam.persistence.contents import Contents, Refused
from sknn_adam.persistence.nodes import LOADERS
from sknn_adam.persistence.trusted import names_by_loader

__all__ = ["Reader"]

PROTOCOL = 2  # of all releases of skops that `save` supports
DEEPEST = 120  # nodes; a pipeline inside a search takes eight


class Reader:
    """Reads one archive.

    Parameters
    ----------
    contents : Contents
        Its files.
    trusted : tuple of str
        Full names of the types that may be made, beyond scikit-learn's estimators and plain values.
    """

    def __init__(self, contents: Contents, trusted: tuple[str, ...]):
        self.contents = contents
        self.names = names_by_loader(trusted)
        self.known = frozenset[str]().union(*self.names.values())
        self.foreign: set[str] = set()
        self.seen: dict[int, Any] = {}  # by number: what `_check` found, None until it is done
        self.made: dict[int, Any] = {}

    def read(self) -> Any:
        """Return the object.

        Raises
        ------
        Refused
            If it holds types that are not trusted, which are not imported, or if the structure is
            not that of an archive.
        """
        root = self.contents.schema()
        protocol = root["protocol"]
        if type(protocol) is not int or protocol != PROTOCOL:
            raise Refused(
                f"it is written in protocol {str(protocol)[:20]} of skops, and only protocol "
                f"{PROTOCOL} is known"
            )
        self._check(root, DEEPEST)
        if self.foreign:
            listed = ", ".join(name[:200] for name in sorted(self.foreign)[:5])
            listed += ", ..." if len(self.foreign) > 5 else ""
            raise Refused(f"it holds what is not in sknn_adam.persistence.TRUSTED_TYPES: {listed}")
        return self._make(root)

    def _check(self, node: Any, depth: int) -> tuple[int, int]:
        """Check a node and all below it; return how many they are and a hash of their content."""
        if not isinstance(node, dict):
            raise Refused("its schema has a value where a node should be")
        if not depth:
            raise Refused(f"its objects are nested more than {DEEPEST} deep")
        loader, number = node["__loader__"], node["__id__"]
        name = f"{node['__module__']}.{node['__class__']}"
        if type(number) is not int:
            raise Refused("its schema has a node without a number")
        if name not in self.names.get(loader, ()):
            if name in self.known:
                raise Refused(f"it holds {name} as {str(loader)[:50]!r}, which makes other types")
            self.foreign.add(name)
            if loader not in LOADERS:
                return 1, hash(name)
        first = number not in self.seen
        if first:
            self.seen[number] = None
        found = [self._check(below, depth - 1) for below in LOADERS[loader].below(node)]
        own = node.get("content")  # a plain value, or the keys of a dictionary
        own = own if isinstance(own, str) else tuple(own) if isinstance(own, dict) else None
        result = 1 + sum(size for size, _ in found), hash((loader, name, own, *found))
        # A smaller repetition would let few nodes stand for very many.
        if not first and self.seen[number] != result:
            raise Refused(f"its schema has two different nodes with the number {number}")
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
