"""demeter watch: count photos as they arrive in a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.language import _

if TYPE_CHECKING:
    from demeter_cli.arriving import Arrivals
    from demeter_cli.settings import Settings

LONGEST_PAUSE = 300.0  # seconds between tries while the database or the store is away


def watch(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where photos arrive; sub-folders count too.")],
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds between looks (default: the setting watch_interval)."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Wait until files are whole, count them, and end (for cron).")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes.")] = None,
) -> None:
    """Count and book photos as they arrive in FOLDER, until stopped.

    It looks at names, sizes and times only, so it works on network shares. A file is taken when neither its
    size nor its time has changed for the seconds of the setting watch_stable; one that is still arriving is
    looked at again, as often as it takes. Nothing in the folder is changed unless rejected_dir is set. A
    database, a store or a folder that is away for a while is waited for.

    Example: demeter watch /srv/photos
    """
    from demeter_cli import output
    from demeter_cli.arriving import Arrivals
    from demeter_cli.settings import load_settings

    settings = load_settings(ctx.obj)
    if not folder.is_dir():
        raise typer.BadParameter(_("{folder} is no folder").format(folder=folder), param_hint="FOLDER")
    arrivals = Arrivals(folder, settings.watch_stable)
    pause = interval if interval is not None else settings.watch_interval
    worst, away = 0, 0.0
    output.tell(_("Watching {folder}; stop with Ctrl-C.").format(folder=folder))
    while True:
        ready = arrivals.look(time.monotonic())
        if ready:
            code = _count(settings, arrivals, ready, workers)
            away = 0.0 if code is not None else min(LONGEST_PAUSE, max(2 * away, pause))
            worst = max(worst, code or 0)
        if once and not arrivals.waiting and not away:
            raise typer.Exit(worst)
        time.sleep(max(away, pause))


def _count(settings: Settings, arrivals: Arrivals, ready: list[Path], workers: int | None) -> int | None:
    """The exit code of a run over these files; None if something was away, so that they are tried again."""
    import logging

    from db.errors import Busy, DatabaseError
    from demeter_cli.commands.process import Asked, How, process_photos
    from demeter_cli.formats import Format
    from demeter_cli.watching import watching
    from pipeline.errors import NoPhotos, StorageError

    how = How(workers, dry_run=False, accept=False, wait=0.0, quiet=True, output_format=Format.TABLE)
    try:
        with watching(settings, "watch") as watcher:
            code = process_photos(settings, watcher, Asked(tuple(map(str, ready))), how)
    except NoPhotos:  # they went away again
        code = 0
    except (Busy, DatabaseError, StorageError) as error:
        log = logging.getLogger("demeter")
        log.log(logging.DEBUG if arrivals.told else logging.WARNING, "%s; it is tried again", error)
        arrivals.told = True
        return None
    arrivals.told = False
    arrivals.done(ready)
    return 0 if code == ExitCode.OK else code
