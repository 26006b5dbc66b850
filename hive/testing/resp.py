"""Reading the commands out of the bytes that a Redis client sends."""


class CommandReader:
    """Finds the names of whole commands in a stream of RESP bytes, however it is cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """Take further bytes of the stream.

        Returns:
            The names, in capitals, of the commands completed by them; what is no RESP array (as TLS) gives none.
        """
        self._buffer += data
        names = []
        while (end := self._command_end()) is not None:
            names.append(self._name())
            del self._buffer[:end]
        return names

    def _command_end(self) -> int | None:
        """Return where the first command of the buffer ends, or None while it is not whole."""
        if not self._buffer.startswith(b"*"):
            self._buffer.clear()
            return None
        line = self._buffer.find(b"\r\n")
        if line < 0:
            return None
        at = line + 2
        for _ in range(int(self._buffer[1:line])):
            line = self._buffer.find(b"\r\n", at)
            if line < 0:
                return None
            at = line + 2 + int(self._buffer[at + 1 : line]) + 2
        return at if at <= len(self._buffer) else None

    def _name(self) -> str:
        length = self._buffer.index(b"$")
        line = self._buffer.index(b"\r\n", length)
        size = int(self._buffer[length + 1 : line])
        return bytes(self._buffer[line + 2 : line + 2 + size]).decode("ascii", "replace").upper()
