"""The bad and awkward payloads of the shared data, with what is expected of each."""

import base64
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload: raw bytes, and what its own suite expects of a parser."""

    raw: bytes
    suite: str
    expect: str
    name: str

    @property
    def text(self) -> str | None:
        """The text it holds, if it is text."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return None

    def raw_reasons(self) -> set[str]:
        """Reasons that are right for its bytes on a queue: no payload is a message."""
        if (self.suite == "utf8tests" and self.expect == "reject") or self.text is None:
            return {"not_utf8"}
        if self.suite == "JSONTestSuite" and self.expect in {"accept", "transform"}:
            return {"not_an_envelope"}
        if self.suite == "JSONTestSuite" and self.expect == "reject":
            return {"not_json", "too_deep"} if self.raw.count(b"[") > 900 else {"not_json"}
        return {self._by_plain_parser()}

    def _by_plain_parser(self) -> str:
        def refuse(constant: str) -> None:
            raise ValueError(constant)

        try:
            json.loads(self.text or "", parse_constant=refuse)
        except RecursionError:
            return "too_deep"
        except ValueError:
            return "not_json"
        return "not_an_envelope"


def payloads() -> list[Payload]:
    """Return all payloads; skip the test where the data is not there."""
    data = Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data"))
    path = data / "bad-payloads" / "payloads.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no payloads at {path}: set HIVE_DATA_DIR")
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [Payload(base64.b64decode(row["bytes_b64"]), row["suite"], row["expect"], row["name"]) for row in rows]
