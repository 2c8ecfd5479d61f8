"""The public interface is fully typed, and a user's program passes mypy in strict mode."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sknn_adam

ROOT = Path(__file__).parent.parent
MODULES = [
    "sknn_adam",
    *(
        f"sknn_adam.{path.stem}"
        for path in sorted((ROOT / "sknn_adam").iterdir())
        if not path.stem.startswith("_") and (path.suffix == ".py" or path.is_dir())
    ),
]


def mypy(*arguments, folder=None):
    pytest.importorskip("mypy")
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    command = [sys.executable, "-m", "mypy", "--config-file", os.devnull, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def test_program_passes_in_strict_mode(tmp_path):
    program = ROOT / "tests" / "typed" / "public_face.py"
    result = mypy("--strict", "--ignore-missing-imports", "--follow-imports=silent",
                 "--cache-dir", str(tmp_path), str(program), folder=tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_strict_mode_finds_wrong_arguments(tmp_path):
    program = tmp_path / "wrong.py"
    program.write_text(
        "from sknn_adam import Adam, MLPClassifier\n"
        "Adam(learning_rate='high')\n"
        "MLPClassifier(optimizer=3)\n"
        "MLPClassifier().fit([[0.0]])\n"
        "MLPClassifier(solver='adam')\n"
    )
    result = mypy("--strict", "--ignore-missing-imports", "--follow-imports=silent",
                 "--cache-dir", str(tmp_path / "cache"), str(program), folder=tmp_path)  # fmt: skip
    lines = [int(line.split(":")[1]) for line in result.stdout.splitlines() if ": error:" in line]
    assert lines == [2, 3, 4, 5], result.stdout + result.stderr


def public():
    """Yield (name, function) for all public functions, constructors and methods."""
    seen = set()
    for module in map(import_module, MODULES):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)) or value in seen:
                continue
            seen.add(value)
            if inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value
                continue
            for key, member in vars(value).items():
                function = member
                if isinstance(member, classmethod | staticmethod):
                    function = member.__func__
                elif isinstance(member, property):
                    function = member.fget
                if inspect.isfunction(function) and (key == "__init__" or key[0] != "_"):
                    yield f"{module.__name__}.{name}.{key}", function


def test_everything_public_is_annotated():
    missing, n = [], 0
    for name, function in public():
        n += 1
        signature = inspect.signature(inspect.unwrap(function))
        parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        empty = [p.name for p in parameters if p.annotation is p.empty]
        # mypy does not require a return annotation for such constructors.
        typed = name.endswith(".__init__") and parameters
        if signature.return_annotation is signature.empty and not typed:
            empty.append("return")
        missing += [f"{name}: {', '.join(empty)}"] if empty else []
    assert n > 150
    assert not missing, "\n".join(missing)


def test_py_typed_marker_is_shipped():
    assert (Path(sknn_adam.__file__).parent / "py.typed").read_bytes() == b""
