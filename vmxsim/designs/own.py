"""A reader's own designs, loaded from a Python file.

Loading executes the file twice. So that it cannot hang, exhaust the memory or end the program, a child
process loads it first, within :data:`SECONDS` and :data:`MEMORY`; only if that succeeds, this one does. The
second time is for a file that does the same again. A loop that has no end then is ended by an alarm, in the
main thread; nothing guards against one in another thread, a huge number or ``os._exit()``, nor does anything
the first time where there is no ``os.fork()`` (Windows, a browser).
"""

from __future__ import annotations

import json
import linecache
import os
import signal
import stat
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from types import ModuleType

from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm

#: How long a file may take to load, and by how many bytes the process may grow.
SECONDS, MEMORY = 10.0, 2 << 30
#: The largest file that is read, in bytes.
MOST = 1 << 20


def designs_in(path: Path) -> dict[str, type[Kvm]]:
    """The designs that a Python file defines, by class name, in the order of the file.

    Executes the file, first in a child process. Raises InputError, with the line, for a file that cannot
    be read or run, that does not come to an end, or that defines no design.
    """
    name = printable(path, 200)
    source = _read(path, name)
    _try_in_child(path, source)
    try:
        with _alarm():
            return _execute(path, source)
    except _OutOfTimeError:
        raise InputError(
            f"does not come to an end: loaded a second time, it takes more than {SECONDS:g} seconds", name
        ) from None


class _OutOfTimeError(BaseException):
    """The alarm's: no ``except Exception`` in the file catches it."""


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise _OutOfTimeError in the block after :data:`SECONDS`, where a signal can: in the main thread of a
    system that has them, unless another alarm is set."""
    here = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if not here or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def ring(*_: object) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)  # again each second: the file may catch the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)


def _read(path: Path, name: str) -> bytes:
    try:
        found = path.stat()
        if path.suffix != ".py" or not stat.S_ISREG(found.st_mode):
            raise InputError("expected a Python file (.py)", name)
        if found.st_size > MOST:
            raise InputError(f"is too long for a design: {found.st_size:,} bytes, at most {MOST:,}", name)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", name) from None


def _execute(path: Path, source: bytes) -> dict[str, type[Kvm]]:
    """Run the file's text as a module and collect the designs that it defines."""
    name, file = printable(path, 200), str(path)
    module = ModuleType(f"vmxsim_own_{abs(hash(path.resolve()))}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    linecache.cache.pop(file, None)  # the kernel functions are compiled from the text as it is now
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except InputError:
        raise
    except SyntaxError as error:
        raise InputError(f"not valid Python: {error.msg}", f"{name}:{error.lineno or 1}") from None
    except (Exception, SystemExit) as error:  # whatever the reader's file does when it runs
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == file]
        raise InputError(_told(error), f"{name}:{lines[-1]}" if lines else name) from None
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Kvm) and value.__module__ == module.__name__
    }
    for design in found.values():
        _refuse_changed(design, name)
    if not found:
        raise InputError(
            "defines no design; expected a subclass of one, such as 'class Mine(NeverTrap): ...'", name
        )
    return found


def _refuse_changed(design: type[Kvm], where: str) -> None:
    """Kernel code is compiled when its class is defined: what changes below would be ignored."""
    for function in design.code():
        python = function.python
        for name, value in function.uses.items():
            now = value if name in python.__code__.co_freevars else python.__globals__.get(name, value)
            if now is not value and now != value:
                user = f"{function.name}(), which uses it"
                raise InputError(f"'{name}' changes below {user}: define it once, above the class", where)


def _told(error: BaseException) -> str:
    text = printable(error, 500)
    if isinstance(error, MemoryError) and not text:
        text = "it needs too much memory"
    return f"{type(error).__name__}: {text}"


def _try_in_child(path: Path, source: bytes) -> None:
    """Load the file in a child process. Raises InputError if that fails, takes too long, or ends Python."""
    name = printable(path, 200)
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child does not need them
        try:
            child = os.fork()
        except (AttributeError, OSError):
            os.close(reads)
            os.close(writes)
            return
    if not child:
        _in_child(path, source, writes)
    os.close(writes)
    try:
        told = _answer(reads)
    finally:
        os.close(reads)
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # with whatever the file has started
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if told is None:
        raise InputError(f"does not come to an end: it was given {SECONDS:g} seconds to load", name)
    if not told:
        raise InputError("ends Python while it is loaded, as os._exit() does", name)
    try:
        refused = json.loads(told)
        message, where = ("", "") if refused is None else map(str, refused)
    except (TypeError, ValueError):
        raise InputError("writes into a pipe that is not its own while it is loaded", name) from None
    if message:
        raise InputError(message, where)


def _in_child(path: Path, source: bytes, writes: int) -> None:
    """Load the file, write down how that went, and end."""
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        sys.stdout = sys.stderr = os.fdopen(nothing, "w")  # a notebook's are not the standard ones
        limit_memory()
        try:
            _execute(path, source)
            refused = None
        except InputError as error:
            refused = (error.message, error.where)
        except BaseException as error:
            refused = (_told(error), printable(path, 200))
        os.write(writes, json.dumps(refused).encode())
    finally:
        os._exit(0)


def limit_memory() -> None:
    """Bound the child's memory, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))


def _answer(reads: int) -> bytes | None:
    """What the child wrote, None if it is not done in time."""
    told, until = b"", time.monotonic() + SECONDS
    while select([reads], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(reads, 1 << 16)
        if not part:
            return told
        told += part
    return None


def design_in(path: Path, name: str) -> type[Kvm]:
    """One design of a file. ``name`` may be '' if the file defines only one.

    Raises InputError as :func:`designs_in` does, and for a name that the file does not define.
    """
    found = designs_in(path)
    if name in found:
        return found[name]
    if not name and len(found) == 1:
        return next(iter(found.values()))
    known = ", ".join(found)
    if not name:
        raise InputError(f"defines several designs ({known}): write {path.name}:NAME", printable(path, 200))
    raise unknown("design", name, found, path)


def design_of_file(text: str) -> type[Kvm]:
    """The design that ``FILE.py`` or ``FILE.py:NAME`` names. Raises InputError as :func:`design_in` does."""
    file, _, name = text.rpartition(":")
    return design_in(Path(file), name) if file.endswith(".py") else design_in(Path(text), "")
