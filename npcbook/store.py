"""Where things lie and how they are kept: paths, locks, marks, whole files, seals, results; shared work."""

import ast
import gzip
import hashlib
import inspect
import json
import linecache
import multiprocessing
import os
import re
import shutil
import sqlite3
import stat
import symtable
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import filelock
import joblib
import numpy as np
import pandas as pd
import psutil
import yaml
from threadpoolctl import threadpool_limits
from tqdm import tqdm

PACKAGE = Path(__file__).parent
#: Packages whose version a number may depend on.
NUMERICAL_PACKAGES = [
    *"lifelines matplotlib monai numpy pandas pyradiomics PyWavelets scikit-learn scikit-survival".split(),
    *"scipy SimpleITK statsmodels torch".split(),
]
SECONDS_BETWEEN_LINES, SECONDS_TO_CONNECT = 10.0, 10.0
#: What a file from outside may hold at most, so that none takes all memory or hours; see `check_limit`.
LIMITS = {
    "bytes of a table": 1 << 25,
    "rows": 100_000,
    "columns": 5_000,
    "cells": 2_000_000,
    "letters in a cell": 2_000,
    "bytes of a description": 1 << 20,
    "voxels": 1 << 26,
}
# Read once: to read it means to set it, for all threads.
UMASK = os.umask(0)
os.umask(UMASK)


MARK = ".npcbook.json"  # in every folder that npcbook made, and may therefore remove
UNFINISHED = ".unfinished-"  # how the name of a file or folder begins that is being written
CHAPTERS = "notebooks/[0-9]*.py"  # by them a folder is known as the project
DATA = (("data", "runs"), ("data", "cohorts"))  # what lies below NPCBOOK_ROOT whatever that holds
CLUSTER = "NPCBOOK_CLUSTER"  # environment: the Dask scheduler whose workers share what `spread` does
PARENT = "NPCBOOK_PARENT"  # environment: the process whose end ends the one that it started


class Interrupted(KeyboardInterrupt):
    """The system asks the program to stop (SIGTERM)."""


def project_path(path: str | os.PathLike) -> Path:
    """Return `path` as an absolute path, a relative one being taken from the project's root.

    Chapters run from the root (papermill) and from ``notebooks/`` (JupyterLab) alike, so relative paths
    cannot be left to the working directory. ``NPCBOOK_ROOT`` overrides the root: runs and cohorts lie below
    it, and so does everything else if it holds the project; else that is read where the package lies.

    Parameters
    ----------
    path : str or path
        Absolute, or relative to the project's root.

    Returns
    -------
    pathlib.Path
        Absolute path; it need not exist.

    Raises
    ------
    ValueError
        If ``NPCBOOK_ROOT`` is set and empty: that would mean wherever the program was started.
    """
    root = root_folder()
    if Path(path).parts[:2] not in DATA and not any(root.glob(CHAPTERS)):
        root = PACKAGE.parent
    return (root / path).resolve()


def root_folder() -> Path:
    """Return the folder below which npcbook writes; ValueError if ``NPCBOOK_ROOT`` is set, but empty."""
    given = os.environ.get("NPCBOOK_ROOT", os.fspath(PACKAGE.parent))
    if not given.strip():
        raise ValueError("NPCBOOK_ROOT is set, but empty: unset it, or name the folder to work in.")
    return Path(given).resolve()


def check_root(*, make: bool) -> None:
    """Raise unless ``NPCBOOK_ROOT``, if set, is the project, or data that npcbook made; or `make` it such.

    Raises
    ------
    FileNotFoundError
        If it is neither; with `make`, a folder that is empty or not there becomes one.
    """
    root = root_folder()
    if any(root.glob(CHAPTERS)) or is_own(root / "data"):
        return
    if make and not (root.exists() and any(root.iterdir())):
        claim(root / "data", "npcbook")
        return
    raise FileNotFoundError(
        f"NPCBOOK_ROOT is {root}, which holds neither the project (notebooks/) nor data that npcbook "
        "made: name the project's folder, or, for book and simulate, a folder that is empty or not there yet."
    )


def claim(folder: Path, generator: str) -> None:
    """Make a folder and mark it as npcbook's own; one that holds anything already is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        mark = {"generator": generator, "id": uuid.uuid4().hex, "name": folder.name}
        (folder / MARK).write_text(json.dumps(mark) + "\n", "utf-8")


def is_own(folder: Path) -> bool:
    """Return whether npcbook made a folder: it bears a mark, and under its name (a copy is its owner's)."""
    try:
        mark = read_json(folder / MARK)
        return not folder.is_symlink() and mark["name"] == folder.name and len(mark["id"]) == 32
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def locked(path: str | os.PathLike, *, reading: bool = False, wait: bool = True):
    """Keep other processes from writing to a file or folder, or with `reading` only from changing it.

    Parameters
    ----------
    path : str or path
        What is written or read; the lock is ``.<name>.lock`` beside it, and goes with the process.
    reading : bool, default False
        Others may read meanwhile.
    wait : bool, default True
        Wait for another process, and say so in one sentence.

    Raises
    ------
    filelock.Timeout
        If another process has it and `wait` is false.
    """
    path, lock = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.ReadWriteLock(path.with_name(f".{path.name[:200]}.lock"))
        _acquire(lock.acquire_read if reading else lock.acquire_write, path, wait)
    except filelock.Timeout:
        raise
    except (OSError, sqlite3.Error) as error:
        # What lies where nobody may write can be read without a lock.
        if not reading:
            raise PermissionError(f"{path} cannot be written: {error}. Name another place.") from error
        lock = None
    try:
        if not reading:
            remove_unfinished(path)
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquire(acquire: Callable, path: Path, wait: bool) -> None:
    """Get a lock, asking once a second, so that a wait can be stopped."""
    said = False
    while True:
        try:
            acquire(timeout=1 if said else 0)
            return
        except filelock.Timeout:
            if not wait:
                raise
        if not said:
            sys.stderr.write(f"waiting for another process that uses {path} ...\n")
        said = True


def unfinished_prefix() -> str:
    """Return how the names of files begin that this process is writing."""
    return f"{UNFINISHED}{os.getpid()}-"


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that are no more left half written in a folder."""
    for path in folder.rglob(f"{UNFINISHED}*") if folder.is_dir() else ():
        process = path.name.removeprefix(UNFINISHED).partition("-")[0]
        if process.isdigit() and not _runs(int(process)):
            with suppress(PermissionError):  # the next process will
                remove(path)


def _runs(process: int) -> bool:
    """Return whether a process can still write: one that was killed may stay in the list for a while."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder with what is in it, if it is there; of a link, only the link.

    It is set aside first: what is held open on Windows cannot be, and so stays whole.

    Raises
    ------
    PermissionError
        If it, or what is in it, is held open for seconds.
    """
    if os.path.lexists(path):
        replace_path(path, aside := path.with_name(unfinished_prefix() + uuid.uuid4().hex[:8]))
        is_folder = aside.is_dir() and not aside.is_symlink()
        _insist(partial(shutil.rmtree, aside) if is_folder else aside.unlink, aside)


def replace_path(source: Path, target: Path) -> None:
    """Rename a file or folder, replacing `target`; on Windows one may be held open for a moment.

    Raises
    ------
    PermissionError
        If it cannot be replaced for seconds.
    """
    _insist(partial(source.replace, target), target if os.path.lexists(target) else source)


def _insist(change: Callable[[], object], path: Path) -> None:
    """Change a file or folder, trying for seconds if need be, or raise PermissionError."""
    for seconds in (0.1, 0.2, 0.4, 0.8, 1.6, None):
        try:
            change()
            return
        except (PermissionError, IsADirectoryError) as error:
            if seconds is None:
                said = f"{path} cannot be replaced or removed ({error.strerror}): close it where it is open"
                raise PermissionError(f"{said}, or move it away; then run the same command again.") from error
            time.sleep(seconds)


def check_limit(what: str, found: int, path: str | os.PathLike) -> None:
    """Raise ValueError if a file holds more than it may; ``NPCBOOK_LIMITS=4`` allows four times `LIMITS`.

    Parameters
    ----------
    what : str
        Key of `LIMITS`.
    found : int
        How much the file holds, or says it does.
    path : str or path
        The file.
    """
    factor = os.environ.get("NPCBOOK_LIMITS", "1")
    if not factor.isdecimal() or not int(factor):
        raise ValueError(f"NPCBOOK_LIMITS is {factor!r}; it must be a whole number such as 4.")
    if found > (most := LIMITS[what] * int(factor)):
        raise ValueError(
            f"{path} has {found:,} {what}, and at most {most:,} are read: is it the right file? If so, set "
            f"NPCBOOK_LIMITS={int(factor) * -(-found // most)} in the environment."
        )


def whole(text: str, decimal: str = ".") -> str:
    """Return a number as the integer that it is where its decimals are zeros (1.0, 1,00); else the text.

    Three zeros are decimals behind the table's decimal sign alone: behind the other, they are thousands.
    """
    return re.sub(rf"^([+-]?\d+)(?:[.,]00?|\{decimal}0+)$", r"\1", text)


def read_outside_text(path: str | os.PathLike, limit: str) -> str:
    """Read a text file that someone else wrote: a regular file, of limited size, in UTF-8, without controls.

    Parameters
    ----------
    path : str or path
        The file.
    limit : str
        Key of `LIMITS` for its size.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, or not such a file; the message names the file and the line.
    """
    path = Path(path)
    check_regular(path)
    check_limit(limit, path.stat().st_size, path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path} is not UTF-8 (line {line}): save it in that encoding.") from error
    if found := CONTROLS.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"{path} has a control character ({found[0]!r}, line {line}): remove it.")
    return text


def check_file_names(names: Iterable[str | os.PathLike]) -> None:
    """Raise ValueError for a name whose bytes are not UTF-8: neither ITK nor a text file can take it."""
    for name in map(os.fspath, names):
        if re.search("[\ud800-\udfff]", name):
            raise ValueError(f"The name {name!r} holds bytes that are not UTF-8: rename what is called so.")


def check_regular(path: Path) -> None:
    """Raise if there is no such file, or if it is a folder, a pipe or a device, not to be read whole."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no file {path}.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is no file but a folder, pipe or device: give a file.")


def read_json(path: str | os.PathLike) -> dict:
    """Read a description (JSON) that someone else wrote, or raise as `read_outside_text` does."""
    text = read_outside_text(path, "bytes of a description")
    try:
        content = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is not valid JSON: {reason}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, and an object {{…}} is needed.")
    return content


def _once_each(pairs: list[tuple[str, object]]) -> dict:
    """Return an object of names and values; of a name that stands twice, the last would count in silence."""
    if twice := [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]:
        raise ValueError(f"{twice[0]!r} stands twice in it")
    return dict(pairs)


#: Kinds of plain values that a name in YAML may be read as.
PLAIN = ("bool", "float", "int", "null", "str", "timestamp")


class StrictYaml(yaml.SafeLoader):
    """YAML in which a name stands once, and no reference stands for what may be more than memory holds."""

    def compose_node(self, parent, index):  # noqa: D102 (see `yaml.composer`)
        if self.check_event(yaml.AliasEvent):
            said = "a reference (*) stands here: write out what it means, or put quotes around a text"
            raise yaml.MarkedYAMLError(problem=said, problem_mark=self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node, deep=False):  # noqa: D102
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, KeyError) as error:  # 2020-13-45 is no date
            said = f"{node.value!r} cannot be read"
            raise yaml.MarkedYAMLError(problem=said, problem_mark=node.start_mark) from error

    def _as_read(self, key: yaml.Node) -> Hashable:
        plain = isinstance(key, yaml.ScalarNode) and key.tag.rpartition(":")[2] in PLAIN
        return self.construct_object(key) if plain else str(key.value)

    def compose_mapping_node(self, anchor):  # noqa: D102
        node = super().compose_mapping_node(anchor)
        # Nor names that are read alike: 1 and 1.0 are one, and so are yes and true.
        keys = [(key, str(key.value), self._as_read(key)) for key, _ in node.value]
        names = Counter(name for _, written, read in keys for name in {written, read})
        for key in (key for key, *forms in keys if max(map(names.get, forms)) > 1):
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        return node


# YAML would take 010 for eight and 1:30 for ninety.
DECIMAL = re.compile(r"[+-]?\d+")
StrictYaml.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: (int if DECIMAL.fullmatch(node.value) else str)(node.value)
)


@contextmanager
def atomic_path(path: str | os.PathLike, *, mode: int = 0o666):
    """Give a temporary path to write to, and rename it to `path` when the block ends without an error.

    Parameters
    ----------
    path : str or path
        Where the finished file belongs; its parent is made if missing.
    mode : int
        Who may read and write it, at no moment more than these; less what the umask forbids.

    Yields
    ------
    pathlib.Path
        Temporary path in the same folder, with the same suffixes (``.nii.gz`` stays whole).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=unfinished_prefix(), suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private.
        temporary.chmod(mode & ~UMASK)
        replace_path(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def spacious(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Return an array of zeros that lies in a file without a name, and may therefore be larger than memory.

    The file goes with the array. It lies where runs do, because a system's own place for such files is often
    memory again.
    """
    data = root_folder() / "data"
    with tempfile.TemporaryFile(dir=data if data.is_dir() else None) as file:
        return np.memmap(file, dtype, "w+", shape=shape).view(np.ndarray)


def end_with(parent: int) -> None:
    """End this process soon after the one that started it has ended, however that was."""

    def watch() -> None:
        # A parent that was killed and is not yet buried still exists by its number; on Windows the number of
        # the parent stays.
        while os.getppid() == parent and psutil.pid_exists(parent):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end_with").start()


def _started_by() -> int:
    """Return the number of the process that this one works for, 0 if it works for itself."""
    if (parent := multiprocessing.parent_process()) is not None:
        return parent.pid
    return os.getppid() if os.environ.get(PARENT) == str(os.getppid()) else 0


if parent_id := _started_by():
    end_with(parent_id)


def is_refusal(error: ValueError) -> bool:
    """Return whether an error was raised on purpose: it tells what is wrong with the input.

    Else it is arithmetic or a table gone wrong: an error in the program. Raised on purpose is what a
    ``raise`` of npcbook, a chapter or an estimator's library raised, not what numpy and pandas find wrong.
    """
    if isinstance(error, (np.linalg.LinAlgError, UnicodeError)):
        return True
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    source = linecache.getline(frame.f_code.co_filename, line).strip()
    module = frame.f_globals.get("__name__", "").split(".")[0]
    return source.startswith("raise") and module not in ("numpy", "pandas")


def fingerprint(*parts) -> str:
    """Return a short hash of values, independent of the order of dicts.

    Parameters
    ----------
    *parts
        Plain values, arrays, data frames, frozen dataclasses; a `Path` stands for the content of its file
        (or that there is none; a folder is a place, and counts for nothing), a function or class for its code
        and what it encloses.

    Raises
    ------
    ValueError
        For a lambda or a bound method: nothing tells one from another.
    """
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value):
    """Return what stands for a value in a fingerprint."""
    if isinstance(value, Path):
        return _digest(value) if value.is_file() else None
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if inspect.isroutine(value) or inspect.isclass(value):
        name = f"{value.__module__}.{value.__qualname__}"
        if name.endswith("<lambda>") or inspect.ismethod(value):
            raise ValueError(f"{name} cannot be told from another of its kind: give a function with a name.")
        enclosed = getattr(value, "__closure__", None) or ()
        return [name, code_fingerprint(value), [cell.cell_contents for cell in enclosed]]
    return joblib.hash(value)


def _digest(path: Path) -> str:
    """Return a hash of a file's content; of one that nobody has touched since, the hash of before."""
    state = path.stat()
    known = state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    # Two changes within the clock's step look like one.
    settled = time.time() - max(state.st_mtime, state.st_ctime) > 2
    return (_hash_file if settled else _hash_file.__wrapped__)(path, known)


@lru_cache(maxsize=100_000)
def _hash_file(path: Path, known: tuple) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_record(path: Path, record: Mapping) -> None:
    """Write plain values as JSON that carries the hash of its content, whole or not at all."""
    record = json.loads(json.dumps({k: v for k, v in record.items() if k != "hash"}, default=str))
    with atomic_path(path) as temporary:
        text = json.dumps(record | {"hash": fingerprint(record)}, indent=1, sort_keys=True)
        temporary.write_text(text + "\n", "utf-8")


def read_record(path: Path) -> dict:
    """Return what `write_record` wrote, without the hash; nothing, and a line that says so, if it changed."""
    try:
        check_regular(path)
        record = json.loads(path.read_text("utf-8"))
        if record.pop("hash") == fingerprint(record):
            return record
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    _say_changed(path)
    return {}


def write_sealed(path: Path, content: bytes) -> None:
    """Write bytes after their hash, in one file, which appears whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(hashlib.blake2b(content, digest_size=16).digest() + content)


def read_sealed(path: Path) -> bytes:
    """Return what `write_sealed` wrote; nothing, and a line that says so, if it changed."""
    stored = path.read_bytes() if path.is_file() else b""
    if hashlib.blake2b(stored[16:], digest_size=16).digest() == stored[:16]:
        return stored[16:]
    if path.exists():
        _say_changed(path)
    return b""


@cache
def _say_changed(path: Path) -> None:
    sys.stderr.write(f"{path} is damaged or was altered: it is made again.\n")


@cache
def package_versions() -> dict[str, str]:
    """Return the installed versions of `NUMERICAL_PACKAGES`."""
    return {package: version(package) for package in NUMERICAL_PACKAGES}


def files_fingerprint(paths: Iterable[Path], *, relative_to: Path) -> str:
    """Return a hash of the names and contents of files.

    Parameters
    ----------
    paths : iterable of path
        Files; order does not matter.
    relative_to : path
        Folder that names are taken from, so that a moved project keeps its fingerprints.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    return fingerprint([(str(path.relative_to(relative_to)), path) for path in sorted(paths)])


def imported_modules(source: str) -> set[str]:
    """Return the dotted names of the npcbook modules that Python source text imports.

    A name taken from a wing's face (``from npcbook.statistics import harrell_c``) counts as the module that
    it comes from, so that a chapter depends on what it uses and not on the whole wing.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npcbook":
            found |= {_module_of(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "npcbook"}
    return found


def _module_of(package: str, name: str) -> str:
    if _file(f"{package}.{name}").exists():
        return f"{package}.{name}"
    return f"{package}.{_face(package)[name]}" if name in _face(package) else package


def _file(module: str) -> Path:
    path = PACKAGE.parent / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _face(package: str) -> dict[str, str]:
    """Return the submodule of each name that a wing hands out, by the stub beside its ``__init__``."""
    stub = _file(package).with_suffix(".pyi")
    nodes = ast.parse(stub.read_text("utf-8")).body if stub.exists() else []
    return {alias.name: node.module for node in nodes for alias in node.names}


@cache
def _closure(modules: frozenset[str]) -> str:
    """Return a hash of modules together with every npcbook module they import, directly or not."""
    reached, waiting = set(), set(modules)
    while waiting:
        reached.add(module := waiting.pop())
        waiting |= imported_modules(_file(module).read_text("utf-8")) - reached
    files = {_file(module) for module in reached}
    # Tables that a wing reads count as its code.
    files |= {path for file in files for path in file.parent.iterdir() if path.suffix in (".csv", ".yml")}
    return files_fingerprint(files, relative_to=PACKAGE)


def code_fingerprint(*code) -> str:
    """Return a hash of code and of all npcbook code that it imports.

    Parameters
    ----------
    *code : str, function or class
        Dotted module names, or objects. One defined in a chapter stands for its own source, that of the
        chapter's functions which it calls, the plain values and tables that it names, and the library modules
        of everything else.

    Returns
    -------
    str
        Hexadecimal digest; it changes when any of that code does.
    """
    modules, sources, values, waiting = set(), {}, {}, list(code)
    while waiting:
        item = waiting.pop()
        item = item.func if isinstance(item, partial) else inspect.unwrap(item) if callable(item) else item
        module = item if isinstance(item, str) else getattr(item, "__module__", None) or ""
        if module.split(".")[0] == "npcbook":
            modules.add(module)
        elif module == "__main__" and item.__qualname__ not in sources:
            sources[item.__qualname__] = inspect.getsource(item)
            named = _named_in(item)
            waiting += filter(callable, named.values())
            values |= {name: value for name, value in named.items() if isinstance(value, VALUES)}
    return fingerprint(_closure(frozenset(modules)), sources, values)


def _named_in(function: Callable) -> dict:
    """Return what a chapter's function takes from its chapter, by name; its own variables are not meant."""
    known = getattr(function, "__globals__", {})
    tables = [symtable.symtable(inspect.getsource(function).strip(), "chapter", "exec")]
    for table in tables:
        tables += table.get_children()
    free = {symbol.get_name() for table in tables for symbol in table.get_symbols() if symbol.is_global()}
    return {name: known[name] for name in sorted(free & known.keys())}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


#: Characters without a meaning in text: NUL and the other controls but tab, line feed and carriage return.
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: What counts by its value where a chapter's function names it.
VALUES = (bool, int, float, str, tuple, list, dict, Path, np.ndarray, pd.DataFrame, pd.Series)
#: How a result is read and written, by the suffix of its file.
FORMATS = {
    ".csv": (
        partial(
            pd.read_csv,
            dtype={"patient_id": str, "center": str},
            keep_default_na=False,
            na_values=[""],
            # The default parser is wrong by a last bit in a third of all numbers.
            float_precision="round_trip",
        ),
        lambda path, table: table.to_csv(path, index=False),
    ),
    ".parquet": (pd.read_parquet, lambda path, table: table.to_parquet(path, index=False)),
    ".json": (lambda p: json.loads(p.read_bytes()), lambda p, it: p.write_text(json.dumps(it), "utf-8")),
    ".gz": (
        lambda path: json.loads(gzip.decompress(path.read_bytes())),
        lambda path, it: path.write_bytes(gzip.compress(json.dumps(it).encode(), mtime=0)),
    ),
    ".npz": (_read_npz, lambda path, arrays: np.savez_compressed(path, **arrays)),
}


def keep(
    path: str | os.PathLike,
    make: Callable,
    *arguments,
    read: Callable[[Path], object] | None = None,
    write: Callable[[Path, object], None] | None = None,
    **options,
):
    """Return ``make(*arguments, **options)``, made once and kept in a file while nothing it rests on changes.

    Parameters
    ----------
    path : str or path
        Where the result is kept: ``.csv`` or ``.parquet`` (data frame), ``.npz`` (dict of arrays), ``.json``
        or ``.json.gz`` (plain values), or anything else with `read` and `write`.
    make : callable
        Makes the result; its code, and the npcbook code that this imports, counts as something it rests on.
    *arguments, **options
        What `make` is given; a `Path` counts by the content of its file.
    read, write : callable, optional
        From the path to the result, and from path and result to the file.

    Returns
    -------
    object
        The result as read back from the file, whether it was made now or before.

    Notes
    -----
    Beside the file lies ``<name>.key``: what the result rests on (code, arguments, versions of
    `NUMERICAL_PACKAGES`) and the hash of the file's content. A file that was cut, altered or made otherwise
    is made again, with a line that names it. Both appear whole or not at all, so that work may be stopped at
    any time.
    """
    path = Path(path)
    reader, writer = (read, write) if read and write else FORMATS[path.suffix]
    key = fingerprint(make, arguments, options, package_versions())
    if not is_kept(path, key):
        if path.exists() and read_record(_stamp(path)).get("key") == key:
            _say_changed(path)
        made = make(*arguments, **options)
        with atomic_path(path) as temporary:
            writer(temporary, made)
        stamp(path, key)
    return reader(path)


def stamp(path: str | os.PathLike, key: str) -> None:
    """Note beside a finished file or folder under which key it was made, and the hash of every file in it."""
    path = Path(path)
    write_record(_stamp(path), {"key": key, "files": _contents(path)})


def is_kept(path: str | os.PathLike, key: str | None = None) -> bool:
    """Return whether a file or folder is as it was when stamped, and made under `key` if that is given."""
    path = Path(path)
    if not (path.exists() and _stamp(path).is_file()):
        return False
    stored = read_record(_stamp(path))
    return key in (None, stored.get("key")) and stored.get("files") == _contents(path)


def check_kept(path: str | os.PathLike) -> dict[str, str]:
    """Return of every file of a stamped file or folder whether it is as it was.

    Returns
    -------
    dict
        By name within the folder (a file alone: its own): ``ok``, ``damaged`` (or altered), ``missing``, or
        ``added``; and by the name of the stamp ``damaged`` or ``missing`` if nothing can be told.
    """
    path = Path(path)
    stored, found = read_record(_stamp(path)).get("files"), _contents(path)
    if not isinstance(stored, dict):
        return {_stamp(path).name: "damaged" if _stamp(path).exists() else "missing"}
    said = {name: "ok" if found.get(name) == digest else "damaged" for name, digest in stored.items()}
    said |= dict.fromkeys(stored.keys() - found.keys(), "missing")
    return dict(sorted((said | dict.fromkeys(found.keys() - stored.keys(), "added")).items()))


def _contents(path: Path) -> dict[str, str]:
    """Return the hashes of a file, or of the files of a folder, by name; hidden ones are only passing."""
    if not path.is_dir():
        return {path.name: _digest(path)} if path.is_file() else {}
    names = [str(item.relative_to(path)) for item in path.rglob("*") if item.is_file()]
    return {name: _digest(path / name) for name in names if not Path(name).name.startswith(".")}


def _stamp(path: Path) -> Path:
    return path.with_name(f"{path.name}.key")


def progress(items: Iterable, *, total: int, description: str) -> Iterable:
    """Yield the items, reporting progress on standard error at most every ten seconds.

    Each report is a line of its own: logs and notebooks keep lines, not redrawn bars.

    Parameters
    ----------
    items : iterable
        Work to do, or results as they arrive.
    total : int
        How many there will be.
    description : str
        What is being done, such as ``"N4 of 1072 patients"``.

    Yields
    ------
    object
        Each item.
    """
    yield from tqdm(
        items,
        total=total,
        desc=description,
        mininterval=SECONDS_BETWEEN_LINES,
        # Short work finishes without a line.
        delay=SECONDS_BETWEEN_LINES,
        file=_Lines(),
        bar_format="{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left",
        leave=False,
    )


class _Lines:
    """Standard error with every redraw of a bar turned into a line of its own."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n \x1b[A")
        if line:
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def spread(function: Callable, jobs: Sequence[tuple], *, description: str = "", **options) -> Iterator:
    """Yield ``function(*job)`` for every job, in their order, computed side by side.

    Everything that goes through patients or resamples one by one is shared out here: to processes of this
    computer, or, inside `cluster`, to the workers of a Dask cluster.

    Parameters
    ----------
    function : callable
        Depends on nothing but its arguments and files, so that it does not matter where it runs, nor that it
        runs again where a worker was lost.
    jobs : sequence of tuple
        Arguments, one tuple a call.
    description : str
        Reports `progress` under this name; none if empty.
    **options
        Of `joblib.Parallel`, for processes of this computer; ``n_jobs`` is one a core if not given.

    Yields
    ------
    object
        Each result.
    """
    if address := os.environ.get(CLUSTER):
        done = _on_cluster(address, function, jobs)
    else:
        run = joblib.Parallel(**{"n_jobs": -1, "return_as": "generator"} | options)
        done = run(joblib.delayed(function)(*job) for job in jobs)
    yield from progress(done, total=len(jobs), description=description) if description else done


def _on_cluster(address: str, function: Callable, jobs: Sequence[tuple]) -> Iterator:
    """Yield results in order; of what waits or is done, only as much is held as keeps the workers busy."""
    client, waiting = _client(address), deque()
    for job in jobs:
        waiting.append(client.submit(_single_threaded, function, *job, pure=False))
        if len(waiting) > 4 * sum(client.nthreads().values()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _single_threaded(function: Callable, *job):
    if torch := sys.modules.get("torch"):
        # A new thread sets its number of threads when first asked: before the limit, then.
        torch.get_num_threads()
    with threadpool_limits(1):
        return function(*job)


@cache
def _client(address: str):
    from distributed import Client

    try:
        if not re.fullmatch(r"(?!local:)(\w+://)?[^/\s:]+:\d+", address):
            raise ValueError(address)
        return Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No Dask scheduler answers at {address!r}: give its address, such as tcp://10.0.0.1:8786, or "
            "local:N for N processes of this computer."
        ) from error


@contextmanager
def cluster(place: str | None):
    """Let `spread` share work out to a Dask cluster, also in processes that are started meanwhile.

    Parameters
    ----------
    place : str, optional
        Address of a scheduler, or ``local:N``: N processes of this computer, which end with the block. None
        changes nothing.

    Raises
    ------
    ValueError
        If nothing answers there, or if workers have another version of npcbook or of a package that numbers
        depend on, or do not see the folder that npcbook writes to.
    """
    with ExitStack() as stack:
        if place:
            kind, _, number = place.partition(":")
            if kind == "local" and number.isdecimal() and 0 < int(number) <= 256:
                place = _start_workers(int(number), stack)
            _check_workers(place)
            os.environ[CLUSTER] = place
            stack.callback(os.environ.pop, CLUSTER, None)
            stack.callback(_client.cache_clear)
            stack.callback(_client(place).close)
        yield


def _start_workers(number: int, stack: ExitStack) -> str:
    import dask
    from distributed import LocalCluster

    # Dask would set numbers of threads in this process, for whatever it starts later.
    with dask.config.set({"distributed.nanny.pre-spawn-environ": {}}):
        size = {"n_workers": number, "threads_per_worker": 1, "memory_limit": None}
        return stack.enter_context(LocalCluster(**size, dashboard_address=None)).scheduler_address


def _check_workers(address: str) -> None:
    root = os.fspath(root_folder())
    found = _client(address).run(_standing, root, on_error="return")
    other = sum(standing != _standing(root) for standing in found.values())
    if other or not found:
        raise ValueError(
            f"Of {len(found)} workers at {address}, {other} have another npcbook or other packages, or do "
            f"not see {root}: start workers in the same environment, on a file system that all share."
        )


def _standing(root: str) -> tuple:
    """Return what must be the same on a worker for its results to be the same."""
    code = files_fingerprint(PACKAGE.rglob("*.py"), relative_to=PACKAGE)
    return code, package_versions(), Path(root).is_dir()
