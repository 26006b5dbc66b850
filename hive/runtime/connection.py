"""Short connections of our own to the broker, beside those that Celery keeps."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError

from hive.store.probe import BrokerFacts, examine, translated


@contextmanager
def open_channel(connection: Connection, where: str) -> Iterator[Any]:
    """Open a channel without waiting between attempts, each address tried once; close both afterwards.

    Args:
        connection: not yet connected.
        where: the address for error sentences, without its password.

    Raises:
        BrokerMissingError: nobody answers.
        BrokerRefusedError: the server answers, but not to us.
    """
    with translated(where), connection:
        connection.ensure_connection(
            max_retries=max(1, len(connection.alt or ())),
            interval_start=0,
            interval_step=0,
            interval_max=0,
            reraise_as_library_errors=False,
        )
        yield connection.channel()


def broker_facts(app: Celery) -> BrokerFacts | None:
    """Ask the broker of an application what it is; nothing is known of one that is not Redis.

    Raises:
        BrokerMissingError: nobody answers.
        BrokerRefusedError: it cannot serve us.
    """
    connection = app.connection_for_write()
    where = connection.as_uri()
    with open_channel(connection, where) as channel:
        return examine(channel.client, where) if connection.transport.driver_type == "redis" else None


def backlogs(app: Celery, queues: Iterable[str]) -> dict[str, int]:
    """Return the number of ready messages of each queue, over all priorities; a queue nobody used yet has 0.

    Raises:
        BrokerMissingError: nobody answers.
        BrokerRefusedError: it cannot serve us.
    """
    connection = app.connection_for_read()
    with open_channel(connection, connection.as_uri()) as channel:
        return {queue: _backlog(channel, queue) for queue in queues}


def _backlog(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0
