"""demeter runs: what was run, and how it ended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from demeter_cli.formats import Format

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]

app = typer.Typer(no_args_is_help=True)

LIST_COLUMNS = {
    "id": "run",
    "started_at": "started",
    "command": "command",
    "seconds": "sec",
    "photos": "photos",
    "failures": "failed",
    "plants": "plants",
    "exit_code": "code",
    "status": "ended",
}
DROPPABLE = ("seconds", "plants", "exit_code", "command")
CSV_COLUMNS = (
    *("id", "key", "command", "status", "exit_code", "started_at", "finished_at", "seconds"),
    *("photos", "failures", "plants", "retries", "peak_memory_bytes", "problem"),
    *("model", "config_hash", "version", "host", "pid"),
)


@app.callback()
def runs() -> None:
    """What was run, and how it ended.

    Example: demeter runs list
    """


@app.command("list")
def list_runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="The newest so many.")] = 20,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the runs that counted or booked photos, the newest first.

    Example: demeter runs list -n 50
    """
    from zoneinfo import ZoneInfo

    from db.watch import recent_runs
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        rows = [_plain(row) for row in recent_runs(connection, limit)]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE:
            shown = [output.local(row, ZoneInfo(settings.timezone)) for row in rows]
            output.print_table(shown, LIST_COLUMNS, droppable=DROPPABLE)


@app.command("show")
def show(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its number, or the beginning of its key.")],
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Show one run: photos by status, seconds by stage, failures with their reasons, memory.

    The failures come from the run's report in DATA_DIR/reports, if it is on this machine.

    Example: demeter runs show 17
    """
    from zoneinfo import ZoneInfo

    from db.watch import find_run
    from demeter_cli import output, run_report
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        row = _plain(find_run(connection, run))
    report = run_report.find(settings, row["key"]) if row["key"] else None
    row["failed"] = report["failures"] if report else []
    match output_format:
        case Format.JSON:
            output.print_json(row)
        case Format.CSV:
            output.print_csv([row], CSV_COLUMNS)
        case Format.TABLE:
            _print(output.local(row, ZoneInfo(settings.timezone)))


def _plain(row: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row) | {"key": str(row.key) if row.key else None}


def _print(row: dict[str, Any]) -> None:
    from demeter_cli import output

    facts = [
        (name, row[name]) for name in CSV_COLUMNS if row[name] is not None and name != "peak_memory_bytes"
    ]
    if row["peak_memory_bytes"]:
        facts.append(("memory", f"{row['peak_memory_bytes'] / 1e6:.0f} MB at most"))
    facts += [(f"photos {status}", number) for status, number in row["statuses"].items()]
    facts += [(f"seconds {stage}", seconds) for stage, seconds in sorted(row["stages"].items())]
    told = [{"what": name.replace("_", " "), "value": _text(value)} for name, value in facts]
    output.print_table(told, {"what": "", "value": ""})
    for failure in row["failed"]:
        output.say(f"  {failure['reason']}")


def _text(value: Any) -> str:
    import datetime as dt

    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
