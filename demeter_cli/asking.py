"""Ask before what cannot be undone."""

from __future__ import annotations

import sys

import typer

from demeter_cli.language import _


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees, or said `--yes` beforehand."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(_("no terminal to ask at: say --yes, or --dry-run"), param_hint="--yes")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:  # Typer's word for Ctrl-C and the end of input
        raise KeyboardInterrupt from None
    if not agreed:
        raise typer.Exit(0)
