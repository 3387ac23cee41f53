"""Where the code of a function lies: a .py file, a folder, a zip as Pulsar lays it out, or a wheel.

A zip is NAME/src with the code, NAME/deps with wheels, NAME/requirements.txt. Archives are unpacked once, into a folder
named after their content.
"""

import os
import stat

from fmesh_host import OpenError

UNPACKED_SIZE_MAX = 2 * 1024**3  # a zip that grows to more is taken for an attack or a mistake
UNPACKED_FILES_MAX = 100_000


def open_package(path, directory):
    """The entries for sys.path, the function's own code first."""
    if not path:
        raise OpenError("no file is named that holds the function: python.py, or genericRuntime.functionFile")
    if not os.path.exists(path):
        raise OpenError(f"{path}: no such file; it is looked for relative to the YAML file")
    if os.path.isdir(path):
        return _layout(path)
    suffix = os.path.splitext(path)[1]
    if suffix == ".py":
        return [os.path.dirname(path)]
    if suffix == ".whl":
        return [_unpack(path, directory)]
    if suffix == ".zip":
        return _layout(_unpack(path, directory), directory)
    raise OpenError(f"{path}: expected a .py file, a .zip, a .whl or a folder")


def _layout(root, directory=None):
    """src and deps of Pulsar's layout, at the root or one folder down; else the root itself."""
    inner = [os.path.join(root, name) for name in sorted(os.listdir(root))]
    for folder in [root] + [one for one in inner if os.path.isdir(one)]:
        source = os.path.join(folder, "src")
        if not os.path.isdir(source):
            continue
        wheels = os.path.join(folder, "deps")
        names = sorted(os.listdir(wheels)) if os.path.isdir(wheels) else []
        found = [_unpack(os.path.join(wheels, name), directory or root) for name in names if name.endswith(".whl")]
        return [source] + found
    return [root]


def _check_wheel(path):
    """A wheel with compiled code for another Python would fail with words that help nobody."""
    import sys

    parts = os.path.basename(path)[: -len(".whl")].split("-")
    if len(parts) < 5:
        return
    python, abi = parts[-3], parts[-2]
    mine = "cp{}{}".format(*sys.version_info)
    if python.startswith("cp") and abi not in ("abi3", "none") and mine not in python.split("."):
        raise OpenError(f"{path}: the wheel is for {python}, this Python is {mine}; take the wheel for {mine}")


def _unpack(path, directory):
    """The folder that holds the content of an archive."""
    import hashlib
    import shutil
    import tempfile
    import zipfile

    if path.endswith(".whl"):
        _check_wheel(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:20]
    target = os.path.join(directory, os.path.splitext(os.path.basename(path))[0] + "-" + digest)
    if os.path.isdir(target):
        return target
    os.makedirs(directory, exist_ok=True)
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise OpenError(f"{path}: it is no zip archive") from None
    with archive:
        _check_members(path, archive.infolist())
        half_done = tempfile.mkdtemp(dir=directory, prefix=".unpack-")
        try:
            archive.extractall(half_done)
            os.rename(half_done, target)
        except OSError:
            # Another instance was faster.
            shutil.rmtree(half_done, ignore_errors=True)
            if not os.path.isdir(target):
                raise
    return target


def _check_members(path, members):
    if len(members) > UNPACKED_FILES_MAX or sum(one.file_size for one in members) > UNPACKED_SIZE_MAX:
        raise OpenError(f"{path}: it holds more than {UNPACKED_FILES_MAX} files or {UNPACKED_SIZE_MAX >> 30} GiB")
    for one in members:
        if one.filename.startswith("/") or ".." in one.filename.split("/") or stat.S_ISLNK(one.external_attr >> 16):
            raise OpenError(f"{path}: {one.filename} leads out of the archive; pack it anew without such names and links")
