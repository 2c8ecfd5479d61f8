"""The documentation pages: their code runs, tables are complete, and links work."""

import importlib.util
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from sknn_adam import MLPClassifier, MLPRegressor

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
# Tested by tests/test_add_an_optimizer.py.
TESTED_ELSEWHERE = ("add_an_optimizer.md",)
# Words in a block of code, and the packages that they require.
NEEDS = {
    "set_callbacks": "sklearn.callback",
    "matplotlib": "matplotlib",
    "skopt": "skopt",
    "optuna": "optuna_integration",
    "distributed": "distributed",
    "sknn_adam.search": "pandas",
    "import pandas": "pandas",
    "skl2onnx": "skl2onnx",
    "onnxruntime": "onnxruntime",
    "sknn_adam.persistence": "skops",
    "import shap": "shap",
    "as_frame=True": "pandas",
}
WITH_CODE = [
    name for name, text in PAGES.items() if "```python\n" in text and name not in TESTED_ELSEWHERE
]


@pytest.mark.parametrize("name", WITH_CODE)
def test_code_of_a_page_runs_from_top_to_bottom(name, monkeypatch, tmp_path):
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", PAGES[name], re.M | re.S))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    for block in blocks:
        # The blocks above one that needs a missing package have run.
        for word, package in NEEDS.items():
            if word in block[1]:
                pytest.importorskip(package)
        line = PAGES[name].count("\n", 0, block.start()) + 1
        exec(compile("\n" * line + block[1], str(DOCS / name), "exec"), namespace)


@pytest.mark.parametrize("name", PAGES)
def test_pages_link_to_pages_that_exist(name):
    files = re.findall(r"\]\(([^)#:]+\.md)[)#]|\{download\}`([^`]+)`", PAGES[name])
    missing = [file for pair in files for file in pair if file and not (DOCS / file).exists()]
    assert not missing


@pytest.mark.parametrize("name", [name for name in PAGES if name != "index.md"])
def test_every_page_is_in_the_contents(name):
    contents = PAGES["index.md"].partition("```{toctree}")[2].partition("```")[0].split()
    assert name.removesuffix(".md") in contents


# -- migration pages -----------------------------------------------------------------------------


def names_in_table(page, heading, column):
    """Return the names in code font in a column of the table below a heading."""
    section = PAGES[page].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", section, re.M)]
    assert cells
    return {name for row in cells for name in re.findall(r"`(\w+)`", row[column])}


def parameters(*classes):
    return {name for c in classes for name in inspect.signature(c).parameters}


def test_every_parameter_of_scikit_learn_has_a_row():
    listed = names_in_table("migration_sklearn.md", "Parameters", 0)
    assert listed == parameters(TheirClassifier, TheirRegressor)


def test_every_parameter_of_this_package_has_a_row():
    listed = names_in_table("migration_sklearn.md", "Parameters", 1)
    listed |= names_in_table("migration_sklearn.md", "Parameters without a counterpart", 0)
    assert parameters(MLPClassifier, MLPRegressor) <= listed


@pytest.mark.parametrize("column", [0, 1], ids=["theirs", "ours"])
def test_every_fitted_attribute_has_a_row(column):
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    fitted = (TheirClassifier, MLPClassifier)[column](max_iter=500, tol=1.0).fit(X, y)
    listed = names_in_table("migration_sklearn.md", "Attributes", column)
    names = {n for n in dir(fitted) if n.endswith("_") and not n.startswith("_")}
    assert names <= listed


def test_defaults_in_the_table_match_the_signatures():
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| `([^`]+)` \| `([^`]+)` \|",
        PAGES["migration_sklearn.md"],
        re.M,
    )
    assert len(rows) > 8
    for theirs, ours, their_default, our_default in rows:
        for c, name, listed in (
            (TheirClassifier, theirs, their_default),
            (MLPClassifier, ours, our_default),
        ):
            assert inspect.signature(c).parameters[name].default == eval(listed), name


def test_parameters_on_the_skorch_page_exist():
    listed = names_in_table("migration_skorch.md", "Parameters", 1)
    known = set(MLPClassifier().get_params()) | set(MLPRegressor().get_params())
    assert listed <= known | {"optimizer__momentum", "optimizer__weight_decay", "X_val", "y_val"}


def test_mapping_from_skorch_gives_the_same_network():
    """Convert as in migration_skorch.md, with the same initial weights and batches."""
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    from sklearn.datasets import load_iris
    from sklearn.preprocessing import scale

    from sknn_adam import Adam, AdamW
    from sknn_adam.initializers import Initializer

    class Same(Initializer):
        def __call__(self, fan_in, fan_out, rng):
            return np.random.default_rng(fan_in).uniform(-0.5, 0.5, (fan_in, fan_out))

    class Module(torch.nn.Sequential):
        def __init__(self):
            super().__init__(torch.nn.Linear(4, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
            for layer in (self[0], self[2]):
                initial = Same()(layer.in_features, layer.out_features, None)
                layer.weight.data = torch.tensor(initial.T)
                layer.bias.data = torch.zeros(layer.out_features, dtype=torch.float64)

    X, y = load_iris(return_X_y=True)
    X = scale(X)
    # This package does not decay biases.
    decay = [("*.bias", {"weight_decay": 0.0})]
    for rule, parts in (
        ("Adam", {"optimizer": Adam(0.01), "alpha": 0.02}),
        ("AdamW", {"optimizer": AdamW(0.01, weight_decay=0.02), "alpha": 0.0}),
    ):
        theirs = skorch.NeuralNetClassifier(
            Module,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=getattr(torch.optim, rule),
            lr=0.01,
            optimizer__weight_decay=0.02,
            optimizer__param_groups=decay,
            max_epochs=40,
            batch_size=50,
            train_split=None,
            verbose=0,
        ).fit(X, y.astype(np.int64))
        ours = MLPClassifier(
            (12,),
            initializer=Same(),
            max_iter=40,
            batch_size=50,
            shuffle=False,
            tol=0,
            n_iter_no_change=np.inf,
            averaging=None,
            l1_ratio=0.0,
            **parts,
        ).fit(X, y)
        expected = [theirs.module_[i].weight.detach().numpy().T for i in (0, 2)]
        for mine, other in zip(ours.coefs_, expected, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-9)


def test_names_that_the_pages_import_are_public():
    imported = {
        (module, name.strip())
        for text in PAGES.values()
        for module, names in re.findall(r"^from (sknn_adam[\w.]*) import ([\w, ]+)$", text, re.M)
        for name in names.split(",")
    }
    assert imported
    private = [pair for pair in imported if pair[1] not in importlib.import_module(pair[0]).__all__]
    assert not private


# -- four_questions.md ---------------------------------------------------------------------------

QUESTIONS = PAGES["four_questions.md"].split("\n## ")[1:]
CLAIMS = [
    row.split(" | ") for text in QUESTIONS for row in re.findall(r"^\| (“.*) \|$", text, re.M)
]


def test_page_has_four_questions_with_claims():
    assert len(QUESTIONS) == 4
    assert len(CLAIMS) == sum(text.count("“") for text in QUESTIONS) > 60


@pytest.mark.parametrize("claim", CLAIMS, ids=range(len(CLAIMS)))
def test_every_claim_has_an_example_a_number_and_a_verdict(claim):
    sentence, example, measured, verdict = claim
    assert re.fullmatch("“.{15,}”", sentence)
    (name,) = re.findall(r"<auto_examples/(plot_\w+)>", example)
    source = (DOCS / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert "\nassert " in source or "    assert " in source
    assert re.search(r"\d", measured)
    assert re.match("(holds|partly|not here|a definition)($|[;:,])", verdict)


def test_claims_quote_the_measured_results():
    """The verdicts must not contradict the committed results of the benchmarks."""
    from benchmarks._records import newest

    regret = newest("search")["regret at candidates: mean, standard error, runs"]
    found = {claim[0]: claim[2:] for claim in CLAIMS if "](benchmarks.md)" in claim[2]}

    def row(part):
        (key,) = (sentence for sentence in found if part in sentence)
        return found.pop(key)

    measured, verdict = row("uses past evaluations to guide")
    for n in ("16", "32", "64"):
        bayes, random = (f"{regret[name][n][0]:.2f}" for name in ("bayes", "random"))
        assert re.search(f"{bayes} against {random}.* after {n}", measured)
    assert verdict == "partly: from about 32 candidates on"
    measured, _ = row("you randomly sample values")
    for n in ("8", "32", "64"):
        grid, random = (f"{regret[name][n][0]:.2f}" for name in ("grid", "random"))
        assert re.search(f"{grid} and {random} after {n}", measured)

    ratios = newest("defaults")["ratios"]

    def change(metric, candidate):
        ratio = ratios[metric][candidate] / ratios[metric]["the defaults"]
        return f"{abs(ratio - 1):.0%}".replace("%", " %")

    measured, _ = row("decay the learning rate")
    assert f"raises the error by {change('error', 'schedule=cosine')}" in measured
    measured, _ = row("a technique to prevent overfitting")
    early = "early_stopping=True"
    assert f"lowers the log loss by {change('logloss', early)}" in measured
    assert change("error", early) == change("nrmse", early)
    assert f"the error and the RMSE by {change('error', early)} each" in measured
    measured, _ = row("somewhere between 64 and 256")
    for n in (32, 128, 200):
        assert f"{ratios['error'][f'batch_size={n}']:.2f} at {n}" in measured
    assert not found


def test_every_example_belongs_to_a_claim():
    listed = {name for claim in CLAIMS for name in re.findall(r"plot_\w+", claim[1])}
    examples = {path.stem for path in (DOCS / "examples").glob("plot_*.py")}
    others = {"plot_quickstart", "plot_search", "plot_intervals", "plot_calibration"}
    assert listed == examples - others


# -- reference -----------------------------------------------------------------------------------

MODULES = "activations averaging callbacks clipping initializers inspection losses".split()
MODULES += ["normalization", "optimizers", "schedules", "search"]


def names_in_reference():
    """Return the qualified names that have a page in docs/api.md."""
    found, module = [], None
    for line in PAGES["api.md"].splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif module and re.fullmatch(r"   [A-Za-z_]\w*", line):
            found.append(f"{module}.{line.strip()}")
    return found


def test_every_public_name_has_a_page():
    listed = {name.rpartition(".")[2] for name in names_in_reference()}
    for module in ["sknn_adam", *(f"sknn_adam.{name}" for name in MODULES)]:
        names = set(importlib.import_module(module).__all__) - {"__version__"}
        assert {name for name in names if not name.isupper()} <= listed, module


@pytest.mark.parametrize("name", names_in_reference())
def test_docstrings_are_complete(name):
    validate = pytest.importorskip("numpydoc.validate").validate
    if "inspection" in name or "search" in name:
        pytest.importorskip("matplotlib")
    # Extended summaries and "See also" sections are optional.
    errors = [f"{code} {text}" for code, text in validate(name)["errors"] if code not in TASTE]
    assert not errors


TASTE = ("ES01", "SA01")


# -- check of the built site ---------------------------------------------------------------------


def load_check_site():
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    check_site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_site)
    return check_site


def test_no_page_has_a_name_reserved_by_sphinx():
    """Sphinx generates pages with these names, which would overwrite ours."""
    reserved = {"search", "genindex", "modindex", "py-modindex", "searchindex", "objects"}
    assert not reserved & {path.stem for path in DOCS.glob("*.md")}


def test_lost_pages_are_detected(tmp_path):
    check_site = load_check_site()
    sources = {
        "right.md": ("Intro first\n\n# The `Adam` page: [a link](x.md)\n\n# Other", "md"),
        "search.md": ("# Choosing hyper-parameters\n", "lost"),
        "sub/rest.rst": ("..\n  comment\n\n.. _a:\n\nsknn\\_adam.Adam\n===============\n", "rst"),
        "gone.md": ("# Gone", None),
        "none.md": ("no heading", "lost"),
    }
    html = {
        "md": '<h1>The <code>Adam</code> page: a link<a class="headerlink" href="#a">#</a></h1>',
        "rst": "<h1>sknn_adam.Adam</h1><h1>More</h1>",
        "lost": "<noscript>Activate JavaScript.</noscript>",
    }
    for name, (text, page) in sources.items():
        source = tmp_path / "_sources" / f"{name}.txt"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        target = (tmp_path / name).with_suffix(".html")
        target.parent.mkdir(exist_ok=True)
        if page:
            target.write_text(html[page])
    found = [line.partition(":")[0] for line in check_site.lost_pages(tmp_path)]
    assert found == ["gone.html", "none.html", "search.html"]


def test_broken_links_are_detected(tmp_path):
    check_site = load_check_site()
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1><a href="sub/b.html#here">1</a><a href="sub/b.html#gone">2</a>'
        '<a href="#top">3</a><a href="https://elsewhere.example/x.html">4</a><img src="no.png">'
    )
    (tmp_path / "sub" / "b.html").write_text('<p id="here"><a href="../index.html">5</a></p>')
    assert check_site.broken_links(tmp_path) == [
        "index.html: sub/b.html#gone names a section that sub/b.html does not have",
        "index.html: no.png does not exist",
    ]


# -- tour.ipynb ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The objective has been evaluated:UserWarning")
def test_tour_runs(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    book = json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))
    assert len(book["cells"]) == 15
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "tour"}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec(compile("".join(cell["source"]), f"tour.ipynb, {cell['id']}", "exec"), namespace)
    assert namespace["search"].best_score_ > 0.9
    namespace["plt"].close("all")
