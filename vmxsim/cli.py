"""The command line.

Exit status: 0 fine, 1 a violation or an unmet expectation, 2 bad input, 3 nothing could be
concluded. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
from errno import EBADF
from importlib import import_module

import click

from vmxsim.commands.common import BAD_INPUT, FAULT, INCONCLUSIVE, INTERRUPTED, complain
from vmxsim.commands.streams import prepare_streams
from vmxsim.errors import InputError, NotUnderstoodError, printable, unknown

#: The commands; ``run`` is ``run_command`` in :mod:`vmxsim.commands.run`, and so on.
_COMMANDS = (
    "lab", "designs", "show", "run", "check", "compare", "why", "cost", "review", "export", "replay", "new",
    "labs",
)  # fmt: skip


class _Commands(click.Group):
    """Loads a command when it is used, so that ``vmxsim --help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(import_module(f"vmxsim.commands.{name}"), f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            raise unknown("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.version_option(package_name="vmxsim")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """How KVM on Intel VMX keeps MSR_KERNEL_GS_BASE right: run it, see it, check it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    prepare_streams()
    if not os.environ.get("COLUMNS", "1").strip("0"):  # zero columns: as if it were not set
        del os.environ["COLUMNS"]
    sys.exit(_flushed(_status(args)))


def _status(args: list[str] | None) -> int:
    try:
        status = commands.main(args=args, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except NotUnderstoodError as error:
        complain(error)
        return INCONCLUSIVE
    except InputError as error:
        return complain(error)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vmxsim"
        print(f"{command}: {printable(' '.join(error.format_message().split()), 2000)}", file=sys.stderr)
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt) as end:
        done = str(end.__cause__ or end)  # click's own has the interrupt as its cause
        print(f"vmxsim: interrupted{f': {done}' if done else ''}", file=sys.stderr)
        return INTERRUPTED
    except MemoryError:
        print("vmxsim: out of memory: nothing can be concluded", file=sys.stderr)
        return INCONCLUSIVE
    except OSError as error:
        return _cannot_write(error)
    except Exception as error:
        if os.environ.get("VMXSIM_DEBUG"):
            raise
        what = printable(f"{type(error).__name__}: {error}", 500)
        print(f"vmxsim: this is a bug in vmxsim: {what} (VMXSIM_DEBUG=1 shows where)", file=sys.stderr)
        return FAULT


def _flushed(status: int) -> int:
    """The status, or that of an output that cannot be written."""
    try:
        sys.stdout.flush()
        return status
    except OSError as error:
        return _cannot_write(error)


def _cannot_write(error: OSError) -> int:
    why = "it is closed" if error.errno == EBADF else error.strerror or error
    print(f"vmxsim: cannot write the output: {why}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    main()
