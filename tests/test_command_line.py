"""The command line: every command's help, what completes, what a start imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from server.__main__ import main

ROOT = Path(__file__).resolve().parent.parent


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def test_every_command_says_what_it_does_in_a_line_that_fits() -> None:
    for words, command in commands(main):
        short = command.get_short_help_str(60)
        assert short, words
        assert not short.endswith("..."), (words, short)


def completed(words: str) -> list[str]:
    """What the shell is offered after these words."""
    asked = {"_EVENKEEL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = CliRunner(env=asked).invoke(main, prog_name="evenkeel")
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert completed("evenkeel in") == ["incident"]
    assert completed("evenkeel slo b") == ["backtest", "budget"]
    assert completed("evenkeel config set --re") == ["--reason"]
    assert completed("evenkeel gate --reason p") == ["p0"]


def test_a_command_imports_no_other() -> None:
    """Completion and `gate` in a pipeline start quickly: nothing of another command, no event loop, no tables."""
    script = (
        "import sys; sys.argv = ['evenkeel', 'gate', '--help']\n"
        "from server.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    assert "server.gate.command" in loaded
    assert not {"asyncio", "rich", "msgspec", "server.import_command", "server.drill.run"} & set(loaded)
