"""The command line.

Exit status: 0 fine, 1 a violation or an unmet expectation, 2 bad input, 3 nothing could
be concluded. What a program reads goes to standard output, the rest to standard error.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from vmxsim.commands.common import BAD_INPUT, FAULT, complain
from vmxsim.errors import InputError, nearest, printable

#: Each command, and the module and name to load when it is asked for.
_COMMANDS = {
    "lab": ("vmxsim.commands.lab", "lab_command"),
    "designs": ("vmxsim.commands.designs", "designs_command"),
    "run": ("vmxsim.commands.run", "run_command"),
    "check": ("vmxsim.commands.check", "check_command"),
    "compare": ("vmxsim.commands.run", "compare_command"),
    "why": ("vmxsim.commands.why", "why_command"),
    "export": ("vmxsim.commands.export", "export_command"),
    "cost": ("vmxsim.commands.designs", "cost_command"),
    "replay": ("vmxsim.commands.replay", "replay"),
    "labs": ("vmxsim.commands.labs", "labs_command"),
}


class _Commands(click.Group):
    """Commands are loaded when used, so that ``vmxsim --help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            known = ", ".join(_COMMANDS)
            raise InputError(
                f"no command '{printable(args[0])}'; the commands are {known}{nearest(args[0], _COMMANDS)}"
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.version_option(package_name="vmxsim")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """How KVM on Intel VMX keeps MSR_KERNEL_GS_BASE right: run it, see it, compare it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(_status(args))


def _status(args: list[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character that the locale lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        status = commands.main(args=args, standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except InputError as error:
        return complain(error)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vmxsim"
        print(f"{command}: {printable(' '.join(error.format_message().split()), 2000)}", file=sys.stderr)
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        print("vmxsim: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"vmxsim: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except Exception as error:
        if os.environ.get("VMXSIM_DEBUG"):
            raise
        what = printable(f"{type(error).__name__}: {error}", 500)
        print(f"vmxsim: a fault of vmxsim itself: {what} (VMXSIM_DEBUG=1 shows where)", file=sys.stderr)
        return FAULT


if __name__ == "__main__":
    main()
