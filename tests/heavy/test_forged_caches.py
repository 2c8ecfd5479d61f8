"""A forged cache of machine code neither changes the result of a fit nor executes code.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_forged_caches.py

Run the tests as root to include forgeries by another user.
"""

import os
import shutil
import sys
from pathlib import Path

import forgeries
import pytest
from recording import record

import sknn_adam

pytest.importorskip("numba")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs user ids"),
]
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """Return a genuine cache and the output of a fit that uses it."""
    base = tmp_path_factory.mktemp("genuine")
    printed = forgeries.fit(XDG_CACHE_HOME=str(base))
    assert forgeries.fit(XDG_CACHE_HOME=str(base)) == printed
    return base, printed


def test_forged_caches_are_not_executed(genuine, tmp_path):
    base, printed = genuine
    forged = forgeries.BY_ANY_USER + (forgeries.BY_ROOT if ROOT else [])
    executed = []
    for forge in forged:
        room = tmp_path / forge.__name__
        room.mkdir()
        marker = tmp_path / f"{forge.__name__}.executed"
        shutil.copytree(base, room / "base")
        (room / "room").mkdir()
        changes = forge(room / "base" / "sknn_adam", marker, room / "room") or {}
        environment = {"XDG_CACHE_HOME": str(room / "base")} | changes
        for _ in range(2):
            assert forgeries.fit(cwd=room / "room", **environment) == printed, forge.__name__
        if marker.exists():
            executed.append(forge.__name__)
    record("forged_caches", forgeries=len(forged), as_root=ROOT, executed=executed)
    assert not executed


def test_a_fit_works_where_no_cache_can_be_created(genuine, tmp_path):
    for place in forgeries.PLACES:
        room = tmp_path / place.__name__
        room.mkdir()
        assert forgeries.fit(cwd=room, **place(room)) == genuine[1]


def test_machine_code_in_the_package_folder_is_not_read(genuine, tmp_path):
    """Earlier versions stored the machine code of the loops in this folder."""
    base, printed = genuine
    package, marker = tmp_path / "sknn_adam", tmp_path / "executed"
    shutil.copytree(Path(sknn_adam.__file__).parent, package)
    files = list((base / "sknn_adam" / "__pycache__").glob("kernel_*.nb?"))
    assert files
    for file in files:
        name = "_loops" + file.name[file.name.index(".") :]
        payload = forgeries.pickle.dumps(forgeries.Payload(marker))
        (package / "__pycache__" / name).write_bytes(payload)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    fits = [forgeries.fit(PYTHONPATH=path, XDG_CACHE_HOME=str(base)) for _ in range(2)]
    assert fits == [printed] * 2
    assert not marker.exists()


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_cache_is_reused_under_any_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        printed = forgeries.fit(XDG_CACHE_HOME=str(tmp_path / "new" / "base"))
        files = sorted((tmp_path / "new").rglob("*.*"))
        stamps = [file.stat().st_mtime_ns for file in files]
        assert forgeries.fit(XDG_CACHE_HOME=str(tmp_path / "new" / "base")) == printed
    finally:
        os.umask(before)
    assert [file.stat().st_mtime_ns for file in files] == stamps
    assert len(files) > 6
    assert not any(file.stat().st_mode & 0o022 for file in files)


def test_a_link_of_the_same_user_is_followed(genuine, tmp_path):
    base, printed = genuine
    (tmp_path / "link").symlink_to(base)
    assert forgeries.fit(XDG_CACHE_HOME=str(tmp_path / "link")) == printed
    assert not list(tmp_path.glob("link/*/*.part"))
