"""README.md: its code runs, and its commands, links and tables are correct."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_first_snippet_fits_a_pipeline_in_five_lines():
    assert README.index("```") == README.index("```python")
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) == 5
    assert all(len(line) <= 100 and ";" not in line for line in lines)
    namespace: dict = {}
    exec(BLOCKS[0], namespace)
    model, X, y = namespace["model"], namespace["X"], namespace["y"]
    assert model[-1].optimizer_.learning_rate == model[-1].get_params()["optimizer__learning_rate"]
    assert model.score(X, y) > 0.99


def test_python_code_in_the_readme_runs_from_top_to_bottom():
    if "skopt" in README:
        pytest.importorskip("skopt")
    namespace: dict = {}
    for block in BLOCKS:
        if block.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, namespace, "README", None, 0)
            runner = doctest.DocTestRunner()
            runner.run(test, clear_globs=False)
            namespace.update(test.globs)
            assert runner.failures == 0
        else:
            exec(block, namespace)
    assert namespace["search"].best_score_ > 0.9


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        (
            "main-command",
            'python3.11 -m venv .venv && .venv/bin/python -m pip install -q ".[fast,plot,progress]"'
            " && .venv/bin/python docs/examples/plot_quickstart.py",
        ),
        (
            "test-command",
            'python3.11 -m venv .venv && .venv/bin/python -m pip install -q -e ".[test]"'
            " && .venv/bin/python -m pytest -n 2",
        ),
    ],
)
def test_command_follows_its_marker(marker, command):
    assert f"<!-- {marker} -->\n```bash\n{command}\n```\n" in README


def test_links_in_the_readme_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_readme_lists_every_component_parameter_and_no_unknown_name():
    from sknn_adam import MLPClassifier, MLPRegressor

    tables = {**MLPRegressor._tables, **MLPClassifier._tables}
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", README, flags=re.MULTILINE)
    listed = {
        parameter: re.findall(r'"(\w+)"', names)
        for parameters, names in rows
        for parameter in re.findall(r"`(\w+)`", parameters)
    }
    # Hidden layers have no names.
    known = {parameter: set(table) for parameter, table in tables.items() if table}
    known["loss"] |= set(MLPRegressor._tables["loss"])
    assert listed.keys() == known.keys()
    assert all(listed.values())
    assert not {
        parameter: set(names) - known[parameter]
        for parameter, names in listed.items()
        if not known[parameter].issuperset(names)
    }
