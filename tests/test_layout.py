"""The structure of the code: imports, public names, and completeness."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import rows
from rows import load_golden

import sknn_adam
from sknn_adam._component.base import Component
from sknn_adam._component.registry import Table

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "sknn_adam", Path(__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
STYLE = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Style\n")[2]
MOST_LINES, MOST_LINES_OF_A_FUNCTION = map(int, re.findall(r"at\s+most\s+(\d+)\s+lines", STYLE))

# The rungs from the top down: a module imports from lower rungs only. A folder such as `optimizers`
# is one module, whose files may import each other.
LADDER = tomllib.loads((ROOT / "docs" / "ladder.toml").read_text())["rung"]
RUNG = {module: -i for i, rung in enumerate(LADDER) for module in rung["modules"]}

FORBIDDEN = {"torch", "jax", "optax", "skorch"}
# Modules of compiled code, which other modules import inside functions.
COMPILED = {"intrinsics.py", "player.py"}
ONLY_INSIDE_FUNCTIONS = {"skopt", "numba", "matplotlib", "rich", "pandas", "optuna"}
ONLY_INSIDE_FUNCTIONS |= {"skops", "skl2onnx", "onnx", "onnxruntime", "pyarrow"}

# Public components without a name, each with the reason.
WITHOUT_NAME = {
    "Constant": "initializers.Constant is for biases; its default is the name 'zeros'",
}
# Optimizers without golden trajectories, each with the reason.
WITHOUT_GOLDEN: dict[str, str] = {}

# Where a module is tested, if not in tests/test_<module>.py.
TESTED_IN = {
    "__init__": "test_layout.py",
    "__main__": "test_layout.py",
    "_backends": "test_kernels.py",
    "_component": "test_component.py",
    "_estimator": "test_estimators*.py",
    "_nn": "test_network.py",
    "_training": "test_training.py",
    "_utils": "test_bad_input.py",
    "classifier": "test_estimators*.py",
    "regressor": "test_estimators*.py",
    "search": "test_search_*.py",
}


def module_name(path):
    """Return the module on the ladder: ``optimizers`` for ``optimizers/adam.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted({module_name(path) for path in FILES})
PUBLIC = [
    (module, value)
    for module in MODULES
    if not module.startswith("_")
    for value in (
        getattr(import_module(f"sknn_adam.{module}"), name)
        for name in import_module(f"sknn_adam.{module}").__all__
    )
    if inspect.isclass(value) and issubclass(value, Component)
]


def imports(path):
    """Yield (line, module, name, whether inside a function) for every import of a file."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield child.lineno, alias.name, None, inside
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno} imports relatively"
                for alias in child.names:
                    yield child.lineno, child.module, alias.name, inside
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside or function)

    yield from walk(ast.parse(path.read_text()), False)


def imported_from_here(module, name):
    """Return the module of the ladder that an import reaches, or None for other packages."""
    package, *rest = module.split(".")
    if package != "sknn_adam":
        return None
    if rest:
        return rest[0]
    # __init__ defines it above all imports.
    if name == "__version__":
        return None
    return name if name in RUNG else "__init__"


# -- imports -------------------------------------------------------------------------------------


def test_every_module_has_a_rung():
    assert sorted(MODULES) == sorted(RUNG)


@pytest.mark.parametrize("page", ["sknn_adam/README.md", "CONTRIBUTING.md", "docs/design.md"])
def test_pages_show_the_ladder(page):
    rows = [
        f"| {', '.join(f'`{module}`' for module in rung['modules'])} | {rung['holds']} |"
        for rung in LADDER
    ]
    assert "\n".join(rows) in (ROOT / page).read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_from_lower_rungs_only(path):
    own = module_name(path)
    for line, module, name, _ in imports(path):
        source = imported_from_here(module, name)
        if source is not None and source != own:
            assert RUNG[source] < RUNG[own], f"{path.name}:{line} imports {source}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_of_other_packages_are_allowed(path):
    for line, module, name, inside in imports(path):
        where = f"{path.name}:{line} imports {module}"
        package, *parts = module.split(".")
        assert package not in FORBIDDEN, where
        assert inside or package not in ONLY_INSIDE_FUNCTIONS or path.name in COMPILED, where
        if package == "sklearn" and path.name != "sklearn_compat.py":
            private = [part for part in [*parts, name or ""] if part.startswith("_")]
            assert not private, f"{where} {private}: only sklearn_compat.py may"


def test_import_of_the_package_is_light():
    code = "import sys, sknn_adam; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    # scikit-learn 1.9 imports rich, and one of its dependencies pandas and pyarrow, where they are
    # installed.
    heavy = (FORBIDDEN | ONLY_INSIDE_FUNCTIONS) - {"rich", "pandas", "pyarrow"}
    assert heavy.isdisjoint(process.stdout.split())


# -- public names --------------------------------------------------------------------------------


def test_top_level_names_exist():
    assert sorted(sknn_adam.__all__) == sorted(set(sknn_adam.__all__))
    assert all(hasattr(sknn_adam, name) for name in sknn_adam.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.\w+)?", sknn_adam.__version__)


def test_bug_report_shows_versions_and_threads(capsys):
    import_module("sknn_adam.__main__").main()
    report = capsys.readouterr().out
    assert f"sknn_adam {sknn_adam.__version__}" in report
    for word in ("python", "numpy", "scikit-learn", "blas", "threads"):
        assert word in report


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("__init__", "__main__")])
def test_public_modules_define_all(module):
    module = import_module(f"sknn_adam.{module}")
    if hasattr(module, "__all__"):
        assert all(hasattr(module, name) for name in module.__all__)
    else:
        assert module.__name__.rpartition(".")[2].startswith("_")


TABLES = [
    (module, value)
    for module in MODULES
    if not module.startswith("_")
    for name, value in vars(import_module(f"sknn_adam.{module}")).items()
    if isinstance(value, Table) and name in import_module(f"sknn_adam.{module}").__all__
]
NAMED = {type(make()) for _, table in TABLES for make in table.values()}
BASES = {table.base for _, table in TABLES} | {c for _, c in PUBLIC if "contract" in vars(c)}


@pytest.mark.parametrize(("module", "component"), PUBLIC, ids=[c.__name__ for _, c in PUBLIC])
def test_every_component_is_documented_named_and_tested(module, component):
    assert inspect.getdoc(component)
    entries = (ROOT / "docs" / "api.md").read_text()
    section = entries.partition(f".. currentmodule:: sknn_adam.{module}\n")[2].partition("```")[0]
    entry = re.search(rf"^   {component.__name__}$", section, re.M) is not None
    assert entry, f"no entry in the section sknn_adam.{module} of docs/api.md"
    if component in BASES:
        return
    named = component in NAMED or component.__name__ in WITHOUT_NAME
    assert named, f"no name in the table of {module}.py"
    tested = {type(row.values[0]) for row in rows.COMPONENTS}
    assert component in tested, "no row in tests/rows.py"


@pytest.mark.parametrize(("module", "table"), TABLES, ids=[module for module, _ in TABLES])
def test_names_are_documented(module, table):
    entries = (ROOT / "docs" / "api.md").read_text()
    missing = [name for name in table if f'`"{name}"`' not in entries]
    assert not missing


def test_every_optimizer_has_golden_trajectories():
    golden = {config["class"] for config in load_golden("optimizers")["configs"]}
    optimizers = {type(row.values[0]).__name__ for row in rows.OPTIMIZERS}
    assert optimizers - golden == set(WITHOUT_GOLDEN)


def test_rows_have_unique_ids():
    for table in (rows.OPTIMIZERS, rows.ACTIVATIONS, rows.INITIALIZERS, rows.LOSSES):
        ids = [row.id for row in table]
        assert sorted(set(ids)) == sorted(ids)


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.name)
def test_no_test_module_is_used_as_a_library(path):
    modules = [module for _, module, _, _ in imports(path)]
    assert not [m for m in modules if m.startswith("test_")], "move shared helpers to a module"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_test_file(module):
    assert list(TESTS.glob(TESTED_IN.get(module, f"test_{module}.py")))


def test_files_and_functions_are_short():
    too_long = []
    for path in FILES:
        text = path.read_text()
        if (lines := text.count("\n")) > MOST_LINES:
            too_long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                lines = node.end_lineno - node.lineno + 1
                if lines > MOST_LINES_OF_A_FUNCTION:
                    too_long.append(f"{path.relative_to(ROOT)}: {node.name} has {lines} lines")
    assert not too_long, "\n".join(too_long)


def test_names_of_functions_and_classes_are_unique():
    names = Counter(
        node.name
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )
    # Both are public: a constant initial value, and a constant learning rate.
    assert {name for name, n in names.items() if n > 1} == {"Constant"}
