"""demeter schedule: let it run by itself."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


class Scheduler(StrEnum):
    CRON = "cron"
    SYSTEMD = "systemd"


@app.callback()
def schedule() -> None:
    """Let Demeter run by itself, every night.

    Example: demeter schedule print cron
    """


@app.command("print")
def print_schedule(
    ctx: typer.Context,
    scheduler: Annotated[Scheduler, typer.Argument(help="What starts it.")],
    photos: Annotated[Path, typer.Option("--photos", help="The folder in which new photos arrive.")] = Path(
        "/srv/photos"
    ),
    run_as: Annotated[
        str | None, typer.Option("--run-as", metavar="LOGIN", help="The system user (default: who asks).")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write files into this folder instead.")
    ] = None,
) -> None:
    """Print the units that count new photos every night, look after the database and back it up.

    Paths, user and data folder are this machine's. Nothing is switched on; the lines at the end say how.

    Example: demeter schedule print systemd --photos /srv/photos
    """
    from demeter_cli import output, scheduling
    from demeter_cli.settings import load_settings

    machine = scheduling.here(load_settings(ctx.obj).data_dir, photos, run_as, ctx.obj)
    if scheduler is Scheduler.CRON:
        units, folder = [scheduling.cron(machine)], Path("/etc/cron.d")
    else:
        units, folder = scheduling.systemd(machine), Path("/etc/systemd/system")
    for unit in units:
        if output_dir is not None:
            output.save_text(unit.text, output_dir / unit.name)
        elif len(units) > 1:
            output.save_text(f"# --- {folder / unit.name}\n{unit.text}\n", None)
        else:
            output.save_text(unit.text, None)
    output.tell(_next(scheduler, output_dir))


def _next(scheduler: Scheduler, output_dir: Path | None) -> str:
    where = "them" if output_dir else "each part"
    if scheduler is Scheduler.CRON:
        return "Put it into /etc/cron.d/demeter, owned by root, mode 0644."
    return (
        f"Put {where} into /etc/systemd/system, then: systemctl daemon-reload && "
        "systemctl enable --now demeter.timer demeter-maintain.timer demeter-backup.timer"
    )
