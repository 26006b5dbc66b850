"""The figures of scaling for platforms that start workers themselves: JSON over HTTP, as KEDA's metrics-api scaler reads it.

::

    GET /metrics/code_reviewer   {"agent_type": "code_reviewer", "target": 3, "backlog": 120, "reason": "backlog", ...}
    GET /metrics                 the same for all agent types, by name
    GET /health                  204 while the leader's decisions are fresh

Whichever scaler is asked answers with what the leader has recorded on the broker. What is older than a minute is not
answered with (503): a platform then keeps the size it has, or takes the one it was told to fall back to.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hive.clock import Clock
from hive.store.faults import BrokerGoneError
from hive.store.store import Store

#: Age in milliseconds from which a decision says nothing of the present.
STALE_MS = 60_000

#: What is served of a decision, by the name it is recorded under.
SERVED = {
    "workers": "target",
    "target": "target_slots",
    "wanted": "wanted_slots",
    "slots": "slots",
    "busy": "busy",
    "backlog": "backlog",
    "oldest_wait_s": "oldest_wait_s",
    "arrivals_per_s": "arrivals_per_s",
    "service_s": "service_s",
    "reason": "reason",
    "override": "override",
    "term": "term",
}

SCALED_OBJECT = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: hive-{name}
spec:
  scaleTargetRef:
    name: hive-{name}  # a Deployment that runs `hive worker {agent_type}`
  minReplicaCount: {minimum}
  maxReplicaCount: {maximum}
  pollingInterval: 5
  cooldownPeriod: 0  # hive has waited before it says 0
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 0  # likewise
  triggers:
    - type: metrics-api
      metricType: AverageValue
      metadata:
        url: {url}/metrics/{agent_type}
        valueLocation: target
        targetValue: "1"
        activationTargetValue: "0"
"""


def scaled_object(agent_type: str, minimum: int, maximum: int, url: str) -> str:
    """Return a ScaledObject for an agent type; its Deployment needs a grace period that its tasks can end within.

    Args:
        agent_type: its name.
        minimum: workers.
        maximum: workers.
        url: of ``hive autoscale`` as the cluster reaches it, without a path.
    """
    return SCALED_OBJECT.format(
        agent_type=agent_type, name=agent_type.replace("_", "-"), minimum=minimum, maximum=maximum, url=url.rstrip("/")
    )


def served(records: Mapping[str, bytes], now_ms: int) -> dict[str, dict[str, Any]]:
    """Return what is served of each agent type whose record is fresh.

    Args:
        records: as leaders recorded them, by agent type.
        now_ms: wall time.
    """
    found = {}
    for name, written in records.items():
        record = json.loads(written)
        age_ms = now_ms - record["at_ms"]
        if age_ms < STALE_MS:
            figures = {shown: record.get(field) for field, shown in SERVED.items()}
            found[name] = {"agent_type": name, **figures, "age_s": max(age_ms, 0) / 1000}
    return found


class ScalingPort:
    """Serves the figures from ``start`` to ``stop``; both may be repeated.

    Args:
        store: returns the broker, in the thread that answers.
        clock: for the age of decisions.
        address: to listen on.
        port: TCP port; 0: any that is free.
    """

    def __init__(self, store: Callable[[], Store], clock: Clock, address: str, port: int) -> None:
        self._store, self._clock, self._where = store, clock, (address, port)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the start."""
        return 0 if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: somebody else listens there.
        """
        if self._server is None:
            self._server = ThreadingHTTPServer(self._where, self._handler())
            self._server.daemon_threads = True
            self._thread = threading.Thread(target=self._server.serve_forever, name="hive-scaling-port", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def answer(self, path: str) -> tuple[HTTPStatus, Any]:
        """Return status and body for a path."""
        word, _, name = path.partition("?")[0].strip("/").partition("/")
        if word not in {"metrics", "health"} or (name and word == "health"):
            return HTTPStatus.NOT_FOUND, {"error": "there are /metrics, /metrics/AGENT_TYPE and /health"}
        try:
            found = served(self._store().scaling_sizes(), self._clock.wall_ms())
        except BrokerGoneError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"the broker does not answer: {error}"}
        if not found or (name and name not in found):
            about = f" about {name}, but about {', '.join(sorted(found))}" if name and found else ""
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"no scaler has decided within the last minute{about}"}
        if word == "health":
            return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.OK, found[name] if name else found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, body = answer(self.path)
                text = b"" if body is None else json.dumps(body).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                """Say nothing: a platform asks every few seconds."""

        return Handler
