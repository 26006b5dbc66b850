"""``hive bench``: hive and stock Celery at the same work, in turn, on the same broker.

Fair by construction. Both sides run one and the same module (:mod:`hive.cli.bench.workload`), written out twice with a
single line changed: ``from celery import Celery`` or ``from hive import Hive as Celery``. Both get late acknowledgement,
reject on worker lost, the same pool, processes, concurrency and prefetch count. They take turns on one broker, round
by round, the first mover changing each round, and what is compared is the ratio within a round: two machines, or the
same machine an hour later, give other absolute figures, and only ratios of one run mean anything.

What is counted is counted outside the broker: tasks append one byte (or one record) to a file, whose size is the count.
Requests are the reads of clients' bytes that the server reports (``total_reads_processed``): a pipeline or a script is
one as long as it fits in 16 kB.

Without ``--broker`` a private broker is started and ended; one that is given is never flushed: every key gets a prefix,
and what bears the prefix is removed at the end. Peers flush what they are given, so they always get a private one.
"""
