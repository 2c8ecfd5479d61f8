"""Forged caches of machine code, which an attacker could prepare to execute code."""

import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

FIT = """
import numpy as np
from sknn_adam import MLPClassifier
X = np.random.default_rng(0).normal(size=(60, 4))
model = MLPClassifier((5,), max_iter=2, random_state=0, warm_start=True).fit(X, X[:, 0] > 0)
assert model._run.network.kernels.name == "fused"
assert any(kernel is not None for kernel in model._run.network.kernels._kernels.values())
print(repr(np.abs(model.coefs_[0]).sum()))
"""
ONE_LOOP = """
import numpy as np
from sknn_adam._backends.numba_backend import FusedKernels
average = np.zeros(2)
FusedKernels().blend(average, np.ones(2), 0.5, 0.25)
print(average)
"""
# The user id of another user.
OTHER_USER = 12345


class Payload:
    """An object that creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def fit(cwd=None, script=FIT, **environment):
    """Run a script, by default a fit, in a separate process; return its output."""
    environment = os.environ | {"SKNN_ADAM_KERNELS": "fused"} | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def plant(folder, marker, what=("nbi", "nbc", "pyc", "py")):
    """Replace the files of a cache with files that create `marker` when they are loaded."""
    sources = list(folder.glob("*.py"))
    assert sources
    code = compile(f"open({str(marker)!r}, 'w')\nraise SystemExit(1)", "forged", "exec")
    for source in sources:
        if "py" in what:
            source.write_text(f"open({str(marker)!r}, 'w')\nraise SystemExit(1)")
        if "pyc" in what:
            unchecked = importlib._bootstrap_external._code_to_hash_pyc(code, b"-" * 8, False)
            Path(importlib.util.cache_from_source(source)).write_bytes(unchecked)
    for file in (folder / "__pycache__").glob("*.nb?"):
        if file.suffix[1:] in what:
            # Writing in place would also change other hard links to the file.
            file.unlink()
            file.write_bytes(pickle.dumps(Payload(marker)))


def _own(folder, user):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


# Forgeries take (cache folder, marker, empty directory) and return changes of the environment, or
# None.


def world_writable(folder, marker, room):
    plant(folder, marker)
    folder.chmod(0o777)


def group_writable(folder, marker, room):
    plant(folder, marker)
    folder.chmod(0o770)


def writable_machine_code(folder, marker, room):
    plant(folder, marker)
    (folder / "__pycache__").chmod(0o777)


def below_a_world_writable_directory(folder, marker, room):
    plant(folder, marker)
    folder.parent.chmod(0o777)


def far_below_a_world_writable_directory(folder, marker, room):
    open_to_all = room / "open"
    (open_to_all / "own").mkdir(parents=True)
    shutil.move(folder, open_to_all / "own" / "sknn_adam")
    plant(open_to_all / "own" / "sknn_adam", marker)
    open_to_all.chmod(0o777)
    return {"XDG_CACHE_HOME": str(open_to_all / "own")}


def link_to_a_folder(folder, marker, room):
    plant(folder, marker)
    folder.rename(room / "elsewhere")
    folder.symlink_to(room / "elsewhere")


def link_to_machine_code(folder, marker, room):
    plant(folder, marker)
    (folder / "__pycache__").rename(room / "elsewhere")
    (folder / "__pycache__").symlink_to(room / "elsewhere")


def links_to_files(folder, marker, room):
    plant(folder, marker)
    for file in (*folder.glob("*.py"), *(folder / "__pycache__").glob("*.nb?")):
        file.rename(room / file.name)
        file.symlink_to(room / file.name)


def hard_links(folder, marker, room):
    plant(folder, marker)
    for file in (*folder.glob("*.py"), *(folder / "__pycache__").glob("*.nb?")):
        os.link(file, room / file.name)


def writable_files(folder, marker, room):
    plant(folder, marker)
    for file in (*folder.glob("*.py"), *(folder / "__pycache__").glob("*.nb?")):
        file.chmod(0o666)


def byte_code(folder, marker, room):
    plant(folder, marker, ["pyc"])


def sources(folder, marker, room):
    plant(folder, marker, ["py"])


def relative_path(folder, marker, room):
    plant(folder, marker)
    shutil.move(folder, room / "sknn_adam")
    return {"XDG_CACHE_HOME": "."}


def cache_of_numba(folder, marker, room):
    """Plant files in NUMBA_CACHE_DIR, under all names that Numba may load."""
    plant(folder, marker)
    names = [file.name for file in (folder / "__pycache__").glob("*.nb?")]
    for file in (folder / "__pycache__").glob("*"):
        file.unlink()
    environment = {"NUMBA_CACHE_DIR": str(room / "numba"), "XDG_CACHE_HOME": str(folder.parent)}
    fit(**environment | {"XDG_CACHE_HOME": str(room / "another")})
    for directory in [path for path in (room / "numba").rglob("*") if path.is_dir()]:
        for name in names:
            (directory / name).write_bytes(pickle.dumps(Payload(marker)))
    return environment


def folder_of_another_user(folder, marker, room):
    plant(folder, marker)
    _own(folder, OTHER_USER)


def machine_code_of_another_user(folder, marker, room):
    plant(folder, marker)
    _own(folder / "__pycache__", OTHER_USER)


def files_of_another_user(folder, marker, room):
    plant(folder, marker)
    for file in (*folder.glob("*.py"), *(folder / "__pycache__").glob("*")):
        os.chown(file, OTHER_USER, OTHER_USER)


def home_of_another_user(folder, marker, room):
    plant(folder, marker)
    os.chown(folder.parent, OTHER_USER, OTHER_USER)


def link_of_another_user(folder, marker, room):
    plant(folder, marker)
    (room / "link").symlink_to(folder.parent)
    os.chown(room / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    return {"XDG_CACHE_HOME": str(room / "link")}


BY_ANY_USER = [
    world_writable,
    group_writable,
    writable_machine_code,
    below_a_world_writable_directory,
    far_below_a_world_writable_directory,
    link_to_a_folder,
    link_to_machine_code,
    links_to_files,
    hard_links,
    writable_files,
    byte_code,
    sources,
    relative_path,
    cache_of_numba,
]
BY_ROOT = [
    folder_of_another_user,
    machine_code_of_another_user,
    files_of_another_user,
    home_of_another_user,
    link_of_another_user,
]


# Places where no cache can be created. The functions take an empty directory and return changes of
# the environment.


def in_a_file(room):
    (room / "file").touch()
    return {"XDG_CACHE_HOME": str(room / "file")}


def below_a_file(room):
    (room / "file").touch()
    return {"XDG_CACHE_HOME": str(room / "file" / "deeper")}


def unwritable(room):
    (room / "closed").mkdir(mode=0o500)
    return {"XDG_CACHE_HOME": str(room / "closed")}


def without_a_home(room):
    return {"XDG_CACHE_HOME": "", "HOME": str(room / "no" / "home")}


def a_relative_home(room):
    return {"XDG_CACHE_HOME": "", "HOME": "."}


def a_dangling_link(room):
    (room / "link").symlink_to(room / "nowhere")
    return {"XDG_CACHE_HOME": str(room / "link")}


PLACES = [in_a_file, below_a_file, unwritable, without_a_home, a_relative_home, a_dangling_link]
