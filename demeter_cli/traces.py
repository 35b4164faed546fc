"""Spans of a run, its photos and their stages for an OpenTelemetry collector; loaded only where one is set.

Workers measure, the parent tells: a photo's span is reckoned back from when it was through. Spans leave in
batches beside the work, and what has not left a few seconds after the end is given up.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING

from demeter_cli.errors import SettingsError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Status, StatusCode, set_span_in_context
except ImportError as error:
    raise SettingsError(
        f"otel_endpoint is set, but what it needs is not installed ({error.name}): "
        "pip install 'demeter[otel]', or unset it"
    ) from error

if TYPE_CHECKING:
    from demeter_cli.run_report import RunReport
    from demeter_cli.watching import PhotoEvent

log = logging.getLogger("demeter")

SECONDS = 5.0  # for what is still to be sent at the end
NANO = 1_000_000_000
BESIDE = frozenset({"containers"})  # found after decoding, while other stages go on


class Tracer:
    """One trace per run. `endpoint` takes OTLP over HTTP; headers come from OTEL_EXPORTER_OTLP_HEADERS."""

    def __init__(self, endpoint: str, command: str, key: uuid.UUID) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "demeter", "service.instance.id": str(key)}),
            shutdown_on_exit=False,  # it would wait for a collector that is gone
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=2000))
        self._tracer = self._provider.get_tracer("demeter")
        self._root = self._tracer.start_span(f"demeter {command}", attributes={"demeter.run": str(key)})
        self._context = set_span_in_context(self._root)

    def photo(self, event: PhotoEvent) -> None:
        end = time.time_ns()
        begin = end - int((event.seconds or 0.0) * NANO)
        values: dict[str, str | int] = {
            "photo": event.name,
            "status": event.status,
            "plants": event.plants,
            "tries": event.tries,
        }
        span = self._tracer.start_span("photo", self._context, attributes=values, start_time=begin)
        if event.reason is not None:
            span.set_status(Status(StatusCode.ERROR, event.reason))
        inside, moment = set_span_in_context(span), begin
        for name, seconds in event.stages.items():
            beside = name in BESIDE
            start = begin + int(event.stages.get("decode", 0.0) * NANO) if beside else moment
            stage = self._tracer.start_span(name, inside, start_time=start)
            stage.end(start + int(seconds * NANO))
            moment = moment if beside else start + int(seconds * NANO)
        span.end(max(end, moment))

    def finish(self, report: RunReport) -> None:
        """End the trace and send what is left. Returns within SECONDS, whether it was sent or not."""
        self._root.set_attributes({"exit_code": report.exit_code, "plants": report.plants})
        if report.exit_code:
            self._root.set_status(Status(StatusCode.ERROR, report.outcome))
        self._root.end()
        thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(SECONDS)
        if thread.is_alive():
            log.warning("the traces were not all delivered in time; going on without them")
