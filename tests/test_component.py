import pickle
from copy import deepcopy
from typing import ClassVar

import numpy as np
import pytest
from rows import COMPONENTS
from sklearn.base import BaseEstimator, clone

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._component.base import Component, NestedNames
from sknn_adam._component.registry import Table
from sknn_adam._utils.validation import FRACTION, POSITIVE
from sknn_adam.activations import ACTIVATIONS, Activation, ReLU
from sknn_adam.clipping import CLIPPINGS, ClipByNorm
from sknn_adam.initializers import INITIALIZERS, Initializer
from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, Loss, SquaredError
from sknn_adam.normalization import NORMALIZATIONS, BatchNorm, Normalization
from sknn_adam.optimizers import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop
from sknn_adam.schedules import SCHEDULES, Exponential, Schedule

TABLES = {
    "activation": ACTIVATIONS,
    "clipping": CLIPPINGS,
    "initializer": INITIALIZERS,
    "classification": CLASSIFICATION_LOSSES,
    "regression": REGRESSION_LOSSES,
    "normalization": NORMALIZATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
NAMES = [(table, name) for table in TABLES.values() for name in table]


# -- every component -----------------------------------------------------------------------------


@pytest.mark.parametrize("component", COMPONENTS)
def test_constructor_only_assigns_its_arguments(component):
    for name, value in component.get_params(deep=False).items():
        sentinel = object()
        made = type(component)(**{name: sentinel})
        assert getattr(made, name) is sentinel, name
        assert getattr(component, name) is value


@pytest.mark.parametrize("component", COMPONENTS)
def test_clone_and_pickle_keep_type_and_parameters(component):
    for copied in (clone(component), pickle.loads(pickle.dumps(component))):
        assert type(copied) is type(component)
        assert repr(copied.get_params()) == repr(component.get_params())
        assert repr(copied) == repr(component)
    assert repr(component).startswith(type(component).__name__)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_parameter_is_constrained(component):
    component.validate()
    for name in component.get_params(deep=False):
        broken = type(component)(**{name: "no such value"})
        message = f"'{name}' parameter of {type(component).__name__}"
        if name in getattr(component, "_tables", {}):
            message = f"'no such value' is not a known {name}"
        with pytest.raises(ValueError, match=message):
            broken.validate()


@pytest.mark.parametrize(("table", "name"), NAMES, ids=[name for _, name in NAMES])
def test_name_resolves_to_a_new_instance(table, name):
    one, other = table.resolve(name), table.resolve(name)
    assert isinstance(one, table.base)
    assert one is not other
    assert repr(one) == repr(other)


def test_names_can_imply_parameters():
    assert OPTIMIZERS.make("momentum").get_params() == SGD(momentum=0.9).get_params()
    assert OPTIMIZERS.make("nesterov").get_params() == SGD(momentum=0.9, nesterov=True).get_params()


# -- lookup in tables ----------------------------------------------------------------------------


def test_instance_is_returned_unchanged():
    adam = Adam()
    assert OPTIMIZERS.resolve(adam) is adam


def test_none_is_valid_in_optional_tables_only():
    assert CLIPPINGS.resolve(None) is None
    assert NORMALIZATIONS.resolve(None) is None
    with pytest.raises(TypeError, match=r"The optimizer must be a name .*Got None instead"):
        OPTIMIZERS.resolve(None)


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2.0), np.int64(2)])
def test_number_makes_a_component_if_the_table_allows_it(number):
    clip = CLIPPINGS.resolve(number)
    assert isinstance(clip, ClipByNorm)
    assert clip.max_norm == 2
    with pytest.raises(TypeError, match="The optimizer must be"):
        OPTIMIZERS.resolve(number)


def test_bool_is_not_accepted_as_a_number():
    with pytest.raises(TypeError, match=r"a number, or None. Got True instead"):
        CLIPPINGS.resolve(True)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        pytest.param(
            Adam(beta_1=1.5),
            ValueError,
            r"The 'beta_1' parameter of Adam must be a float in the range \[0.0, 1.0\). "
            r"Got 1.5 instead.",
            id="value",
        ),
        pytest.param(
            "adm",
            ValueError,
            "'adm' is not a known optimizer. Did you mean 'adam'. Known names: sgd, .*adam",
            id="name",
        ),
        pytest.param(
            "qqq", ValueError, r"'qqq' is not a known optimizer. Known names", id="distant name"
        ),
        pytest.param(
            Adam,
            TypeError,
            r"The optimizer must be a name \(.*adam.*\) or an instance of Optimizer. "
            r"Got <class '.*Adam'> instead. Pass an instance, not the class.",
            id="class",
        ),
        pytest.param(SquaredError(), TypeError, "must be a name .*SquaredError", id="other type"),
        pytest.param(["adam"], TypeError, r"Got \['adam'\] instead", id="list"),
    ],
)
def test_error_messages_of_resolve(value, error, message):
    with pytest.raises(error, match=message):
        OPTIMIZERS.resolve(value)


def lacking(base, *methods):
    """Return an instance of a subclass that defines only these methods."""
    return type("Mine", (base,), {method: lambda self: None for method in methods})()


@pytest.mark.parametrize(
    ("table", "component", "missing"),
    [
        (OPTIMIZERS, lacking(Optimizer), "'rule' or 'step' or 'minimize'"),
        (ACTIVATIONS, lacking(Activation), "'__call__'"),
        (ACTIVATIONS, lacking(Activation, "__call__"), "'derivative'"),
        (INITIALIZERS, lacking(Initializer), "'__call__'"),
        (SCHEDULES, lacking(Schedule), "'__call__'"),
        (NORMALIZATIONS, lacking(Normalization), "'layer' or 'over'"),
        (
            REGRESSION_LOSSES,
            lacking(REGRESSION_LOSSES.base, "gradient"),
            "'value' or 'value_and_gradient'",
        ),
        (
            CLASSIFICATION_LOSSES,
            lacking(CLASSIFICATION_LOSSES.base, "value"),
            "'gradient' or 'value_and_gradient'",
        ),
    ],
)
def test_error_names_the_missing_methods(table, component, missing):
    with pytest.raises(TypeError, match=f"Mine must implement {missing}. See docs/"):
        table.resolve(component)


@pytest.mark.parametrize("methods", [("rule",), ("step",), ("minimize",)])
def test_one_method_of_a_group_is_enough(methods):
    component = lacking(Optimizer, *methods)
    component.learning_rate = 1.0
    component._parameter_constraints = {}
    assert OPTIMIZERS.resolve(component) is component


def test_loss_of_the_other_task_raises():
    assert issubclass(SquaredError, Loss)
    with pytest.raises(TypeError, match=r"The loss must be a name .*ClassificationLoss"):
        CLASSIFICATION_LOSSES.resolve(SquaredError())


# -- nested names --------------------------------------------------------------------------------

MODELS = [MLPClassifier(), MLPRegressor(gradient_clip=1.0, normalization="batch")]


@pytest.mark.parametrize("model", MODELS)
def test_nested_parameters_of_names_are_listed(model):
    params = model.get_params()
    assert params["optimizer"] == "adam"
    for name, value in Adam().get_params().items():
        assert params[f"optimizer__{name}"] == value
    assert not any("__" in name for name in model.get_params(deep=False))


def test_nested_parameters_of_numbers_and_instances_are_listed():
    params = MODELS[1].get_params()
    assert params["gradient_clip__max_norm"] == 1.0
    assert params["normalization__momentum"] == BatchNorm().momentum
    model = MLPClassifier(optimizer=SGD(momentum=0.25))
    assert model.get_params()["optimizer__momentum"] == 0.25
    assert "optimizer__beta_1" not in model.get_params()


@pytest.mark.parametrize(
    "value", [None, "adm", 3, Adam], ids=["None", "unknown", "number", "class"]
)
def test_invalid_value_has_no_nested_parameters(value):
    params = MLPClassifier(optimizer=value).get_params()
    assert params["optimizer"] is value
    assert not any(name.startswith("optimizer__") for name in params)


@pytest.mark.parametrize("model", MODELS)
def test_setting_the_current_parameters_has_no_effect(model):
    before = dict(vars(model))
    model.set_params(**model.get_params())
    assert all(vars(model)[name] is value for name, value in before.items())


def test_equal_value_keeps_the_name():
    model = MLPClassifier().set_params(optimizer__learning_rate=1e-3, schedule="cosine")
    model.set_params(schedule__final_factor=0)
    assert model.optimizer == "adam"
    assert model.schedule == "cosine"


def test_different_value_replaces_the_name():
    model = MLPClassifier().set_params(optimizer__learning_rate=0.5)
    assert isinstance(model.optimizer, Adam)
    assert model.optimizer.get_params() == Adam(learning_rate=0.5).get_params()
    model = MLPClassifier(gradient_clip=1.0).set_params(gradient_clip__max_norm=3.0)
    assert isinstance(model.gradient_clip, ClipByNorm)
    assert model.gradient_clip.max_norm == 3.0


@pytest.mark.parametrize("reverse", [False, True])
def test_name_and_nested_value_can_be_set_in_one_call(reverse):
    changes = {"optimizer": "sgd", "optimizer__momentum": 0.9}
    if reverse:
        changes = dict(reversed(changes.items()))
    model = MLPClassifier().set_params(**changes)
    assert isinstance(model.optimizer, SGD)
    assert model.optimizer.momentum == 0.9


def test_set_params_does_not_modify_a_given_instance():
    shared = SGD(momentum=0.5)
    one, other = MLPClassifier(optimizer=shared), MLPClassifier(optimizer=shared)
    one.set_params(optimizer__momentum=0.5)
    assert one.optimizer is shared
    one.set_params(optimizer__momentum=0.75)
    assert shared.momentum == 0.5
    assert other.optimizer is shared
    assert one.optimizer.momentum == 0.75


def test_clone_does_not_share_components():
    model = MLPClassifier(optimizer=RMSprop(rho=0.5))
    copied = clone(model)
    assert copied.optimizer is not model.optimizer
    assert copied.get_params()["optimizer__rho"] == 0.5
    assert clone(MLPClassifier()).optimizer == "adam"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "sgd"}, "Invalid parameter 'optimiser' .*Did you mean 'optimizer'"),
        ({"qqq": 1}, r"Invalid parameter 'qqq' for estimator MLPClassifier. Valid parameters"),
        ({"optimizer__momentun": 1, "optimizer": "sgd"}, "'momentun' .*Did you mean 'momentum'"),
        ({"optimizer__momentum": 0.5}, "Invalid parameter 'momentum' for optimizer='adam'"),
        ({"gradient_clip__max_norm": 1.0}, "gradient_clip=None has no nested parameters"),
        ({"shuffle__x": 1.0}, "shuffle=True has no nested parameters"),
        ({"optimizer": "adm", "optimizer__beta_1": 0.5}, "'adm'"),
        ({"solver": "sgd"}, "MLPClassifier has 'optimizer' instead"),
        ({"learning_rate_init": 0.1}, "has 'optimizer__learning_rate' instead"),
        ({"learning_rate": "adaptive"}, "'optimizer__learning_rate'.* and 'schedule'"),
        ({"momentum": 0.1}, "has 'optimizer__momentum' instead"),
        ({"beta_2": 0.1}, "has 'optimizer__beta_2' instead"),
    ],
)
def test_failed_set_params_leaves_the_model_unchanged(changes, message):
    model = MLPClassifier()
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**{"alpha": 7.0, "batch_size": 5, **changes, "tol": 3.0})
    assert vars(model) == before


def test_parameters_of_scikit_learn_get_a_replacement_hint():
    from sklearn import neural_network

    for theirs, ours in (
        (neural_network.MLPClassifier(), MLPClassifier()),
        (neural_network.MLPRegressor(), MLPRegressor()),
    ):
        missing = set(theirs.get_params()) - set(ours.get_params())
        missing -= {"early_stopping", "validation_fraction", "verbose"}
        for name in missing:
            with pytest.raises(ValueError, match=f"'{name}' .* has '.* instead"):
                ours.set_params(**{name: 1})


# -- components that contain other components ----------------------------------------------------


class Inner(Component):
    _parameter_constraints: ClassVar = {"rate": [POSITIVE]}

    def __init__(self, rate=1.0):
        self.rate = rate


class Other(Inner):
    def __init__(self, rate=2.0, depth=0.5):
        super().__init__(rate)
        self.depth = depth


INNER = Table("inner", Inner, {"inner": Inner, "other": Other})


class Middle(Component):
    _tables: ClassVar = {"inner": INNER}
    _parameter_constraints: ClassVar = {"fraction": [FRACTION]}

    def __init__(self, inner="inner", fraction=0.5):
        self.inner = inner
        self.fraction = fraction


class Outer(NestedNames, BaseEstimator):
    _tables: ClassVar = {"middle": Table("middle", Middle, {"middle": Middle}, optional=True)}

    def __init__(self, middle="middle", size=1):
        self.middle = middle
        self.size = size


def test_three_levels_are_listed():
    assert Outer().get_params() == {
        "middle": "middle",
        "middle__inner": "inner",
        "middle__inner__rate": 1.0,
        "middle__fraction": 0.5,
        "size": 1,
    }


@pytest.mark.parametrize("middle", ["middle", Middle(), Middle(inner=Inner())])
def test_three_levels_are_set_without_modifying_the_given_component(middle):
    before = deepcopy(middle)
    outer = Outer(middle).set_params(middle__inner__rate=3.0)
    assert outer.middle.inner.rate == 3.0
    assert outer.get_params()["middle__inner__rate"] == 3.0
    assert repr(middle) == repr(before)
    assert clone(outer).get_params()["middle__inner__rate"] == 3.0


def test_three_levels_accept_name_and_value_in_one_call():
    outer = Outer().set_params(
        middle__inner="other", middle__inner__depth=0.25, middle__fraction=0.1
    )
    assert isinstance(outer.middle.inner, Other)
    assert (outer.middle.inner.depth, outer.middle.inner.rate) == (0.25, 2.0)
    assert outer.middle.fraction == 0.1


def test_three_levels_keep_names_for_equal_values():
    outer = Outer()
    outer.set_params(**outer.get_params())
    assert outer.middle == "middle"
    outer.set_params(middle__inner__rate=1.0)
    assert outer.middle == "middle"


@pytest.mark.parametrize("name", ["middle__inner__rat", "middle__inne__rate", "middl__inner__rate"])
def test_three_levels_reject_unknown_names(name):
    outer = Outer()
    with pytest.raises(ValueError, match=r"Invalid parameter .*Did you mean"):
        outer.set_params(size=9, **{name: 3.0})
    assert vars(outer) == {"middle": "middle", "size": 1}


def test_array_values_are_replaced():
    outer = Outer(Middle(fraction=np.array([1.0, 2.0])))
    outer.set_params(middle__fraction=np.array([1.0, 3.0]))
    assert outer.middle.fraction[1] == 3.0


def test_components_are_hashable():
    assert len({Adam(), Adam(), ReLU(), Exponential()}) == 4
