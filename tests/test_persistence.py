"""Archives restore complete estimators, are small and safe, and are refused if invalid."""

import copy
import importlib.util
import io
import json
import pickle
import signal
import sys
import tracemalloc
import warnings
from contextlib import suppress
from itertools import count
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import rows
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import make_column_transformer
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.impute import SimpleImputer
from sklearn.linear_model import PoissonRegressor, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import sknn_adam
from sknn_adam import Adam, MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam._nn.layers import Layer
from sknn_adam._training.members import OutOfFold
from sknn_adam._utils.files import replacing
from sknn_adam.activations import ReLU
from sknn_adam.losses import QuantileLoss

pytest.importorskip("skops")

import forging
from archives import LENGTH, archive, damage, planted, rewritten, sealed, with_file
from copies import LABELS, NUMBERS, STATES, X, equal, outputs, small
from forging import load_all

from sknn_adam.persistence import TRUSTED_TYPES, ArchiveError, load, save

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
WITHOUT_PARTIAL_FIT = ("minimized", "stopped", "cross-fitted")
ARCHIVES = Path(__file__).parent / "golden" / "archives"


def save_and_load(model, folder):
    save(model, folder / "model.skops")
    return load(folder / "model.skops")


# -- completeness --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("state", STATES)
def test_archive_restores_the_estimator(estimator, y, state, tmp_path):
    model = small(estimator, **STATES[state]).fit(X, y)
    before = pickle.dumps(model)
    loaded = save_and_load(model, tmp_path)
    assert pickle.dumps(model) == before
    equal(model, loaded)
    assert repr(loaded) == repr(model)
    assert loaded.get_params().keys() == model.get_params().keys()
    assert loaded.history_.columns == model.history_.columns
    assert loaded.history_.layers.columns.keys() == model.history_.layers.columns.keys()
    assert (loaded.stop_reason_, loaded.n_iter_, loaded.n_steps_) == (
        model.stop_reason_,
        model.n_iter_,
        model.n_steps_,
    )


@BOTH
@pytest.mark.parametrize("state", [name for name in STATES if name not in WITHOUT_PARTIAL_FIT])
def test_training_continues_with_the_same_bits(estimator, y, state, tmp_path):
    model = small(estimator, **STATES[state])
    for _ in range(2):
        model.partial_fit(X, y)
    loaded = save_and_load(model, tmp_path)
    # Predictions use the average itself, not a copy of it.
    if loaded._run.average is not None:
        assert loaded._network.theta is loaded._run.average
    for one in (model, loaded):
        one.partial_fit(X, y).partial_fit(X[::2], y[::2])
    equal(model, loaded)


@BOTH
def test_warm_start_continues_with_the_same_bits(estimator, y, tmp_path):
    model = small(estimator, warm_start=True, optimizer="lbfgs", batch_size="auto").fit(X, y)
    loaded = save_and_load(model, tmp_path)
    equal(model.fit(X, y), loaded.fit(X, y))


def cross_fitted(estimator):
    """Return an estimator with cross-fitted members and a warm start."""
    params = {"cv": 3, "early_stopping": True, "warm_start": True, "max_iter": 12}
    params |= {"learn_scales": True, "normalization": "batch", "dropout": 0.1}
    return small(estimator, **params, n_iter_no_change=4)


TARGETS = {
    "two": (MLPClassifier, X[:, 0] > 0),
    "classes": (MLPClassifier, LABELS),
    "labels": (MLPClassifier, (X[:, :3] > 0).astype(int)),
    "columns": (MLPClassifier, np.stack([LABELS, LABELS[::-1]], axis=1)),
    "number": (MLPRegressor, NUMBERS),
    "numbers": (MLPRegressor, np.stack([NUMBERS, -NUMBERS], axis=1)),
}


def equal_members(one, other, inputs):
    for name in ("oof_prediction_", "oof_score_", "best_iter_"):
        np.testing.assert_equal(getattr(other, name), getattr(one, name))
    for m, n in zip(other.members_, one.members_, strict=True):
        np.testing.assert_equal(m.coefs_ + m.intercepts_, n.coefs_ + n.intercepts_)
    np.testing.assert_equal(other.member_predictions(inputs), one.member_predictions(inputs))
    assert other.history_.columns["loss"] == one.history_.columns["loss"]


@pytest.mark.parametrize("target_type", TARGETS)
def test_cross_fitted_members_are_restored_and_continue(target_type, tmp_path):
    estimator, y = TARGETS[target_type]
    model = cross_fitted(estimator).fit(X, y)
    loaded = save_and_load(model, tmp_path)
    equal_members(model, loaded, X)
    before = model.members_[0].coefs_[0].copy()
    equal_members(model.fit(X, y), loaded.fit(X, y), X)
    assert np.abs(model.members_[0].coefs_[0] - before).max() > 0


@BOTH
@pytest.mark.usefixtures("python_handles_interrupts")
def test_interrupted_fit_of_members_resumes_from_an_archive(estimator, y, tmp_path, monkeypatch):
    """The archive includes out-of-fold predictions and the patience of each sample."""
    model, seen, see = cross_fitted(estimator), [], OutOfFold.see

    def interrupted(self, *args):
        see(self, *args)
        seen.append(len(args[0]))
        if len(seen) == 5:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(OutOfFold, "see", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    loaded = save_and_load(model, tmp_path)
    assert loaded._run.in_fit
    for name in ("z", "best", "waited"):
        np.testing.assert_array_equal(getattr(loaded._run.oof, name), getattr(model._run.oof, name))
    uninterrupted = cross_fitted(estimator).fit(X, y)
    equal_members(uninterrupted, loaded.fit(X, y), X)
    assert loaded.n_iter_ > 5


@pytest.mark.parametrize("row", rows.COMPONENTS)
def test_every_component_is_trusted(row, tmp_path):
    name = f"{type(row).__module__}.{type(row).__name__}"
    assert name in TRUSTED_TYPES
    # The model is not fitted, so any component is accepted.
    model = MLPClassifier(optimizer=row)
    assert repr(save_and_load(model, tmp_path)) == repr(model)


def test_every_layer_is_trusted():
    layers = Layer.__subclasses__() + [
        c for k in Layer.__subclasses__() for c in k.__subclasses__()
    ]
    own = [layer for layer in layers if layer.__module__.startswith("sknn_adam.")]
    assert len(own) > 5
    assert {f"{layer.__module__}.{layer.__name__}" for layer in own} <= set(TRUSTED_TYPES)


def test_all_target_types_are_restored(tmp_path):
    labels = (X[:, :3] > 0).astype(int)
    columns = np.stack([LABELS, LABELS[::-1]], axis=1)
    for y in (labels, columns, np.digitize(X[:, 0], [0]), X[:, 0] > 0):
        model = small(MLPClassifier, class_weight="balanced").fit(X, y)
        loaded = save_and_load(model, tmp_path)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)
    several = small(MLPRegressor, loss=QuantileLoss((0.1, 0.5, 0.9))).fit(X, NUMBERS)
    np.testing.assert_array_equal(save_and_load(several, tmp_path).predict(X), several.predict(X))


# -- pipelines and searches ----------------------------------------------------------------------


def holders():
    from scipy.stats import loguniform, randint
    from skopt import BayesSearchCV
    from skopt.space import Categorical, Integer, Real

    net = small(MLPClassifier)
    pipeline = make_pipeline(StandardScaler(), net)
    name = "mlpclassifier__"
    grid = {name + "optimizer": ["sgd", Adam(0.01)], name + "alpha": [0.1, 0.01]}
    distributions = {name + "alpha": loguniform(1e-5, 0.1), name + "max_iter": randint(2, 5)}
    space = {
        name + "alpha": Real(1e-5, 0.1, prior="log-uniform"),
        name + "max_iter": Integer(2, 5),
        name + "activation": Categorical(["relu", "tanh"]),
        name + "l1_ratio": (0.0, 1.0, "uniform"),
    }
    columns = make_column_transformer(
        (StandardScaler(), [0, 1]), (OneHotEncoder(handle_unknown="ignore"), slice(2, 3))
    )
    return {
        "pipeline": pipeline,
        "columns": make_pipeline(columns, net),
        "function": make_pipeline(FunctionTransformer(np.arctan), net),
        "grid": GridSearchCV(pipeline, grid, cv=2, scoring=["accuracy", "neg_log_loss"],
                             refit="neg_log_loss"),
        "random": RandomizedSearchCV(pipeline, distributions, n_iter=3, cv=ShuffleSplit(2)),
        "Bayes": BayesSearchCV(pipeline, [(space, 3)], n_iter=3, cv=2, random_state=0),
        "search in a pipeline": make_pipeline(
            StandardScaler(), RandomizedSearchCV(net, {"alpha": loguniform(1e-5, 0.1)}, n_iter=2)
        ),
        "calibrated": CalibratedClassifierCV(pipeline, cv=2),
    }  # fmt: skip


@pytest.mark.parametrize("holder", holders())
def test_pipelines_and_searches_are_restored(holder, tmp_path):
    model = holders()[holder].fit(np.round(X, 1), LABELS)
    before = set(vars(model))
    loaded = save_and_load(model, tmp_path)
    assert set(vars(model)) == before
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    if hasattr(model, "cv_results_"):
        assert loaded.best_params_.keys() == model.best_params_.keys()
        assert loaded.cv_results_.keys() == model.cv_results_.keys()
        assert loaded.best_score_ == model.best_score_
        np.testing.assert_array_equal(
            loaded.cv_results_["rank_test_" + ("neg_log_loss" if holder == "grid" else "score")],
            model.cv_results_["rank_test_" + ("neg_log_loss" if holder == "grid" else "score")],
        )
    # The search spaces are restored too.
    loaded.fit(np.round(X, 1), LABELS)
    assert loaded.predict(X).shape == LABELS.shape


def test_search_spaces_are_restored(tmp_path):
    made = holders()
    loaded = save_and_load(made["Bayes"], tmp_path)
    (space, n), (expected, _) = loaded.search_spaces[0], made["Bayes"].search_spaces[0]
    assert n == 3
    # Dimensions are compared by value.
    assert space == expected
    random = save_and_load(made["random"], tmp_path).param_distributions
    alpha = random["mlpclassifier__alpha"]
    assert alpha.rvs(random_state=0) == pytest.approx(
        made["random"].param_distributions["mlpclassifier__alpha"].rvs(random_state=0), rel=1e-15
    )


# -- across releases -----------------------------------------------------------------------------


def golden():
    spec = importlib.util.spec_from_file_location(
        "make_archive", ARCHIVES.parent / "make_archive.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["exact", "trained", "search", "members"])
def test_arrays_of_an_older_release_predict_the_same(name, tmp_path):
    """Compare with weights and predictions stored with scikit-learn 1.7; the rest is recomputed.

    The archives in the same folder refer to modules of an earlier layout. Only the model that does
    not round is compared bit for bit; other predictions depend on the processor in the last digit.
    """
    assert json.loads((ARCHIVES / "versions.json").read_text())["scikit-learn"] == "1.7.2"
    made = golden()
    model, _ = made.MODELS[name]()
    net, scaler = made.network(model), getattr(model, "best_estimator_", model)[0]
    with np.load(ARCHIVES / f"{name}.npz") as expected:
        X = expected["X"]  # load_diabetes differs in the last digit between releases
        net._network.theta[...] = expected["theta"]
        net._network.statistics[...] = expected["statistics"]
        scaler.mean_, scaler.scale_ = expected["mean"], expected["scale"]
        for fitted in (model, save_and_load(model, tmp_path)):
            actual = made.bits(fitted, X)
            for key in ("raw outputs", "predictions"):
                np.testing.assert_allclose(actual[key], expected[key], rtol=1e-4, atol=1e-5)
                if name == "exact":
                    np.testing.assert_array_equal(actual[key], expected[key])
                elif expected[key].dtype == np.float64 and made.network(model).dtype == "float64":
                    np.testing.assert_allclose(actual[key], expected[key], rtol=1e-12, atol=1e-13)


def test_exact_model_does_not_round():
    """Compare with integer arithmetic. Without rounding, all machines give the same bits."""
    made = golden()
    pipeline, inputs = made.exact()
    # Count in quarters, so that all numbers are integers.
    units = (inputs - [3, -1, 0, 2]) * [2, 8, 4, 1]
    exact = units.astype(int).astype(object)
    for W, b in zip(pipeline[-1]._network.dense()[:], [4, 4, 4], strict=True):
        exact = exact @ W.W.astype(int).astype(object) + b * W.b.astype(int).astype(object)
        exact = np.maximum(exact, 0) if W is not pipeline[-1]._network.dense()[-1] else exact
    expected = exact[:, 0] / 4 / 4 + 8
    np.testing.assert_array_equal(pipeline.predict(inputs), expected.astype(float))


def test_file_contains_the_versions(tmp_path):
    data = archive(small(MLPClassifier), tmp_path)
    with ZipFile(io.BytesIO(data)) as file:
        about = json.loads(file.read("sknn_adam.json"))
        assert all(name.endswith((".json", ".npy")) for name in file.namelist())
    assert about["sknn_adam"] == sknn_adam.__version__
    assert about["numpy"] == np.__version__


def test_files_of_newer_versions_raise_or_warn(tmp_path):
    data, path = archive(small(MLPClassifier).fit(X, LABELS), tmp_path), tmp_path / "new.skops"
    path.write_bytes(rewritten(data, about={"sknn_adam": "99.1.0", "format": 2}, written=2))
    with pytest.raises(ArchiveError, match=r"sknn_adam 99.1.0 in format 2.* reads format 1"):
        load(path)
    path.write_bytes(rewritten(data, about={"sknn_adam": "99.1.0"}))
    with pytest.warns(UserWarning, match=r"written by sknn_adam 99.1.0, which is newer than"):
        load(path)
    path.write_bytes(rewritten(data, about={"sknn_adam": "0.0.1"}))
    assert load(path).predict(X).shape == LABELS.shape


# -- safety --------------------------------------------------------------------------------------

HAPPENED = []


class Foreign:
    def __setstate__(self, state):
        HAPPENED.append(state)


class OwnReLU(ReLU):
    pass


NUMBER = count(1)


def node(module, name, loader, **more):
    return {
        "__class__": name, "__module__": module, "__loader__": loader, "__id__": next(NUMBER)
    } | more  # fmt: skip


TEXT = node("builtins", "str", "JsonNode", content='"touch planted"', is_json=True)
WORDS = node("builtins", "list", "ListNode", content=[TEXT])
NONE = node("builtins", "list", "ListNode", content=[])
NOTHING = node("builtins", "dict", "DictNode", content={}, key_types=NONE)
PLANTED = {
    "test_persistence.Foreign": node("test_persistence", "Foreign", "ObjectNode", content=NOTHING),
    "os.system": node("os", "system", "FunctionNode"),
    "posix.system": node("posix", "system", "ListNode", content=[TEXT]),
    "builtins.eval": node("builtins", "eval", "ConstructorFromReduceNode", content=WORDS),
    "builtins.exec": node("builtins", "exec", "ListNode", content=[TEXT]),
    "antigravity.anything": node("antigravity", "anything", "TypeNode"),
    "subprocess.Popen": node("subprocess", "Popen", "ListNode", content=[TEXT]),
    "functools.partial": node(
        "functools", "partial", "PartialNode",
        content={
            "func": node("os", "system", "FunctionNode"), "args": WORDS, "kwds": NOTHING,
            "namespace": NOTHING,
        },
    ),
    "sknn_adam.callbacks.Checkpoint": node(
        "sknn_adam.callbacks", "Checkpoint", "ConstructorFromReduceNode", content=WORDS
    ),
    # Its __setstate__ compiles a template from the state.
    "scipy.stats._continuous_distns.norm_gen": node(
        "scipy.stats._continuous_distns", "norm_gen", "ObjectNode", content=NOTHING
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_error_names_the_planted_type(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "planted.skops"
    pipeline = make_pipeline(StandardScaler(), small(MLPClassifier)).fit(X, LABELS)
    path.write_bytes(planted(archive(pipeline, tmp_path), PLANTED[name]))
    with pytest.raises(ArchiveError, match=rf"was refused: it contains.*{name}"):
        load(path)
    assert not HAPPENED
    assert not (tmp_path / "planted").exists()
    assert "antigravity" not in sys.modules


def test_planted_type_would_run_if_it_were_trusted(tmp_path, monkeypatch):
    """The planted node is valid, so the test above really checks the refusal."""
    path = tmp_path / "planted.skops"
    path.write_bytes(planted(archive(small(MLPClassifier), tmp_path), PLANTED[
        "test_persistence.Foreign"
    ]))  # fmt: skip
    trusted = (*TRUSTED_TYPES, "test_persistence.Foreign")
    monkeypatch.setattr("sknn_adam.persistence.archives.TRUSTED_TYPES", trusted)
    assert type(load(path).validation_fraction).__name__ == "Foreign"
    planted_class = sys.modules["test_persistence"].Foreign
    assert isinstance(load(path).validation_fraction, planted_class)
    assert HAPPENED == [{}, {}]
    HAPPENED.clear()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("dimension", "check_dimension"), ("distribution", "ttest_ind"), ("anything", "norm"),
     ("distribution", "np"), ("distribution", "rv_continuous")],
)  # fmt: skip
def test_unknown_descriptions_raise(kind, name, tmp_path):
    from sknn_adam.persistence.searches import Described

    search = RandomizedSearchCV(small(MLPClassifier), {"alpha": Described(kind, name, [], {})})
    save(search, tmp_path / "model.skops")
    with pytest.raises(ArchiveError, match=f"Unknown '{kind}': '{name}'"):
        load(tmp_path / "model.skops")


def test_saving_custom_components_raises(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(b"what was there")
    model = small(MLPClassifier, activation=OwnReLU()).fit(X, LABELS)
    with pytest.raises(ArchiveError, match=r"MLPClassifier cannot be .*test_persistence.OwnReLU"):
        save(model, path)
    model = make_pipeline(FunctionTransformer(lambda x: x), small(MLPClassifier))
    with pytest.raises(ArchiveError, match="<lambda>"):
        save(model, path)
    with pytest.raises(ArchiveError, match=r"save takes an estimator\. Got 'dict'"):
        save({}, path)
    assert path.read_bytes() == b"what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["model.skops"]


def test_trusted_functions_are_metrics_and_column_functions():
    assert list(TRUSTED_TYPES) == sorted(set(TRUSTED_TYPES))
    functions = []
    for name in TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        if module == "skopt.searchcv" or importlib.util.find_spec(module) is None:
            continue
        value = getattr(importlib.import_module(module), attribute, None)
        if value is not None and not isinstance(value, type):
            functions.append(name)
    assert functions
    allowed = ("sklearn.metrics.", "sknn_adam.tabular.columns.")
    assert all(name.startswith(allowed) for name in functions)
    assert not any(name.startswith(("builtins.", "os.", "scipy.")) for name in TRUSTED_TYPES)


# -- damaged files -------------------------------------------------------------------------------


def test_damaged_files_give_one_clear_error(tmp_path):
    """tests/heavy/test_damaged.py tries 1,000 damaged files of each type."""
    model = make_pipeline(StandardScaler(), small(MLPClassifier, warm_start=True)).fit(X, LABELS)
    data = archive(model, tmp_path)
    with warnings.catch_warnings():
        # A forged archive may cause warnings about versions.
        warnings.simplefilter("ignore")
        counts = damage(data, tmp_path / "damaged.skops", seed=0, n=60)
    assert counts["flipped"] == counts["cut off"] == {"refused": 60, "loaded": 0}
    assert counts["flipped inside and sealed"]["refused"] > 10


def test_error_messages_for_damaged_files(tmp_path):
    path = tmp_path / "model.skops"
    data = archive(small(MLPClassifier).fit(X, LABELS), tmp_path)
    path.write_bytes(data[:-1])
    with pytest.raises(
        ArchiveError, match=r"is not an archive written by .* or its end is damaged"
    ):
        load(path)
    path.write_bytes(data[:500] + b"?" + data[501:])
    with pytest.raises(ArchiveError, match=r"model\.skops' is damaged: its content does not match"):
        load(path)
    path.write_bytes(data.replace(b"archive, format 0001", b"archive, format 0000"))
    with pytest.raises(ArchiveError, match="its end and its content state different formats"):
        load(path)
    path.write_bytes(pickle.dumps(small(MLPClassifier)))
    with pytest.raises(ArchiveError, match="is not an archive"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="is not an archive"):
        load(path)
    path.write_bytes(rewritten(data, lambda schema: {"protocol": schema["protocol"]}))
    with pytest.raises(ArchiveError, match=r"cannot be read: KeyError.* written by sknn_adam"):
        load(path)
    path.write_bytes(rewritten(data, lambda schema: "[" * 100_000))
    with pytest.raises(ArchiveError, match="cannot be read: RecursionError"):
        load(path)
    with pytest.raises(OSError, match=r"nothing\.skops"):
        load(tmp_path / "nothing.skops")


def test_tabular_pipeline_is_restored(tmp_path):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=120),
            "few": np.array(["x", "y", None], dtype=object)[rng.integers(0, 3, 120)],
            "many": [f"word {k}" for k in rng.integers(0, 60, 120)],
            "date": pd.date_range("2020-02-28", periods=120),
        }
    )
    y = (frame["number"] > 0).to_numpy()
    for estimator in ("classifier", small(MLPClassifier)):
        model = make_tabular_pipeline(estimator, random_state=0).set_params(model__max_iter=2)
        model.fit(frame, y)
        loaded = save_and_load(model, tmp_path)
        np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
        np.testing.assert_array_equal(
            loaded[:-1].get_feature_names_out(), model[:-1].get_feature_names_out()
        )
        assert loaded[-1].cv == model[-1].cv


def test_archive_of_another_object_raises(tmp_path):
    data, path = archive(small(MLPClassifier), tmp_path), tmp_path / "list.skops"
    words = {**WORDS, "protocol": None}
    path.write_bytes(rewritten(data, lambda schema: words | {"protocol": schema["protocol"]}))
    with pytest.raises(ArchiveError, match="contains 'list' instead of an estimator"):
        load(path)


def test_archive_that_would_fill_the_memory_raises(tmp_path):
    data, path = archive(small(MLPClassifier), tmp_path), tmp_path / "bomb.skops"
    path.write_bytes(rewritten(data, about={"blank": " " * 100_000_000}))
    assert path.stat().st_size < 200_000
    with pytest.raises(ArchiveError, match="would unpack to 1"):
        load(path)


# -- files ---------------------------------------------------------------------------------------


def test_files_are_replaced_atomically(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as file:
        file.write(b"first")
        assert not path.exists()
    with suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half of the sec")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="no folder"), replacing(tmp_path / "no folder" / "x"):
        pass


def test_archives_are_small(tmp_path):
    wide = small(MLPRegressor, hidden_layer_sizes=(400, 400), dtype="float32", max_iter=1)
    data = archive(wide.fit(X, NUMBERS), tmp_path)
    assert len(data) < 4 * wide._network.theta.size + 30_000
    assert data[-LENGTH:].startswith(b"sknn_adam archive")


def test_error_names_the_missing_package(monkeypatch, tmp_path):
    model = small(MLPClassifier).fit(X, LABELS)
    save(model, tmp_path / "model.skops")
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match=r"pip install 'sknn_adam\[secure\]'"):
        save(model, tmp_path / "a")
    # Loading requires no packages beyond those of fit.
    equal(model, load(tmp_path / "model.skops"))


def test_loaded_model_is_independent(tmp_path):
    model = small(MLPClassifier).fit(X, LABELS)
    before = outputs(model)
    loaded = save_and_load(model, tmp_path)
    copied = copy.deepcopy(loaded)
    loaded.fit(X[:30], LABELS[:30])
    np.testing.assert_array_equal(outputs(model), before)
    np.testing.assert_array_equal(outputs(copied), before)


# -- forged files --------------------------------------------------------------------------------
# Archives with a valid checksum; many more are in tests/heavy/test_forged_archives.py.


def file_of(data, *path):
    """Return the file name of the array at this path of attributes."""
    with ZipFile(io.BytesIO(data)) as file:
        current = json.loads(file.read("schema.json"))
    for name in path:
        inner = current["content"]
        current = inner[name] if isinstance(inner, list) else inner["content"][name]
    return current["file"]


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def nested_npz(n_bytes):
    """Return doubly compressed zeros in the file format of SciPy's sparse matrices."""
    inner = io.BytesIO()
    with ZipFile(inner, "w", ZIP_DEFLATED) as file:
        file.writestr("data.npy", npy(np.zeros(n_bytes, np.int8)))
    return inner.getvalue()


def header(text, data=b""):
    text = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def slot(data, array):
    return with_file(data, file_of(data, "_run", "optimizer_state", "v"), npy(array))


def forged_archives(folder):
    """Yield labels and archives that must all be refused."""
    plain = archive(small(MLPClassifier), folder)
    run = archive(small(MLPClassifier, warm_start=True).fit(X, LABELS), folder)
    size = small(MLPClassifier).fit(X, LABELS)._network.theta.size
    for shape, dtype in (((1,), "f4"), ((1,), "f8"), ((size,), "f4"), ((size, 1), "f8")):
        yield f"a slot of shape {shape}, {dtype}", slot(run, np.zeros(shape, dtype))
    yield "a slot by column", slot(run, np.zeros((1, size)))
    average = file_of(run, "_run", "average")
    yield "an average of one element", with_file(run, average, npy(np.zeros(1)))
    yield "weights that are not finite", with_file(run, average, npy(np.full(size, np.nan)))
    codes = file_of(run, "_targets", "columns", 0)
    yield "fewer classes", with_file(run, codes, npy(np.array(["a", "b"])))
    yield "classes in no order", with_file(run, codes, npy(np.array(["c", "b", "a"])))
    yield "objects", with_file(run, codes, npy(np.array(["a", "b", "c"], dtype=object)))
    start = "{'descr': '<f8', 'fortran_order': False, 'shape': "
    yield "no data", with_file(run, average, header(start + "(1000000000000,), }"))
    yield "no elements", with_file(run, average, header(start + "(0, 1000000000000000), }"))
    yield "a long header", with_file(run, average, header(start + "(" + "(" * 9000))
    for kind in ("list", "tuple"):
        for make in (forging.shared, forging.shared_with_names):
            yield f"{make.__name__} {kind}", planted(plain, make(40, kind))
        tree = forging.array_of(forging.shared(30, kind), (2,) * 31)
        yield f"an array of shared {kind}s", planted(plain, tree)
    yield "deep", planted(plain, forging.nested(300))
    yield "a cycle", planted(plain, forging.cycle())
    generator = node("numpy.random._generator", "Generator", "RandomGeneratorNode", content={
        "bit_generator": forging.mapping(10, bit_generator=forging.text(20, '"PCG64"')),
        "seed_seq": forging.mapping(30, pool_size=forging.text(40, "1000000000")),
    })  # fmt: skip
    yield "seeds that fill the memory", planted(plain, generator)
    yield "members that fill the memory", rewritten(run, _many_members)
    yield "long text", rewritten(plain, lambda schema: json.dumps(schema) + " " * 10**7)


def _many_members(schema):
    for each in forging.nodes_of(schema):
        if each["__class__"] == "Network":
            each["content"]["content"]["members"] = forging.text(10**9, "1000000000")
    return schema


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        ("Dense", "fan_in", "7"), ("Dense", "initializer", '"nothing"'), ("Dropout", "rate", "1.5"),
        ("ScaledDense", "fan_in", "7"), ("ScaledDense", "fan_out", "7"),
        ("ScaledDense", "parameters", "[]"),
        ("Dropout", "scale", "2.5"), ("BatchNormLayer", "epsilon", "-1.0"),
        ("BatchNormLayer", "momentum", "1.0"), ("BatchNormLayer", "momentum", "null"),
        ("Network", "members", "1"), ("Network", "members", "true"),
        ("Network", "dtype", '"float64"'), ("Clock", "progress", "2.0"),
        ("Clock", "step", "-1"), ("Members", "batch", "99"), ("Members", "limit", "-1.0"),
        ("Members", "first_epoch", "99"), ("Members", "best_epoch", "-1"),
        ("Members", "stop_reason", '"bored"'), ("Members", "in_fit", "1"),
        ("Members", "clipped", '"1"'), ("Members", "oof", "0"), ("Members", "contradiction", "[]"),
        ("LayerHistory", "distance", "0"), ("History", "layers", "null"),
        ("MLPClassifier", "n_layers_", "9"), ("MLPClassifier", "n_steps_", "1"),
        ("MLPClassifier", "converged_", "null"), ("MLPClassifier", "n_features_in_", "4"),
        ("MLPClassifier", "_targets", "null"), ("MLPClassifier", "stop_reason_", "1"),
        ("MLPClassifier", "best_iter_", "0.5"), ("MLPClassifier", "optimizer_", '"adam"'),
    ],
)  # fmt: skip
def test_changed_attribute_raises(owner, name, value, tmp_path):
    data = archive(cross_fitted(MLPClassifier).fit(X, LABELS), tmp_path)
    changed = []

    def change(schema):
        for each in forging.nodes_of(schema):
            if each["__class__"] == owner:
                changed.append(each["content"]["content"][name])
                each["content"]["content"][name] = forging.text(10**9, value)
        return schema

    (tmp_path / "forged.skops").write_bytes(rewritten(data, change))
    assert changed
    with pytest.raises(ArchiveError, match=r"was refused|cannot be read"):
        load(tmp_path / "forged.skops")


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits require Linux")
def test_forged_archives_are_refused_quickly_with_little_memory(tmp_path):
    actual = load_all(forged_archives(tmp_path), tmp_path / "forged")
    assert len(actual) > 20
    loaded = [label for label, outcome in actual if outcome["outcome"] != "refused"]
    assert not loaded


def test_disguised_sparse_matrix_is_not_unpacked(tmp_path):
    """A sparse matrix in the place of a list used to expand from 7 kB to 3.3 GB."""
    data = archive(small(MLPClassifier), tmp_path)
    disguised = node("builtins", "list", "SparseMatrixNode", type="scipy", file="1.npz")
    forged = planted(data, disguised)
    buffer = io.BytesIO(forged[:-LENGTH] + b"x" * LENGTH)
    with ZipFile(buffer, "a") as file:
        file.writestr("1.npz", nested_npz(10**7))
    (tmp_path / "forged.skops").write_bytes(sealed(buffer.getvalue()))
    with pytest.raises(ArchiveError, match=r"refused: it contains the unexpected file '1\.npz'"):
        load(tmp_path / "forged.skops")
    (tmp_path / "forged.skops").write_bytes(forged)
    with pytest.raises(ArchiveError, match=r"it contains builtins\.list as 'SparseMatrixNode'"):
        load(tmp_path / "forged.skops")


def test_file_with_a_wrong_size_is_not_unpacked(tmp_path):
    """zipfile unpacks a file before it compares the size with that in the zip directory."""
    data = archive(small(MLPClassifier), tmp_path)
    blank = rewritten(data, lambda schema: json.dumps(schema) + " " * 3 * 10**7)
    with ZipFile(io.BytesIO(blank)) as file:
        size = file.getinfo("schema.json").file_size
    path = tmp_path / "forged.skops"
    path.write_bytes(sealed(blank.replace(size.to_bytes(4, "little"), b"\x00\x10\x00\x00")))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="Bad CRC"):
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**7


PIPELINE = Pipeline([("net", MLPClassifier())])
SEARCH = GridSearchCV(PIPELINE, {"net__alpha": [1.0]})


@pytest.mark.parametrize(
    ("model", "params", "reason"),
    [
        (PIPELINE, {"memory": "cache"}, "'memory' is set"),
        (SEARCH, {"estimator__memory": "cache"}, "'memory' is set"),
        (SEARCH, {"param_grid": {"memory": ["cache"]}}, "'memory' is set"),
        (SEARCH, {"param_grid": [{"net__memory": ["cache"]}]}, "'net__memory' is set"),
        (FeatureAgglomeration(pooling_func=np.add), {"memory": "cache"}, "'memory' is set"),
        (SEARCH, {"n_jobs": 10**6}, "'n_jobs' is 1000000"),
        (SEARCH, {"n_jobs": np.int64(10**6)}, "'n_jobs' is 1000000"),
        (SEARCH, {"param_grid": {"net__n_jobs": [1, 10**6]}}, "'net__n_jobs' is 1000000"),
        (SEARCH, {"pre_dispatch": "9**9**9"}, "'pre_dispatch' is '9"),
    ],
)
def test_saving_parameters_that_affect_the_next_fit_raises(model, params, reason, tmp_path):
    """A Pipeline with `memory` unpickles the files at that path."""
    assert repr(save_and_load(model, tmp_path)) == repr(model)
    changed = clone(model).set_params(**params)
    with pytest.raises(ArchiveError, match=f"because load would refuse it: {reason}"):
        save(changed, tmp_path / "model.skops")


def test_loading_a_pipeline_with_memory_raises(tmp_path):
    """The cache path of a Pipeline used to be restored, so fit unpickled the files in it."""
    data = archive(make_pipeline(StandardScaler(), small(MLPClassifier)), tmp_path)

    def change(schema):
        for each in forging.nodes_of(schema):
            if each["__class__"] == "Pipeline":
                each["content"]["content"]["memory"] = forging.text(1, '"/tmp/cache"')
        return schema

    (tmp_path / "forged.skops").write_bytes(rewritten(data, change))
    with pytest.raises(ArchiveError, match=r"was refused: 'memory' is set, .* unpickle"):
        load(tmp_path / "forged.skops")


@pytest.mark.parametrize("space", ["", " ", "\n", "\t\r "])
def test_container_stored_as_a_plain_value_raises(space, tmp_path):
    """The keys of a dict that is stored as text would escape the checks."""
    search = GridSearchCV(make_pipeline(small(MLPClassifier)), {"mlpclassifier__alpha": [0.1]})
    data = archive(search, tmp_path)

    def change(schema):
        grid = forging.text(1, space + '{"memory": ["/tmp/cache"]}')
        schema["content"]["content"]["param_grid"] = grid
        return schema

    (tmp_path / "forged.skops").write_bytes(rewritten(data, change))
    with pytest.raises(ArchiveError, match="was refused: a plain value is not valid"):
        load(tmp_path / "forged.skops")


@pytest.mark.parametrize("name", ["MT19937", "Philox"])
def test_invalid_positions_in_generators_raise(name, tmp_path):
    """NumPy reads at the position without checking the length of the array."""
    rng = np.random.Generator(getattr(np.random, name)(0))
    search = RandomizedSearchCV(small(MLPClassifier), {"alpha": [0.1]}, random_state=rng)
    data = archive(search, tmp_path)
    loaded = load(tmp_path / "whole.skops").random_state
    assert loaded.random() == rng.random()
    key = "pos" if name == "MT19937" else "buffer_pos"

    def change(schema):
        for each in forging.nodes_of(schema):
            if key in (content if isinstance(content := each.get("content"), dict) else ()):
                content[key] = forging.text(1, "100000")
        return schema

    (tmp_path / "forged.skops").write_bytes(rewritten(data, change))
    with pytest.raises(ArchiveError, match=f"'{key}' of a random generator"):
        load(tmp_path / "forged.skops")


def test_boolean_keys_are_restored(tmp_path):
    """With `bool("false")`, which is True, both classes would get the same weight."""
    weights = {False: 1.0, True: 3.0}
    loaded = save_and_load(small(MLPClassifier, class_weight=weights), tmp_path)
    assert loaded.class_weight == weights


def test_repetitive_text_can_be_archived(tmp_path):
    """Compressed, it would exceed the limits of `load`, so it is stored uncompressed."""
    model = FunctionTransformer(kw_args={"values": [None] * 20_000})
    loaded = save_and_load(model, tmp_path)
    assert loaded.kw_args == model.kw_args


def test_estimators_of_scikit_learn_are_restored(tmp_path):
    """They use all loaders: random states, losses, masked and empty arrays, and types."""
    positive = np.abs(np.round(X))
    y = np.digitize(X[:, 0], [0.0])
    models = [
        PoissonRegressor().fit(positive, y),
        SGDClassifier(random_state=0).fit(X, y),
        LatentDirichletAllocation(2, random_state=0).fit(positive),
        SimpleImputer().fit(np.where(X > 1, np.nan, X)),
        OneHotEncoder(dtype=np.float32).fit(positive),
        GridSearchCV(PoissonRegressor(), {"alpha": [0.1, 1.0]}, cv=2).fit(positive, y),
    ]
    for model in models:
        loaded = save_and_load(model, tmp_path)
        call = "predict" if hasattr(model, "predict") else "transform"
        expected, actual = getattr(model, call)(positive), getattr(loaded, call)(positive)
        if hasattr(expected, "toarray"):
            expected, actual = expected.toarray(), actual.toarray()
        np.testing.assert_array_equal(actual, expected, strict=True)
