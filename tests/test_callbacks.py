"""scikit-learn's callbacks, checkpoints, and the table that verbose=1 prints."""

import os
import pickle
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor, callbacks
from sknn_adam.callbacks import Checkpoint
from sknn_adam.optimizers import ScheduleFreeAdamW

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0], [-1, 1])]
NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
NAMES = {MLPClassifier: "accuracy", MLPRegressor: "r2"}
NEEDS_CALLBACKS = pytest.mark.skipif(
    not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn before 1.9 has no callbacks"
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (5,), "batch_size": 16, "max_iter": 6, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model):
    return model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)


class Watcher:
    """A recorder of all calls. A callback is any object with these four methods."""

    def __init__(self, stop_at=None):
        self.stop_at, self.events, self.models, self.seen = stop_at, [], [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        self.models.append(fitted_estimator)
        self.seen.append((X, y, metadata, estimator.n_iter_, estimator.loss_))
        return context.task_name == "epoch" and estimator.n_iter_ == self.stop_at


# -- callbacks of scikit-learn -------------------------------------------------------------------


@NEEDS_CALLBACKS
@BOTH
def test_callbacks_receive_data_and_progress(estimator, y):
    watcher, weight = Watcher(), np.linspace(1, 2, 50)
    model = small(estimator, max_iter=3).set_callbacks(watcher).fit(X, y, weight)
    epoch = ["begin epoch", "end epoch"]
    assert watcher.events == ["setup", "begin fit", *epoch * 3, "end fit", "teardown"]
    for seen_X, seen_y, metadata, _, _ in watcher.seen:
        np.testing.assert_array_equal(seen_X, X)
        np.testing.assert_array_equal(seen_y, y)
        np.testing.assert_array_equal(metadata["sample_weight"], weight)
    assert [seen[3] for seen in watcher.seen] == [1, 2, 3, 3]
    assert [seen[4] for seen in watcher.seen] == [*model.loss_curve_, model.loss_]


@NEEDS_CALLBACKS
@BOTH
def test_callbacks_do_not_change_training(estimator, y):
    params = {"normalization": "batch", "dropout": 0.2}
    model = small(estimator, **params).set_callbacks(Watcher()).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(small(estimator, **params).fit(X, y)))


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize(
    "params",
    [
        {"normalization": "batch"},
        {"averaging": "ema"},
        {"optimizer": ScheduleFreeAdamW(learning_rate=0.02)},
        {"optimizer": "lbfgs", "batch_size": "auto"},
    ],
    ids=["batch_norm", "ema", "schedule_free", "lbfgs"],
)
def test_snapshots_equal_shorter_fits(estimator, y, params):
    """Snapshots do not share memory with the weights, which keep changing."""
    watcher = Watcher()
    model = small(estimator, **params, max_iter=4).set_callbacks(watcher).fit(X, y)
    assert len(watcher.models) == 5
    for n_epochs, snapshot in enumerate(watcher.models[:4], start=1):
        shorter = small(estimator, **params, max_iter=n_epochs).fit(X, y)
        np.testing.assert_allclose(outputs(snapshot), outputs(shorter), rtol=1e-10)
        assert not any(np.shares_memory(a, b) for a in snapshot.coefs_ for b in model.coefs_)
    np.testing.assert_array_equal(outputs(watcher.models[-1]), outputs(model))


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize("params", [{}, {"optimizer": "lbfgs", "batch_size": "auto"}])
def test_callback_stops_training_by_returning_true(estimator, y, params):
    model = small(estimator, **params).set_callbacks(Watcher(stop_at=2)).fit(X, y)
    assert (model.n_iter_, model.stop_reason_, model.converged_) == (2, "callback", False)
    shorter = small(estimator, **params, max_iter=2).fit(X, y)
    np.testing.assert_allclose(outputs(model), outputs(shorter), rtol=1e-10)


@NEEDS_CALLBACKS
@BOTH
def test_partial_fit_calls_back_once_per_epoch(estimator, y):
    watcher = Watcher()
    small(estimator).set_callbacks(watcher).partial_fit(X, y)
    assert watcher.events.count("end epoch") == 1
    assert watcher.events[-1] == "teardown"


@NEEDS_CALLBACKS
@BOTH
def test_error_in_a_callback_ends_the_fit(estimator, y):
    class Broken(Watcher):
        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                raise RuntimeError("a bug of the user")

    broken = Broken()
    model = small(estimator).set_callbacks(broken)
    with pytest.raises(RuntimeError, match="a bug of the user"):
        model.fit(X, y)
    assert broken.events[-1] == "teardown"
    assert not hasattr(model, "coefs_")


class Acting(Watcher):
    """A callback that runs one function before a fit and another after each task."""

    def __init__(self, end=lambda estimator, task: None, begin=lambda estimator: None):
        super().__init__()
        self.end, self.begin = end, begin

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "fit":
            self.begin(estimator)

    def on_fit_task_end(self, estimator, context, **_):
        self.end(estimator, context.task_name)


@NEEDS_CALLBACKS
@BOTH
def test_parameter_set_by_a_callback_persists(estimator, y):
    acting = Acting(lambda model, task: model.set_params(alpha=0.05))
    assert small(estimator).set_callbacks(acting).fit(X, y).alpha == 0.05


@NEEDS_CALLBACKS
@BOTH
def test_error_reverts_changes_made_by_a_callback(estimator, y):
    def act(model, task):
        model.set_params(alpha=0.05)
        model.note_ = task
        if model.n_iter_ == 3:
            raise RuntimeError("stop")

    model = small(estimator).set_callbacks(Acting(act))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(X, y)
    assert vars(model) == before


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize("n_members", [1, 2])
def test_ctrl_c_before_the_first_step_of_a_warm_start_resets_n_iter(estimator, y, n_members):
    model = small(estimator, warm_start=True, n_members=n_members).fit(X, y)
    model.set_callbacks(Acting(begin=lambda _: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 0
    assert not np.any(model.best_iter_)


@NEEDS_CALLBACKS
@BOTH
def test_ctrl_c_after_the_last_epoch_keeps_out_of_fold_predictions(estimator, y):
    def act(model, task):
        if task == "fit":
            signal.raise_signal(signal.SIGINT)

    params = {"cv": 2, "early_stopping": True}
    model = small(estimator, **params)
    expected = clone(model).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        model.set_callbacks(Acting(act)).fit(X, y)
    np.testing.assert_array_equal(model.oof_prediction_, expected.oof_prediction_)
    assert model.oof_score_ == expected.oof_score_


@NEEDS_CALLBACKS
@BOTH
def test_scoring_monitor_records_every_epoch(estimator, y):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=NAMES[estimator])
    model = small(estimator, max_iter=4, optimizer=Adam(learning_rate=0.1))
    model.set_callbacks(monitor).fit(X, y)
    rows = monitor.get_logs().data
    scores = [row[NAMES[estimator]] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 4
    assert scores[-1] == pytest.approx(model.score(X, y))
    assert len(set(scores)) > 1


@NEEDS_CALLBACKS
@BOTH
def test_scoring_monitor_works_in_a_search_over_a_pipeline(estimator, y):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=NAMES[estimator])
    model = make_pipeline(StandardScaler(), small(estimator, max_iter=3).set_callbacks(monitor))
    name = model.steps[1][0]
    search = GridSearchCV(model, {f"{name}__alpha": [1e-4, 1e-2]}, cv=2).fit(X, y)
    rows = [row for log in monitor.get_logs(select="all") for row in log.data]
    epochs = [row[NAMES[estimator]] for row in rows if row["task_name"] == "epoch"]
    # Two candidates on two folds and the refit, three epochs each.
    assert len(epochs) == (2 * 2 + 1) * 3
    assert np.isfinite(epochs).all()
    score = search.best_estimator_.score(X, y)
    # One of the curves is that of the refit on all samples.
    assert any(epoch == pytest.approx(score) for epoch in epochs)


@NEEDS_CALLBACKS
@BOTH
def test_progress_bar_is_shown(estimator, y, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    model = make_pipeline(StandardScaler(), small(estimator, max_iter=3))
    name = model.steps[1][0]
    small(estimator, max_iter=3).set_callbacks(ProgressBar()).fit(X, y)
    assert estimator.__name__ in capsys.readouterr().out
    search = GridSearchCV(model, {f"{name}__alpha": [1e-4, 1e-2]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "100%" in shown


@NEEDS_CALLBACKS
@BOTH
def test_model_with_callbacks_can_be_pickled_and_cloned(estimator, y):
    model = small(estimator).set_callbacks(Watcher(stop_at=3)).fit(X, y)
    np.testing.assert_array_equal(outputs(pickle.loads(pickle.dumps(model))), outputs(model))
    # Clones keep their callbacks.
    assert clone(model).fit(X, y).n_iter_ == 3


# -- checkpoints ---------------------------------------------------------------------------------

SETTINGS = {
    "adam": {"optimizer": Adam(learning_rate=0.01), "normalization": "batch", "dropout": 0.2},
    "sgd": {"optimizer": SGD(momentum=0.9), "schedule": "cosine", "averaging": "ema"},
    "schedule_free": {"optimizer": "schedule_free_adamw", "schedule": "plateau"},
    "early_stopping": {
        "early_stopping": True,
        "validation_fraction": 0.3,
        "n_iter_no_change": 2,
        "tol": 0.01,
        "max_iter": 60,
        "normalization": "batch",
    },
    "tol": {"tol": 0.03, "n_iter_no_change": 2, "max_iter": 60},
}


class Keep(Checkpoint):
    """A checkpoint that keeps a separate file for every save."""

    def save(self, estimator):
        super().save(estimator)
        content = self.path.read_bytes()
        self.path.with_suffix(f".{estimator.n_iter_}").write_bytes(content)


def assert_same_training(a, b):
    np.testing.assert_array_equal(outputs(a), outputs(b))
    assert a.loss_curve_ == b.loss_curve_
    assert a.stop_reason_ == b.stop_reason_
    assert (a.n_iter_, a.best_iter_, a.n_steps_) == (b.n_iter_, b.best_iter_, b.n_steps_)
    assert a.validation_scores_ == b.validation_scores_


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize("name", SETTINGS)
def test_resuming_from_any_checkpoint_gives_the_same_result(estimator, y, name, tmp_path):
    path = tmp_path / "run.checkpoint"
    uninterrupted = small(estimator, **SETTINGS[name]).fit(X, y)
    watched = small(estimator, **SETTINGS[name]).set_callbacks(Keep(path)).fit(X, y)
    assert_same_training(watched, uninterrupted)
    expected = {"early_stopping": "early_stopping", "tol": "tol"}.get(name, "max_iter")
    assert uninterrupted.stop_reason_ == expected
    for n_epochs in range(1, uninterrupted.n_iter_ + 1):
        resumed = Checkpoint.load(path.with_suffix(f".{n_epochs}"))
        assert resumed.n_iter_ == n_epochs
        assert resumed.warm_start
        assert_same_training(resumed.fit(X, y), uninterrupted)


@NEEDS_CALLBACKS
@BOTH
def test_every_is_the_number_of_epochs_between_saves(estimator, y, tmp_path):
    path = tmp_path / "run.checkpoint"
    small(estimator, max_iter=8).set_callbacks(Keep(path, every=3)).fit(X, y)
    assert sorted(os.listdir(tmp_path)) == ["run.3", "run.6", "run.checkpoint"]
    assert Checkpoint.load(path).n_iter_ == 6


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_every_must_be_a_positive_int(every, tmp_path):
    with pytest.raises(ValueError, match="every must be a positive int"):
        Checkpoint(tmp_path / "run", every=every)


@BOTH
def test_checkpoints_work_without_callbacks(estimator, y, tmp_path):
    """Save explicitly between calls of partial_fit; this works with any scikit-learn version."""
    path = tmp_path / "run.checkpoint"
    model = small(estimator).partial_fit(X, y).partial_fit(X, y)
    Checkpoint(path).save(model)
    resumed = Checkpoint.load(path)
    for one in (model, resumed):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(outputs(resumed), outputs(model))
    assert resumed.loss_curve_ == model.loss_curve_


@NEEDS_CALLBACKS
@BOTH
def test_checkpoint_excludes_data_and_callbacks(estimator, y, tmp_path):
    path = tmp_path / "run.checkpoint"
    many = np.tile(X, (400, 1))
    watcher = Watcher()
    model = small(estimator, max_iter=1, batch_size=1000).set_callbacks(Checkpoint(path), watcher)
    model.fit(many, np.tile(y, 400))
    assert path.stat().st_size < 20_000 < many.nbytes
    resumed = Checkpoint.load(path).fit(many, np.tile(y, 400))
    assert watcher.events.count("setup") == 1
    np.testing.assert_array_equal(outputs(resumed), outputs(model))


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize("step", ["dump", "fsync", "replace"])
def test_failed_write_keeps_the_old_file(estimator, y, step, tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    model = small(estimator).partial_fit(X, y)
    Checkpoint(path).save(model)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        if step == "dump":
            args[1].write(b"half of it")
        raise OSError("No space left on device")

    where = {"dump": (callbacks.pickle, "dump"), "fsync": (os, "fsync"), "replace": (os, "replace")}
    monkeypatch.setattr(*where[step], fail)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint(path).save(model.partial_fit(X, y))
    # No temporary file remains.
    assert os.listdir(tmp_path) == ["run.checkpoint"]
    assert path.read_bytes() == before
    monkeypatch.undo()
    Checkpoint(path).save(model)
    assert Checkpoint.load(path).n_iter_ == 2


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.usefixtures("python_handles_interrupts")
def test_ctrl_c_during_a_save_is_deferred(estimator, y, tmp_path, monkeypatch):
    """The file is completed before the interrupt is raised."""
    path = tmp_path / "run.checkpoint"
    fsync = os.fsync

    def interrupt(descriptor):
        signal.raise_signal(signal.SIGINT)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small(estimator).set_callbacks(Checkpoint(path)).fit(X, y)
    assert os.listdir(tmp_path) == ["run.checkpoint"]
    monkeypatch.undo()
    assert_same_training(Checkpoint.load(path).fit(X, y), small(estimator).fit(X, y))


def test_invalid_checkpoint_files_raise(tmp_path):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(FileNotFoundError):
        Checkpoint.load(path)
    Checkpoint(path).save(small(MLPClassifier).partial_fit(X, LABELS))
    good = path.read_bytes()
    wrong = {
        "empty": b"",
        "text": b"epoch,loss\n1,0.5\n",
        "another pickle": pickle.dumps([1, 2, 3]),
        "a pickle of a dict": pickle.dumps({"weights": [1.0]}),
        "a model": pickle.dumps(small(MLPClassifier).fit(X, LABELS)),
        "noise": np.random.default_rng(0).bytes(1000),
    }
    wrong |= {f"the first {n} bytes": good[:n] for n in (1, 10, 100, len(good) // 2, len(good) - 1)}
    for description, content in wrong.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.checkpoint' is not a checkpoint of sknn_adam"):
            pytest.fail(f"{description} was loaded: {Checkpoint.load(path)!r}")
    path.write_bytes(good)
    assert Checkpoint.load(path).n_iter_ == 1


def test_checkpoint_of_another_format_raises(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    monkeypatch.setattr(callbacks, "FORMAT", 99)
    monkeypatch.setattr(callbacks, "__version__", "9.9")
    Checkpoint(path).save(small(MLPClassifier).partial_fit(X, LABELS))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"written by sknn_adam 9\.9 in format 99.*reads format 1"):
        Checkpoint.load(path)


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"hidden_layer_sizes": (6,)}, "another hidden_layer_sizes"),
        ({"activation": "tanh"}, "another activation"),
        ({"normalization": "batch"}, "another normalization"),
        ({"dropout": 0.1}, "another dropout"),
        ({"optimizer": "sgd"}, "another optimizer"),
        ({"optimizer": SGD(momentum=0.9)}, "another optimizer"),
        ({"schedule": "plateau"}, "another schedule"),
        ({"averaging": None}, "another averaging"),
        ({"dtype": "float32"}, "another dtype"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_resuming_with_incompatible_parameters_raises(estimator, y, params, match, tmp_path):
    path = tmp_path / "run.checkpoint"
    model = small(estimator).set_callbacks(Keep(path)).fit(X, y)
    resumed = Checkpoint.load(path.with_suffix(".3")).set_params(**params)
    state = {name: value for name, value in vars(resumed).items() if name not in params}
    before = outputs(resumed)
    with pytest.raises(ValueError, match=f"Training cannot be resumed with {match}"):
        resumed.fit(X, y)
    assert all(vars(resumed)[name] is value for name, value in state.items())
    np.testing.assert_array_equal(outputs(resumed), before)
    old = {name: small(estimator).get_params()[name] for name in params}
    assert_same_training(resumed.set_params(**old).fit(X, y), model)


@NEEDS_CALLBACKS
@BOTH
def test_resuming_with_other_features_raises(estimator, y, tmp_path):
    path = tmp_path / "run.checkpoint"
    model = small(estimator).set_callbacks(Keep(path)).fit(X, y)
    resumed = Checkpoint.load(path.with_suffix(".3"))
    with pytest.raises(ValueError, match="X has 3 features, but"):
        resumed.fit(X[:, :3], y)
    assert_same_training(resumed.fit(X, y), model)


# -- verbose -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_verbose_prints_the_history(estimator, y, early_stopping, capsys):
    params = {"max_iter": 3, "schedule": "cosine", "early_stopping": early_stopping}
    small(estimator, **params).fit(X, y)
    assert capsys.readouterr() == ("", "")
    model = small(estimator, **params, verbose=1).fit(X, y)
    shown, errors = capsys.readouterr()
    assert errors == ""
    heading, *lines = shown.splitlines()
    assert heading.split()[:2] == ["epoch", "loss"]
    assert ("validation" in heading) == early_stopping
    assert len(lines) == 3
    columns = np.array([line.split() for line in lines], dtype=float).T
    names = ["epoch", "loss", *["validation_score"] * early_stopping, "learning_rate"]
    for name, column in zip(names, columns, strict=False):
        np.testing.assert_allclose(column, model.history_[name], rtol=1e-4)
    # The columns are aligned.
    assert len({len(line) for line in (heading, *lines)}) == 1


@BOTH
def test_verbose_table_continues_with_partial_fit(estimator, y, capsys):
    model = small(estimator, verbose=True)
    for _ in range(2):
        model.partial_fit(X, y)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.split()[0] != "epoch"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
