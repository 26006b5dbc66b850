"""A client that keeps one connection, for whoever sends one command after another."""

from typing import Any

import hiredis
import redis


class Line(redis.Redis):
    """A client for one thread at a time, whose commands take neither lock nor pool: half of their cost in Python.

    It repeats nothing, and connects anew before a command if the server has closed the connection meanwhile.

    Args:
        pool: lends the connection; pipelines and whatever else a client does go through it as ever.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        self._kept: Any = None

    def execute_command(self, *args: Any, **_: Any) -> Any:
        """Send a command and return its reply as the server gives it.

        Raises:
            redis.RedisError: the server refused it, or did not answer; then it may have been carried out.
        """
        connection = self._kept
        if connection is None or not _is_quiet(connection):
            connection = self._renew()
        try:
            # redis-py's packer looks at every argument once more, for kinds that the store does not use.
            connection.send_packed_command([hiredis.pack_command(args)], check_health=False)
            return connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            # A reply that comes late must not be taken for the next command's.
            connection.disconnect()
            raise

    def _renew(self) -> Any:
        """Return a connection that is known to be open, in place of the one that was kept."""
        self.give_up()
        self._kept = self.connection_pool.get_connection()
        return self._kept

    def give_up(self) -> None:
        """Give the connection back; the next command takes another. A repeat does nothing."""
        connection, self._kept = self._kept, None
        if connection is not None:
            connection.disconnect()
            self.connection_pool.release(connection)


def _is_quiet(connection: Any) -> bool:
    """Whether the connection is open and the server has not said anything unasked, such as goodbye."""
    try:
        return connection.is_connected and not connection.can_read(0)
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return False
