"""What each loader of an archive makes of its node.

skops writes an object as a node, a JSON object that names a loader and a class. The functions here
make the object once `Reader` has checked the whole tree: `node` is the JSON object, `below` holds
what the nodes below it have become. They are the only code that makes objects from an archive.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from math import prod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from sknn_adam.persistence.contents import Contents, Refused
from sknn_adam.persistence.estimators import (
    check_classifier,
    check_continuous,
    check_piecewise_linear,
    check_regressor,
    check_smooth_clip,
)
from sknn_adam.persistence.fitted import (
    CLASSES,
    LAYERS,
    check_classes,
    check_clock,
    check_history,
    check_layer,
    check_layer_history,
    check_members,
    check_network,
    check_out_of_fold,
    check_per_column,
    check_run,
)
from sknn_adam.persistence.trusted import resolve

__all__ = ["LOADERS", "Loader"]


class Loader(NamedTuple):
    """How a node of one kind is read.

    Parameters
    ----------
    below : callable
        Returns the nodes below a node, in a list.
    make : callable
        ``make(node, name, below, contents)`` returns the object.
    """

    below: Callable[[dict], list]
    make: Callable[[dict, str, list, Contents], Any]


def _nothing(node: dict) -> list:
    return []


def _items(node: dict) -> list:
    if not isinstance(node["content"], list):
        raise Refused("a sequence has no list of items")
    return node["content"]


# -- plain values --------------------------------------------------------------------------------

PLAIN = re.compile(r'["0-9a-zA-Z-]')


def _scalar(node: dict, name: str, below: list, contents: Contents) -> Any:
    text = node["content"]
    # Not even parsed: JSON also allows white space before a bracket.
    if not isinstance(text, str) or not PLAIN.match(text):
        raise Refused(f"a plain value is {str(text)[:100]!r}")
    value = json.loads(text)
    if isinstance(value, list | dict):
        raise Refused(f"a plain value is {text[:100]!r}")
    return value


def _sequence(node: dict, name: str, below: list, contents: Contents) -> Any:
    return resolve(name)(below)


# Python hashes integers by their remainder, so that larger ones could be chosen to collide.
LARGEST_HASHED = 2**64


def _set(node: dict, name: str, below: list, contents: Contents) -> Any:
    if any(isinstance(item, int) and abs(item) > LARGEST_HASHED for item in below):
        raise Refused(f"a set has an integer above {LARGEST_HASHED}")
    return set(below)


def _slice(node: dict, name: str, below: list, contents: Contents) -> slice:
    bounds = [node["content"][key] for key in ("start", "stop", "step")]
    if not all(bound is None or isinstance(bound, str | int) for bound in bounds):
        raise Refused(f"a slice has the bounds {str(bounds)[:100]}")
    return slice(*bounds)


def _bytes(node: dict, name: str, below: list, contents: Contents) -> Any:
    if not str(node["file"]).endswith(".bin"):
        raise Refused("bytes are in a file of another kind")
    return resolve(name)(contents.read(node["file"]))


def _named(node: dict, name: str, below: list, contents: Contents) -> Any:
    return resolve(name)


# -- dictionaries --------------------------------------------------------------------------------

# Parameters that make a later `fit` open files, evaluate text or start processes.
LARGEST_N_JOBS = 1024
DISPATCH = re.compile(r"all|(\d{1,6} ?\* ?)?n_jobs|n_jobs ?\* ?\d{1,6}")


def _check_parameter(key: str, value: Any) -> None:
    own = key.rpartition("__")[2]  # the name without those of the estimators around it
    if own == "memory" and value is not None:
        raise Refused(
            f"{key!r} is set, and the next fit would unpickle files at that place: only None is "
            "allowed, set memory=None before you save"
        )
    if own == "n_jobs":  # a grid has a list of values
        for number in np.ravel(np.asarray(value, dtype=object)):
            if isinstance(number, Real) and abs(float(number)) > LARGEST_N_JOBS:
                raise Refused(f"{key!r} is {number}: at most {LARGEST_N_JOBS} is allowed")
    if own == "pre_dispatch" and not (
        isinstance(value, int) or (isinstance(value, str) and DISPATCH.fullmatch(value))
    ):
        raise Refused(
            f"{key!r} is {str(value)[:100]!r}: an integer, 'all' or '2*n_jobs' is allowed, with "
            "any factor"
        )


def _key(text: str, kind: Any) -> Any:
    if kind is str:
        return text
    if kind in (bool, np.bool_):  # of any text but "" Python makes True
        return kind({"true": True, "false": False}[text])
    if kind in (int, float) or (issubclass(kind, np.generic) and np.dtype(kind).kind in "iufU"):
        key = kind(text)
        if kind is not int or abs(key) <= LARGEST_HASHED:
            return key
    raise Refused(f"a dictionary has the key {text[:100]!r} of type {kind.__name__}")


def _below_dict(node: dict) -> list:
    if not isinstance(node["content"], dict):
        raise Refused("a dictionary has no items")
    return [node["key_types"], *node["content"].values()]


def _dictionary(node: dict, name: str, below: list, contents: Contents) -> Any:
    kinds, values = below[0], below[1:]
    if not isinstance(kinds, list) or len(kinds) != len(values):
        raise Refused("a dictionary has two keys that look alike, or types for other keys")
    made = resolve(name)()
    for text, kind, value in zip(node["content"], kinds, values, strict=True):
        key = _key(text, kind)
        if isinstance(key, str):
            _check_parameter(key, value)
        made[key] = value
    if len(made) != len(values):
        raise Refused("a dictionary has a key twice")
    return made


# -- arrays --------------------------------------------------------------------------------------


def _below_array(node: dict) -> list:
    if node["type"] == "numpy":
        return []
    if node["type"] != "json":
        raise Refused("an array is neither in a file nor in the schema")
    return [node["shape"], *_items(node)]


def _array(node: dict, name: str, below: list, contents: Contents) -> Any:
    if node["type"] == "numpy":
        array = contents.array(node["file"])
        if name == "numpy.ndarray":
            return array
        if array.shape != () or array.dtype.type is not resolve(name):
            raise Refused(f"a {name} is an array of dtype {array.dtype} and shape {array.shape}")
        return array[()]
    shape, items = below[0], below[1:]
    if name != "numpy.ndarray" or not isinstance(shape, tuple) or not 0 < len(shape) <= 32:
        raise Refused("an array of objects has no shape")
    if not all(type(n) is int and n >= 0 for n in shape) or prod(shape) > contents.size + 2**24:
        raise Refused(f"an array of objects has the shape {str(shape)[:100]}")
    flat = _flattened(items, shape)
    array = np.empty(len(flat), dtype=object)
    for i, value in enumerate(flat):  # a slice would unpack sequences
        array[i] = value
    return array.reshape(shape)


def _flattened(items: Any, shape: tuple[int, ...]) -> list:
    """Return the objects of nested lists that have this shape."""
    if not isinstance(items, list) or len(items) != shape[0]:
        raise Refused("an array of objects has another shape than its items")
    if len(shape) == 1:
        return items
    return [value for item in items for value in _flattened(item, shape[1:])]


def _masked(node: dict, name: str, below: list, contents: Contents) -> Any:
    data, mask = below
    if not isinstance(data, np.ndarray) or np.asarray(mask).dtype != bool:
        raise Refused("a masked array has no data or no mask")
    if np.shape(mask) not in ((), data.shape):
        raise Refused("the mask of an array has another shape")
    return np.ma.MaskedArray(data, mask)


def _dtype(node: dict, name: str, below: list, contents: Contents) -> Any:
    (array,) = below
    if not isinstance(array, np.ndarray) or array.size:
        raise Refused("a dtype is described by something else than an empty array")
    return array.dtype


# -- generators of random numbers ----------------------------------------------------------------

BIT_GENERATORS = {
    name: getattr(np.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
}
# The generators use some of these to index an array, and do not check them.
LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1, "uinteger": 2**32 - 1}
LARGEST_STATE = 2**128 - 1
LARGEST_POOL = 64


def _check_random(found: Any, like: Any, key: str = "") -> None:
    """Raise unless `found` is a state like that of a new generator."""
    if isinstance(like, dict):
        fits = isinstance(found, dict) and found.keys() == like.keys()
        for name in like if fits else ():
            _check_random(found[name], like[name], name)
    elif isinstance(like, np.ndarray):
        fits = isinstance(found, np.ndarray)
        fits = fits and found.shape == like.shape and found.dtype == like.dtype
    elif isinstance(like, int):
        fits = type(found) is int and 0 <= found <= LARGEST.get(key, LARGEST_STATE)
    else:
        fits = type(found) is type(like)
    if not fits:
        raise Refused(f"{key or 'the state'!r} of a generator of random numbers is not valid")


def _random_state(node: dict, name: str, below: list, contents: Contents) -> Any:
    made, (state,) = np.random.RandomState(0), below
    _check_random(state, made.get_state(legacy=False))
    made.set_state(state)
    return made


def _generator(node: dict, name: str, below: list, contents: Contents) -> Any:
    state, seeds = below
    kind = BIT_GENERATORS.get(str(state["bit_generator"]))
    if kind is None:
        raise Refused(f"{str(state['bit_generator'])[:100]!r} names no bit generator")
    _check_random(state, kind(0).state)
    known = {"entropy", "spawn_key", "pool_size", "n_children_spawned"}
    if not isinstance(seeds, dict) or not seeds.keys() <= known:
        raise Refused("the seeds of a generator of random numbers are not valid")
    size = seeds.get("pool_size", 4)
    if type(size) is not int or not 4 <= size <= LARGEST_POOL:
        raise Refused("the seeds of a generator of random numbers have no pool of valid size")
    bits = kind(np.random.SeedSequence(**seeds))
    bits.state = state
    return np.random.Generator(bits)


# -- objects -------------------------------------------------------------------------------------


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "sknn_adam._estimator.continuous.Continuous": check_continuous,
    "sknn_adam.classifier.MLPClassifier": check_classifier,
    "sknn_adam._training.history.History": check_history,
    "sknn_adam._training.history.LayerHistory": check_layer_history,
    "sknn_adam.losses.multioutput.PerColumn": check_per_column,
    "sknn_adam._training.members.Members": check_members,
    "sknn_adam._training.members.OutOfFold": check_out_of_fold,
    "sknn_adam._nn.network.Network": check_network,
    "sknn_adam.preprocessing.PiecewiseLinear": check_piecewise_linear,
    "sknn_adam.preprocessing.SmoothClip": check_smooth_clip,
    "sknn_adam.regressor.MLPRegressor": check_regressor,
    "sknn_adam._training.run.Run": check_run,
    "sknn_adam.schedules._base.Clock": check_clock,
}
CHECKS |= {
    f"sknn_adam._estimator.targets.{cls.__name__}": partial(check_classes, cls=cls)
    for cls in CLASSES
}
CHECKS |= {
    f"sknn_adam.{'normalization' if 'Norm' in name else 'layers'}.{name}": partial(
        check_layer, name=name
    )
    for name in LAYERS
}


def _below_object(node: dict) -> list:
    return [node["content"]] if "content" in node else []


def _object(node: dict, name: str, below: list, contents: Contents) -> Any:
    cls: Any = resolve(name)
    state = below[0] if below else None
    if state is not None and not (type(state) is dict and all(type(key) is str for key in state)):
        raise Refused(f"the state of a {name} is no dictionary of attributes")
    if name in CHECKS:
        CHECKS[name](state or {})
    made = cls.__new__(cls)
    if state is not None:
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
    return made


def _below_loss(node: dict) -> list:
    return [node["__reduce__"]["args"], node["content"]]


def _loss(node: dict, name: str, below: list, contents: Contents) -> Any:
    arguments, state = below
    if state not in ({}, ()) or not isinstance(arguments, tuple) or len(arguments) > 2:
        raise Refused(f"{name} has a state, or arguments that no loss has")
    if not all(type(argument) in (int, float) for argument in arguments):
        raise Refused(f"{name} has arguments that are not numbers")
    return resolve(name)(*arguments)


LOADERS = {
    "JsonNode": Loader(_nothing, _scalar),
    "DictNode": Loader(_below_dict, _dictionary),
    "ListNode": Loader(_items, _sequence),
    "TupleNode": Loader(_items, _sequence),
    "SetNode": Loader(_items, _set),
    "SliceNode": Loader(_nothing, _slice),
    "BytesNode": Loader(_nothing, _bytes),
    "BytearrayNode": Loader(_nothing, _bytes),
    "NdArrayNode": Loader(_below_array, _array),
    "MaskedArrayNode": Loader(lambda node: [node["content"][k] for k in ("data", "mask")], _masked),
    "DTypeNode": Loader(lambda node: [node["content"]], _dtype),
    "RandomStateNode": Loader(lambda node: [node["content"]], _random_state),
    "RandomGeneratorNode": Loader(
        lambda node: [node["content"][k] for k in ("bit_generator", "seed_seq")], _generator
    ),
    "LossNode": Loader(_below_loss, _loss),
    "FunctionNode": Loader(_nothing, _named),
    "TypeNode": Loader(_nothing, _named),
    "ObjectNode": Loader(_below_object, _object),
}
