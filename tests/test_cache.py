"""The cache of machine code: ownership checks before reading, and safe writing."""

import os
import pickle
import stat

import forgeries
import pytest

from sknn_adam._backends import compilation as _compiled
from sknn_adam._utils.files import private_directory, replacing

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="requires user ids")


@pytest.fixture
def folder(tmp_path):
    """A cache directory with placeholder files."""
    base = tmp_path / "base"
    cache = private_directory(str(base), "sknn_adam")
    for name in ("kernel_1.py", "loops_1.py"):
        (cache / name).write_text("text")
    for name in ("kernel_1.kernel-7.py311.nbi", "kernel_1.kernel-7.py311.1.nbc"):
        (cache / "__pycache__" / name).write_text("text")
    for file in cache.rglob("*.*"):
        file.chmod(0o600)
    private_directory.cache_clear()
    yield cache
    private_directory.cache_clear()


@POSIX
def test_new_cache_is_private_to_the_user(tmp_path):
    before = os.umask(0)
    try:
        cache = private_directory(str(tmp_path / "a" / "b"), "sknn_adam")
    finally:
        os.umask(before)
    for directory in (tmp_path / "a", tmp_path / "a" / "b", cache, cache / "__pycache__"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@POSIX
def test_own_cache_is_used_unchanged(folder):
    files = sorted(folder.rglob("*"))
    assert private_directory(str(folder.parent), "sknn_adam") == folder
    assert sorted(folder.rglob("*")) == files


REFUSED = {
    "world_writable",
    "group_writable",
    "writable_machine_code",
    "below_a_world_writable_directory",
    "far_below_a_world_writable_directory",
    "link_to_a_folder",
    "link_to_machine_code",
    "relative_path",
    "folder_of_another_user",
    "machine_code_of_another_user",
    "home_of_another_user",
    "link_of_another_user",
}
REMOVED = {"links_to_files", "hard_links", "writable_files", "files_of_another_user"}


@POSIX
@pytest.mark.parametrize(
    "forge", forgeries.BY_ANY_USER + forgeries.BY_ROOT, ids=lambda forge: forge.__name__
)
def test_forged_cache_is_not_used(forge, folder, tmp_path, monkeypatch):
    if forge in forgeries.BY_ROOT and os.geteuid() != 0:
        pytest.skip("only root can change the owner of a file")
    if forge.__name__ not in REFUSED | REMOVED:
        pytest.skip("requires a separate process; see the heavy suite")
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.chdir(room)
    changes = forge(folder, tmp_path / "marker", room) or {}
    base = changes.get("XDG_CACHE_HOME", str(folder.parent))
    cache = private_directory(base, "sknn_adam")
    if forge.__name__ in REFUSED:
        assert cache is None
    else:
        assert cache == folder
        assert not list(folder.rglob("*.nb?"))
        assert not list(folder.glob("*.py"))


def test_forged_payload_runs_if_unpickled(tmp_path):
    """Otherwise the other tests would pass trivially."""
    pickle.loads(pickle.dumps(forgeries.Payload(tmp_path / "marker"))).close()
    assert (tmp_path / "marker").exists()


@POSIX
def test_planted_machine_code_is_not_executed(tmp_path):
    pytest.importorskip("numba")
    script = forgeries.ONE_LOOP
    assert forgeries.fit(script=script, XDG_CACHE_HOME=str(tmp_path)) == "[0.25 0.25]\n"
    forgeries.plant(tmp_path / "sknn_adam", tmp_path / "marker")
    (tmp_path / "sknn_adam").chmod(0o777)
    assert forgeries.fit(script=script, XDG_CACHE_HOME=str(tmp_path)) == "[0.25 0.25]\n"
    assert not (tmp_path / "marker").exists()


def test_relative_cache_paths_are_ignored(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert _compiled._folder() == tmp_path / "home" / ".cache" / "sknn_adam"
    assert not (tmp_path / "cache").exists()


def test_cached_file_name_depends_on_source_and_versions(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = [_compiled._source_file("a = 1", "x"), _compiled._source_file("a = 2", "x")]
    monkeypatch.setattr(_compiled, "_versions", lambda: "other versions")
    paths.append(_compiled._source_file("a = 1", "x"))
    assert len(set(paths)) == 3


# -- writing files -------------------------------------------------------------------------------


@POSIX
def test_files_that_vanish_during_the_check_do_not_matter(folder, monkeypatch):
    # Another process replaces a file between the listing and the check of its owner.
    temporary = folder / "kernel_2.py.0123.part"
    temporary.write_text("text")
    list_entries = os.scandir

    def scandir(path):
        entries = list(list_entries(path))
        temporary.unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scandir)
    assert private_directory(str(folder.parent), "sknn_adam") == folder
    assert not temporary.exists()


@POSIX
def test_temporary_file_is_new_and_does_not_follow_links(tmp_path, monkeypatch):
    monkeypatch.setattr("sknn_adam._utils.files.secrets.token_hex", lambda n: "guessed")
    (tmp_path / "victim").write_text("as before")
    (tmp_path / "file.guessed.part").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError), replacing(tmp_path / "file"):
        pass
    assert (tmp_path / "victim").read_text() == "as before"
    # The existing link is not removed either.
    assert (tmp_path / "file.guessed.part").is_symlink()


@POSIX
def test_permissions_follow_the_umask_unless_given(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "usual") as file:
            file.write(b"text")
        with replacing(tmp_path / "private", 0o600) as file:
            file.write(b"text")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "private")]
    assert modes == [0o640, 0o600]
