"""The `demeter` command."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from demeter_cli.booking import SignedCommand
from demeter_cli.commands import (
    audit_log,
    catalog,
    count,
    database,
    doctor,
    drawing,
    estimate,
    explain,
    imports,
    ingest,
    ledger,
    model,
    period,
    photos,
    places,
    prices,
    process,
    reconcile,
    recount,
    report,
    reports,
    runs,
    schedule,
    seed,
    settings,
    stock,
    storage,
    users,
    watch,
    work,
)
from demeter_cli.completing import complete_codes
from demeter_cli.terminal import fit_streams
from pipeline.words import Sentence

log = logging.getLogger("demeter")


class DemeterGroup(TyperGroup):
    """Turns a known error into one line on stderr and its exit code; lets the shell complete codes."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        complete_codes(self)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from demeter_cli import language
        from demeter_cli.environment import language_wanted

        language.use(language_wanted(None))  # `--config` may say otherwise; for help it comes too late
        if language.chosen() != "en":
            from demeter_cli.helping import translate_help

            translate_help(self)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _interrupted() from None
        except BrokenPipeError:
            # The reader (head, less) has seen enough. Python would complain again when it closes stdout.
            sys.stdout = None
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except tuple(_known_errors()) as error:
            from demeter_cli.errors import exit_code, while_interrupted

            if while_interrupted(error):
                raise _interrupted() from None
            log.error("%s", error, exc_info=log.isEnabledFor(logging.DEBUG))
            raise typer.Exit(int(exit_code(error) or 1)) from None


# A person, cron, systemd or docker, and a connection that is lost. All end a command in the same way.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(_number: int, _frame: object) -> None:
    """Once: a second signal would cut short what the first began, and leave workers or a server behind."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _interrupted() -> typer.Exit:
    log.error("%s", Sentence("interrupted; run the same command again to finish the rest"))
    return typer.Exit(130)


def _known_errors() -> list[type[BaseException]]:
    from demeter_cli.errors import EXIT_CODES

    return list(EXIT_CODES)


app = typer.Typer(
    name="demeter",
    cls=DemeterGroup,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("count")(count.count)
app.command("ingest")(ingest.ingest)
app.command("process")(process.process)
app.command("watch")(watch.watch)
app.command("estimate")(estimate.estimate)
app.command("reconcile")(reconcile.reconcile)
app.add_typer(report.app, name="report")
report.app.command("list")(reports.list_reports)
report.app.command("summary")(reports.summary)
report.app.command("trend")(reports.trend)
report.app.command("mortality")(reports.mortality)
report.app.command("stale")(reports.stale)
report.app.command("photos")(reports.photos)
app.add_typer(stock.app, name="stock")
stock.app.command("count", cls=SignedCommand)(recount.count)
stock.app.command("uncount")(recount.uncount)
stock.app.command("list")(ledger.list_movements)
stock.app.command("import")(ledger.import_movements)
stock.app.command("verify")(ledger.verify)
stock.app.command("show")(explain.show)
app.command("explain")(explain.explain)
app.add_typer(photos.app, name="photos")
photos.app.command("show")(work.show)
photos.app.command("assign")(work.assign)
photos.app.command("configure")(work.configure)
photos.app.command("retry")(work.retry)
photos.app.command("discard")(work.discard)
photos.app.command("draw")(drawing.draw)
app.add_typer(period.app, name="period")
app.add_typer(runs.app, name="runs")
app.command("seed")(seed.seed)
app.add_typer(model.app, name="model")
app.add_typer(catalog.app, name="catalog")
app.add_typer(prices.app, name="prices")
app.add_typer(imports.app, name="import")
app.add_typer(settings.app, name="settings")
app.add_typer(places.app, name="places")
app.add_typer(users.app, name="users")
app.command("audit-log")(audit_log.audit_log)
app.add_typer(storage.app, name="storage")
app.add_typer(database.app, name="db")
app.command("doctor")(doctor.doctor)
app.add_typer(schedule.app, name="schedule")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"demeter {version('demeter')}")
        raise typer.Exit


@app.callback()
def demeter(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (default: demeter.toml here, or in ~/.config/demeter).")
    ] = None,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for everything.")
    ] = 0,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines.")] = False,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", help="Write logs into this file as well (default: the setting log_file)."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Count the plants in greenhouse photos and keep the nursery's stock ledger.

    Alone, it shows the state of the site and what to do next.

    Example: demeter process examples
    """
    from demeter_cli import language, logs
    from demeter_cli.environment import language_wanted

    language.use(language_wanted(config))
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    logs.configure(verbose, log_json)
    if log_file is not None:
        _log_to(log_file, config, log_json)
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        from demeter_cli.state import show_state

        show_state(config)


def _log_to(path: Path, config: Path | None, as_json: bool) -> None:
    """As the settings say, but into this file."""
    from dataclasses import replace

    from demeter_cli import logs
    from demeter_cli.settings import load_settings

    wanted = load_settings(config).logging_to(path.expanduser().absolute())
    logs.to_file(replace(wanted, style="json") if as_json else wanted)


def main() -> None:
    fit_streams()
    app()


if __name__ == "__main__":
    main()
