"""A small server with the door of an OpenAI model: it calls a tool, then streams an answer that uses its result."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class ModelServer:
    """Answers `POST /v1/chat/completions` on 127.0.0.1.

    Args:
        think_s: seconds before the first word of each answer, as a model takes them.
        together: the first so many conversations are answered once all of them are open, or after half a minute.

    Attributes:
        most_at_once: conversations that were open at the same time at most.
        requests: bodies of all requests.
    """

    def __init__(self, think_s: float = 0.2, together: int = 1) -> None:
        self.think_s = think_s
        self.requests: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._open = 0
        self._together = together
        self._gathered = threading.Event()
        self._mutex = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Base address for a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two selves meet here
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with server._mutex:
                    server.requests.append(body)
                    server._open += 1
                    server.most_at_once = max(server.most_at_once, server._open)
                    if server.most_at_once >= server._together:
                        server._gathered.set()
                try:
                    server._gathered.wait(60)
                    time.sleep(server.think_s)  # noqa: TID251 - this is the model thinking
                    self._stream(body)
                finally:
                    with server._mutex:
                        server._open -= 1

            def _stream(self, body: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for chunk in _answer(body):
                    self._write(f"data: {json.dumps(chunk)}\n\n")
                self._write("data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def _write(self, text: str) -> None:
                self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def _answer(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of an answer: a call of the first tool, or words once its result is there."""
    results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    question = next(message["content"] for message in body["messages"] if message["role"] == "user")
    if not results:
        call = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"text": question})}
        delta = {
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": call}],
        }
        yield _chunk(delta)
        yield _chunk({}, "tool_calls")
        return
    for word in ("The text ", "has ", f"{results[-1]} ", "words."):
        yield _chunk({"role": "assistant", "content": word})
    yield _chunk({}, "stop")


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "answer", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": [choice]}
