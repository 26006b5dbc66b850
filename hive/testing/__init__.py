"""Tools for tests, ours and users': a clock turned by hand, a broker of one's own, and one that fails on request.

:class:`ManualClock` stands for :class:`hive.clock.SystemClock` wherever a clock is handed in: no test sleeps to see time
pass. :class:`FaultProxy` is a TCP relay before a real broker. An application given the relay's address meets, at the
moment the test chooses, what a network does to it::

    with FaultProxy("127.0.0.1", 6379) as proxy:
        app = Hive("shop", broker=proxy.url)
        add.delay(1, 2)                    # passes
        lost = proxy.cut_reply("EVALSHA")  # the next script runs on the broker, its reply never arrives
        add.delay(3, 4)                    # ... is published once all the same
        assert lost.wait(5)
        proxy.black_hole()                 # nothing passes, nothing is closed: as when a cable is pulled
        proxy.heal()
        proxy.reset()                      # every connection is reset

It counts what passes too: ``commands`` by name, and ``requests``, where a pipeline or a script is one.

:func:`temporary_broker` runs a real one for a test::

    with temporary_broker() as url:
        app = Hive("shop", broker=url, backend=url)

It takes the place of a store in memory: what delivery promises is in the scripts, which run only in a server. A second
implementation of them would have to be kept equal, and a test that passes on it would say nothing of the first; a server
is there with every installation and starts within a fraction of a second.

Not promised: speed (a relay in Python costs some 50 us a request; measure throughput without it) and TLS inside the
relay (encrypted bytes pass, but are neither counted nor cut by name).

Nothing in hive imports this package.
"""

from hive.testing.broker import temporary_broker
from hive.testing.clock import ManualClock
from hive.testing.proxy import FaultProxy

__all__ = ["FaultProxy", "ManualClock", "temporary_broker"]
