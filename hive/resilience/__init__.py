"""Decisions about failures: causes, retry strategies, budgets, limits. Pure: values, a clock and a random source.

A failure has a cause, found by type (:mod:`hive.resilience.causes`), and a task's strategy says what follows it::

    error ──cause──► validation, authorisation, poison ──────────────────────► failure (poison: dead letter)
                     rate limit and others that say how long ──► wait that long
                     anything else ──► strategy: cap, then jitter ──► budget ──► retry, its wait on the broker
                                          └─ retries or deadline used up ────► failure (dead letter, if so set)

Guaranteed: a wait never exceeds the cap, except where the other side asked for more; waits at the cap are spread like any;
no attempt begins past the deadline by a strategy's choice; the adaptive strategy learns from outcomes only.

Not guaranteed: a retry budget bounds when retries are due, not when a slot is free for them, by the traffic seen when they
were drawn; where the strategy's own wait is longer than what the budget asks for, they may fall due with those drawn later,
twice as many at worst. State half of what a dependency can bear.
"""
