"""A reader's own designs, loaded from a Python file."""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm


def designs_in(path: Path) -> dict[str, type[Kvm]]:
    """The designs that a Python file defines, by class name, in the order of the file.

    Executes the file. Raises InputError, with the line, for a file that cannot be read or run, or that
    defines no design.
    """
    name = printable(path, 200)
    module_name = f"vmxsim_own_{abs(hash(path.resolve()))}"
    spec = spec_from_file_location(module_name, path)
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise InputError("expected a Python file (.py)", name)
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", name) from None
    except SyntaxError as error:
        raise InputError(f"not valid Python: {error.msg}", f"{name}:{error.lineno or 1}") from None
    except (Exception, SystemExit) as error:  # whatever the reader's file does when it runs
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == spec.origin]
        where = f"{name}:{lines[-1]}" if lines else name
        raise InputError(f"{type(error).__name__}: {printable(error, 500)}", where) from None
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Kvm) and value.__module__ == module_name
    }
    if not found:
        raise InputError(
            "defines no design; expected a subclass of one, such as 'class Mine(NeverTrap): ...'", name
        )
    return found


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
