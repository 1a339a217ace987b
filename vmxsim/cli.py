"""The command line.

Exit status: 0 fine, 1 a violation or an unmet expectation, 2 bad input, 3 nothing could be
concluded. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import codecs
import os
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from vmxsim.commands.common import BAD_INPUT, FAULT, complain
from vmxsim.errors import InputError, printable, unknown

#: The commands; ``run`` is ``run_command`` in :mod:`vmxsim.commands.run`, and so on.
_COMMANDS = (
    "lab", "designs", "show", "run", "check", "compare", "why", "cost", "export", "replay", "new", "labs",
)  # fmt: skip

#: What a terminal without Unicode gets instead.
_PLAIN = {
    "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "·": "-", "→": "->", "←": "<-",
    "×": "x", "✖": "x", "✕": "x", "✔": "ok", "★": "*", "≠": "!=", "▼": "v", "↑": "^", "▷": ">", "\xa0": " ",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace a character that the stream's encoding lacks; for :func:`codecs.register_error`."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("unicode_escape").decode() for c in lost), error.end


codecs.register_error("vmxsim.plain", _plain)


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
    sys.exit(_status(args))


def _status(args: list[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="vmxsim.plain")
    if not os.environ.get("COLUMNS", "1").strip("0"):  # zero columns: as if it were not set
        del os.environ["COLUMNS"]
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
        # the reader of our output is gone: there is nothing left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"vmxsim: cannot write the output: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except Exception as error:
        if os.environ.get("VMXSIM_DEBUG"):
            raise
        what = printable(f"{type(error).__name__}: {error}", 500)
        print(f"vmxsim: this is a bug in vmxsim: {what} (VMXSIM_DEBUG=1 shows where)", file=sys.stderr)
        return FAULT


if __name__ == "__main__":
    main()
