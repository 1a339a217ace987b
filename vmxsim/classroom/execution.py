"""Running a student's notebook to its end, whatever is in it: no cell and no notebook for ever."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.notebooknode import NotebookNode
from nbgrader.converters import Autograde  # type: ignore[import-untyped]
from nbgrader.preprocessors import Execute  # type: ignore[import-untyped]
from traitlets import Float

from vmxsim.errors import printable

#: What a cell's error is called where it could not be run.
NOT_RUN = "NotRun"


class LimitedExecute(Execute):
    """Gives up a notebook after ``seconds``, and outlives the death of its kernel: the cells that
    could not be run hold an error that says why, and so count as failed."""

    seconds = Float(240.0).tag(config=True)
    #: Why no kernel could be started, which no notebook can help; '' if one could.
    no_kernel: ClassVar[str] = ""

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> Any:
        """Run all cells."""
        self._end, self._why, self._reached = time.monotonic() + self.seconds, "", False
        try:
            return super().preprocess(nb, resources, km)
        except Exception as error:
            if not self._reached:
                type(self).no_kernel = f"{type(error).__name__}: {printable(error, 200)}"
            raise

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:
        """Run one cell, or say in it why not."""
        self._reached = True
        if not self._why and time.monotonic() > self._end:
            self._why = f"the notebook ran for more than {self.seconds:g} seconds"
        if not self._why:
            try:
                return super().preprocess_cell(cell, resources, index)
            except CellTimeoutError:
                self._why = "it took too long, and could not be interrupted: an endless loop?"
            except DeadKernelError:
                self._why = "the kernel died: memory, or the notebook ended it"
        if cell.cell_type == "code":
            cell.outputs.append(_not_run(self._why))
        return cell, resources


_node: Any = NotebookNode  # it has no types


def _not_run(why: str) -> Any:
    return _node(output_type="error", ename=NOT_RUN, evalue=why, traceback=[why])


def limited_autograde(**arguments: Any) -> Autograde:
    """nbgrader's autograding with :class:`LimitedExecute`."""
    converter = Autograde(**arguments)
    converter.autograde_preprocessors = [
        LimitedExecute if preprocessor is Execute else preprocessor
        for preprocessor in converter.autograde_preprocessors
    ]
    return converter
