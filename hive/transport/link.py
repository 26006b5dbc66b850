"""A channel's link to its broker: the store over its connections, and the consumer in whose name it acts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from hive.settings.parts import DeliverySettings
from hive.store.connection import over
from hive.store.keys import Layout
from hive.store.store import Store
from hive.transport.bindings import Bindings
from hive.transport.consumer import Consumer
from hive.transport.lease import StockRecords
from hive.transport.options import delivery_settings


class Linked(Bindings):
    """kombu's Redis channel, which keeps one client and knows its broker's store and this process' consumer there."""

    _consumer: Consumer | None = None

    @cached_property
    def settings(self) -> DeliverySettings:
        """The delivery settings of the connection's application."""
        return delivery_settings(self.connection.client.transport_options)

    @cached_property
    def layout(self) -> Layout:
        """How keys are named."""
        return Layout(prefix=self.global_keyprefix or "", separator=self.sep, priority_steps=tuple(self.priority_steps))

    @cached_property
    def command_client(self) -> Any:
        """The one client for kombu's own commands; kombu builds one per command."""
        return self._create_client()

    @cached_property
    def store(self) -> Store:
        """The broker, over this channel's connections."""
        return self._store_over(self.pool)

    @property
    def consumer(self) -> Consumer:
        """The consumer of this process on this broker."""
        if self._consumer is None or self._consumer.pid != os.getpid():
            stock = StockRecords(
                visibility_timeout_s=self.visibility_timeout, key=self.unacked_key, index_key=self.unacked_index_key
            )
            self._consumer = self.connection.process.join(self.address, self.settings, self._own_store, stock)
        return self._consumer

    @cached_property
    def address(self) -> str:
        """Which database of which server it leads to, and under which prefix."""
        known = self.pool.connection_kwargs
        places = [getattr(self.pool, "service_name", None), *(known.get(key) for key in ("host", "port", "path", "db"))]
        return "/".join(map(str, [*places, self.layout.prefix]))

    def _own_store(self) -> Store:
        """Return a store whose connections outlive the channel."""
        manager = self.__dict__["_sentinel_manager"]
        pool = self._get_pool()
        self.__dict__["_sentinel_manager"] = manager
        return self._store_over(pool)

    def _store_over(self, pool: Any) -> Store:
        process = self.connection.process
        return Store(over(pool), layout=self.layout, settings=self.settings, lanes=process.lanes, at=process.at)

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Hand out the channel's one client."""
        yield client or self.command_client

    def _disconnect_pools(self) -> None:
        self.__dict__.pop("command_client", None)
        self.__dict__.pop("store", None)
        super()._disconnect_pools()
