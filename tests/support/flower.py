"""Flower's HTTP interface, asked as its page asks it."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any


class FlowerClient:
    """Someone who is logged in to Flower on this host.

    Args:
        port: on which it listens.
        user: of the login.
        password: of the login.
    """

    def __init__(self, port: int, user: str, password: str) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def get(self, path: str, *, login: bool = True) -> Any:
        """Return the decoded answer.

        Raises:
            HTTPError: another status than 200.
            URLError: nobody listens.
        """
        request = urllib.request.Request(self.base + path, headers={"Authorization": self.login} if login else {})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def online(self) -> list[str]:
        """Return the node names of the workers that Flower counts as online; none while it does not listen."""
        try:
            status: dict[str, bool] = self.get("/api/workers?status=true")
        except (urllib.error.URLError, ConnectionError):
            return []
        return sorted(name for name, alive in status.items() if alive)
