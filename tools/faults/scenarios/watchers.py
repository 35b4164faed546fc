"""Those who are told of a run: none of them may fail it, or hold it up for long."""

from __future__ import annotations

import socket
import time
from random import Random

from tools.faults.rules import demand, demand_alone, demand_ended, demand_same, scenario
from tools.faults.site import Ground

MOST_SECONDS = 60.0  # that all of them together may cost


@scenario("watcher", times=2)
def nobody_answers(ground: Ground, random: Random) -> str:
    """Ping and webhook are never answered, metrics have no place: the run is as it would be without them."""
    with ground.site() as site, socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        (site.folder / "file").touch()
        nowhere = site.folder / "file" / "in-a-file"
        watched = site.but(
            DEMETER_PING_URL=address,
            DEMETER_WEBHOOK_URL=address,
            DEMETER_OTEL_ENDPOINT=address,
            DEMETER_METRICS_FILE=str(nowhere / "demeter.prom"),
        )
        started = time.monotonic()
        said = watched.done()
        demand_ended(said, ground.code)
        spent = time.monotonic() - started
        demand(spent < 5 * ground.seconds + MOST_SECONDS, f"it took {spent:.0f} s")
        demand("warning" in said.err, f"it does not say who was not told: {said.err!r}")
        demand_alone(site)
        return demand_same(ground, site)
