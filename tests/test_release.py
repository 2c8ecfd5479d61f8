"""Requirements of a release other than code. `.ci/release` builds a release and tries it."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

import sknn_adam

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOR_DEVELOPERS = {"docs", "test", "bench"}
EXTRAS = set(PROJECT["project"]["optional-dependencies"]) - FOR_DEVELOPERS


def test_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == sknn_adam.__version__
    assert PROJECT["project"]["dynamic"] == ["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changes or f"## [{sknn_adam.__version__}]" in changes


def test_every_extra_is_tried_separately():
    tree = ast.parse((ROOT / "tests" / "release" / "smoke.py").read_text(encoding="utf-8"))
    tried = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert tried == EXTRAS | {"nothing"}
    script = (ROOT / ".ci" / "release").read_text(encoding="utf-8")
    listed = re.search(r"extras=\((nothing [^)]*)\)", script)[1].split()
    assert set(listed) == tried


def test_last_trial_included_all_extras():
    results = json.loads((ROOT / "tests" / "results" / "release.json").read_text())
    assert {row["extra"] for row in results["environments"]} == EXTRAS | {"nothing"}
    assert all(row["works"] for row in results["environments"])
    sizes = {row["extra"]: row["packages"] for row in results["environments"]}
    assert all(sizes["nothing"] < n for extra, n in sizes.items() if extra != "nothing")
    assert sorted(Path(name).suffix for name in results["files"]) == [".gz", ".whl"]


def test_extra_for_tests_includes_every_extra():
    needed = PROJECT["project"]["optional-dependencies"]["test"]
    named = set(re.search(r"\[(.*)\]", next(n for n in needed if "sknn-adam" in n))[1].split(","))
    assert named == EXTRAS


def test_source_archive_includes_the_files_to_build_and_test_it():
    included = {path.strip("/") for path in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"][
        "include"
    ]}  # fmt: skip
    assert {"sknn_adam", "tests", "docs", "README.md", "LICENSE", "CITATION.cff"} <= included
    assert all((ROOT / path).exists() for path in included)


def test_workflows_publish_tags_after_the_tests():
    yaml = pytest.importorskip("yaml")
    publish, tests = (
        yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
        for name in ("publish", "tests")
    )
    # YAML reads the key "on" as true.
    assert publish[True]["push"] == {"tags": ["v*"]}
    last = publish["jobs"]["publish"]
    assert set(last["needs"]) == {"build", "tests"}
    assert "tag" in last["if"]
    assert any(step.get("run") == ".ci/release" for step in publish["jobs"]["build"]["steps"])
    unreleased = tests["jobs"]["unreleased"]["strategy"]["matrix"]["include"]
    assert {(row["python"], row.get("options")) for row in unreleased} == {
        ("3.13", "--pre scikit-learn"),
        ("3.13", "--pre scikit-optimize"),
        ("3.14t", None),
    }


def test_only_jobs_that_report_may_fail():
    yaml = pytest.importorskip("yaml")
    for key, job in yaml.safe_load(workflows()["tests.yml"])["jobs"].items():
        tolerated = [step for step in job["steps"] if step.get("continue-on-error")]
        assert len(tolerated) == (job["name"].endswith("reports only")), key
        # The job shows the failure that it tolerates.
        assert all(job["steps"][-1]["run"].count(f"steps.{s['id']}.outcome") for s in tolerated)


def workflows():
    """Return the text of every workflow by name."""
    folder = ROOT / ".github" / "workflows"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yml"))}


def test_actions_are_pinned_by_hash():
    used = [line for text in workflows().values() for line in text.splitlines() if "uses:" in line]
    actions = [line for line in used if "uses: ./" not in line]
    assert len(actions) > 5
    for line in actions:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v[\d.]+$", line), line


def test_every_stage_of_ci_is_a_job():
    yaml = pytest.importorskip("yaml")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    stages = re.search(r"^stages=\$\{\*:-(.*)\}$", script, re.M)[1].split()
    job = yaml.safe_load(workflows()["tests.yml"])["jobs"]["run"]
    assert sorted(" ".join(job["strategy"]["matrix"]["stages"]).split()) == sorted(stages)
    described = re.findall(r"^#   (\w+) {2,}\S", script, re.M)
    assert described == stages
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"`{stage}`" in contributing for stage in stages)


def test_files_that_ci_leaves_out_exist():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    names = re.search(r"left_out=\((.*?)\)", script, re.S)[1].split()
    assert len(names) > 20
    paths = [ROOT / "tests" / f"test_{name}.py" for name in names]
    paths += [ROOT / path for path in re.findall(r"--ignore=(tests/\w+\.py)", script)]
    assert all(path.exists() for path in paths)


def test_addresses_of_the_project_are_those_that_the_workflow_checks():
    source = PROJECT["project"]["urls"]["Source"]
    assert all(address.startswith(source) for address in PROJECT["project"]["urls"].values())
    assert f'Source = "{source}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "^Source = " in workflows()["publish.yml"]


def test_no_claim_of_systems_that_the_tests_do_not_cover():
    systems = [c for c in PROJECT["project"]["classifiers"] if c.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
