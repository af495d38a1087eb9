"""``freelane completion``: the script that makes a shell complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print a completion script: eval "$(freelane completion bash)" in ~/.bashrc, or as the shell wants it."""
    from freelane.cli.main import make_group

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(make_group(), {}, "freelane", "_FREELANE_COMPLETE").source())
    return 0
