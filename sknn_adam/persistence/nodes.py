"""The loaders, which create objects from the nodes of an archive.

skops writes each object as a node, a JSON object that names a loader and a class. The functions
here create the object after `Reader` has checked the entire tree. Their argument `node` is the JSON
object, and `below` is the list of objects created from its child nodes. The only other objects are
the search spaces created by `searches.restored`.
"""

import json
import re
from collections.abc import Callable
from math import prod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from sknn_adam.persistence.comparison import Each, Optional, matches
from sknn_adam.persistence.contents import Contents, Refused, require
from sknn_adam.persistence.states import check_attributes
from sknn_adam.persistence.trusted import import_trusted

__all__ = ["LOADERS", "Loader"]


class Loader(NamedTuple):
    """The functions that read one type of node.

    Parameters
    ----------
    below : callable
        Returns the list of child nodes of a node.
    make : callable
        ``make(node, name, below, contents)`` returns the object, where `name` is the full name of
        its class, `below` the objects of its child nodes, and `contents` the files of the archive.
    """

    below: Callable[[dict], list]
    make: Callable[[dict, str, list, Contents], Any]


def _no_nodes(node: dict) -> list:
    return []


def _content(node: dict) -> list:
    return [node["content"]]


def _items(node: dict) -> list:
    require(isinstance(node["content"], list), "a sequence has no list of items")
    return node["content"]


# -- plain values --------------------------------------------------------------------------------

PLAIN = re.compile(r'["0-9a-zA-Z-]')


def _scalar(node: dict, name: str, below: list, contents: Contents) -> Any:
    text = node["content"]
    # The first character must not be a bracket or white space, which JSON allows before a bracket,
    # so lists and dictionaries are never parsed.
    require(
        isinstance(text, str) and PLAIN.match(text),
        f"a plain value is not valid: {str(text)[:100]!r}",
    )
    return json.loads(text)


# Python hashes integers modulo a prime, so larger integers could be chosen to have equal hashes.
# Collisions make a set or dictionary very slow.
LARGEST_HASHED = 2**64


def _set(node: dict, name: str, below: list, contents: Contents) -> Any:
    if any(isinstance(item, int) and abs(item) > LARGEST_HASHED for item in below):
        raise Refused(f"a set has an integer above {LARGEST_HASHED}")
    return set(below)


def _slice(node: dict, name: str, below: list, contents: Contents) -> slice:
    bounds = [node["content"][key] for key in ("start", "stop", "step")]
    if not all(isinstance(bound, str | int | None) for bound in bounds):
        raise Refused(f"a slice has the bounds {str(bounds)[:100]}")
    return slice(*bounds)


def _bytes(node: dict, name: str, below: list, contents: Contents) -> Any:
    return import_trusted(name)(contents.read(node["file"], ".bin"))


# -- dictionaries --------------------------------------------------------------------------------

# Limits for parameters with which a later `fit` starts processes or evaluates text as code.
LARGEST_N_JOBS = 1024
DISPATCH = re.compile(r"all|(\d{1,6} ?\* ?)?n_jobs|n_jobs ?\* ?\d{1,6}")


def _check_parameter(key: str, value: Any) -> None:
    # The name of the parameter without the prefixes of nested estimators.
    own = key.rpartition("__")[2]
    if own == "memory" and value is not None:
        raise Refused(
            f"{key!r} is set, so the next fit would unpickle files in that directory. Only None is "
            "allowed. Set memory=None before saving"
        )
    if own == "n_jobs":
        # In a parameter grid the value is a list.
        for number in np.ravel(np.asarray(value, dtype=object)):
            if isinstance(number, Real) and abs(float(number)) > LARGEST_N_JOBS:
                raise Refused(f"{key!r} is {number}, but at most {LARGEST_N_JOBS} is allowed")
    if own == "pre_dispatch" and not (
        isinstance(value, int) or (isinstance(value, str) and DISPATCH.fullmatch(value))
    ):
        raise Refused(
            f"{key!r} is {str(value)[:100]!r}, but only an integer, 'all' or a multiple of n_jobs "
            "such as '2*n_jobs' is allowed"
        )


def _key(text: str, key_type: Any) -> Any:
    if key_type is str:
        return text
    # bool("false") would be True.
    if key_type in (bool, np.bool_):
        return key_type({"true": True, "false": False}[text])
    number = issubclass(key_type, np.generic) and np.dtype(key_type).kind in "iufU"
    if number or key_type in (int, float):
        key = key_type(text)
        if key_type is not int or abs(key) <= LARGEST_HASHED:
            return key
    raise Refused(f"a dictionary has the key {text[:100]!r} of type {key_type.__name__}")


def _below_dict(node: dict) -> list:
    require(isinstance(node["content"], dict), "a dictionary has no items")
    return [node["key_types"], *node["content"].values()]


def _dictionary(node: dict, name: str, below: list, contents: Contents) -> Any:
    key_types, *values = below
    fits = isinstance(key_types, list) and len(key_types) == len(values)
    require(fits, "the key types of a dictionary do not match its keys")
    made = import_trusted(name)()
    for key, value in zip(map(_key, node["content"], key_types), values, strict=True):
        if isinstance(key, str):
            _check_parameter(key, value)
        made[key] = value
    require(len(made) == len(values), "a dictionary has duplicate keys")
    return made


# -- arrays --------------------------------------------------------------------------------------


def _below_array(node: dict) -> list:
    if node["type"] == "numpy":
        return []
    require(node["type"] == "json", "an array is neither in a file nor in the schema")
    return [node["shape"], *_items(node)]


def _array(node: dict, name: str, below: list, contents: Contents) -> Any:
    if node["type"] == "numpy":
        array = contents.array(node["file"])
        if name == "numpy.ndarray":
            return array
        if array.shape != () or array.dtype.type is not import_trusted(name):
            raise Refused(f"a {name} is an array of dtype {array.dtype} and shape {array.shape}")
        return array[()]
    shape, *items = below
    fits = name == "numpy.ndarray" and isinstance(shape, tuple) and 0 < len(shape) <= 32
    fits = fits and all(type(n) is int and n >= 0 for n in shape)
    if not fits or prod(shape) > contents.size + 2**24:
        raise Refused(f"an array of objects has the shape {str(shape)[:100]}")
    flat = _flattened(items, shape)
    array = np.empty(len(flat), dtype=object)
    # Assigning to a slice would unpack sequences.
    for i, value in enumerate(flat):
        array[i] = value
    return array.reshape(shape)


def _flattened(items: Any, shape: tuple[int, ...]) -> list:
    """Flatten nested lists of this shape to a list of objects."""
    fits = isinstance(items, list) and len(items) == shape[0]
    require(fits, "the shape of an array of objects does not fit its items")
    if len(shape) == 1:
        return items
    return [value for item in items for value in _flattened(item, shape[1:])]


def _masked(node: dict, name: str, below: list, contents: Contents) -> Any:
    data, mask = below
    fits = isinstance(data, np.ndarray) and np.shape(mask) in ((), data.shape)
    if not fits or np.asarray(mask).dtype != bool:
        raise Refused("a masked array has no array of data, or its mask does not fit the data")
    return np.ma.MaskedArray(data, mask)


def _stored_dtype(node: dict, name: str, below: list, contents: Contents) -> Any:
    (array,) = below
    if not isinstance(array, np.ndarray) or array.size:
        raise Refused("a dtype is not stored as an empty array")
    return array.dtype


# -- random generators ---------------------------------------------------------------------------

BIT_GENERATORS = {
    name: getattr(np.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
}
# NumPy's generators do not check these values and use some of them as array indices.
LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1, "uinteger": 2**32 - 1}
LARGEST_STATE = 2**128 - 1
LARGEST_POOL = 64


def _example(state: Any, name: str = "") -> Any:
    """Return an example that states must match, made from the state of a new generator."""

    def in_range(value: Any) -> bool:
        fits = type(value) is int and 0 <= value <= LARGEST.get(name, LARGEST_STATE)
        require(fits, f"{name!r} of a random generator is not valid")
        return True

    if isinstance(state, dict):
        return {name: _example(value, name) for name, value in state.items()}
    return in_range if isinstance(state, int) else state


def _random_state(node: dict, name: str, below: list, contents: Contents) -> Any:
    made, (state,) = np.random.RandomState(0), below
    fits = matches(state, _example(made.get_state(legacy=False)))
    require(fits, "the state of a random generator is not valid")
    made.set_state(state)
    return made


def _generator(node: dict, name: str, below: list, contents: Contents) -> Any:
    state, seeds = below
    bits = BIT_GENERATORS[state["bit_generator"]]
    size = seeds.get("pool_size", 4)
    fits = (
        matches(state, _example(bits(0).state))
        and type(seeds) is dict
        and seeds.keys() <= {"entropy", "spawn_key", "pool_size", "n_children_spawned"}
        and type(size) is int
        and 4 <= size <= LARGEST_POOL
    )
    require(fits, "the state or the seeds of a random generator are not valid")
    made = bits(np.random.SeedSequence(**seeds))
    made.state = state
    return np.random.Generator(made)


# -- objects -------------------------------------------------------------------------------------


def _object(node: dict, name: str, below: list, contents: Contents) -> Any:
    cls: Any = import_trusted(name)
    state = below[0] if below else None
    if not matches(state, Optional(Each(dict, lambda value: True))):
        raise Refused(f"the state of a {name} is not a dictionary of attributes")
    check_attributes(cls, state or {})
    made = cls.__new__(cls)
    if state is not None and hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        vars(made).update(state or {})
    return made


def _loss(node: dict, name: str, below: list, contents: Contents) -> Any:
    arguments, state = below
    fits = matches(arguments, Each(tuple, lambda number: type(number) in (int, float)))
    if not fits or len(arguments) > 2 or state not in ({}, ()):
        raise Refused(f"{name} has a state, or arguments that are not valid for a loss")
    return import_trusted(name)(*arguments)


LOADERS = {
    "JsonNode": Loader(_no_nodes, _scalar),
    "DictNode": Loader(_below_dict, _dictionary),
    "ListNode": Loader(_items, lambda node, name, below, contents: import_trusted(name)(below)),
    "TupleNode": Loader(_items, lambda node, name, below, contents: import_trusted(name)(below)),
    "SetNode": Loader(_items, _set),
    "SliceNode": Loader(_no_nodes, _slice),
    "BytesNode": Loader(_no_nodes, _bytes),
    "BytearrayNode": Loader(_no_nodes, _bytes),
    "NdArrayNode": Loader(_below_array, _array),
    "MaskedArrayNode": Loader(lambda node: [node["content"][k] for k in ("data", "mask")], _masked),
    "DTypeNode": Loader(_content, _stored_dtype),
    "RandomStateNode": Loader(_content, _random_state),
    "RandomGeneratorNode": Loader(
        lambda node: [node["content"][k] for k in ("bit_generator", "seed_seq")], _generator
    ),
    "LossNode": Loader(lambda node: [node["__reduce__"]["args"], node["content"]], _loss),
    "FunctionNode": Loader(_no_nodes, lambda node, name, below, contents: import_trusted(name)),
    "TypeNode": Loader(_no_nodes, lambda node, name, below, contents: import_trusted(name)),
    "ObjectNode": Loader(lambda node: _content(node) if "content" in node else [], _object),
}
