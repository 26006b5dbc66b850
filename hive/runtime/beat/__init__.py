"""Beat that fails over: several processes, of which one sends what is due, once for each due time.

Every beat (``hive beat``, the one of ``hive up``, ``celery -A app beat``) asks the broker for the lead every third of
``beat.hold_s``. The one that has it sends; the others wait. All that must outlive a leader is on the broker: entries, and
up to which due time each was sent. A firing is one step there (``beat_fire.lua``): it checks the term of who sends and the
due time, notes it, and publishes. So a leader that is dead, frozen or cut off leaves nothing half done, and one that wakes
up later sends nothing twice.

===================================== ===============================================================================
what happens                          what follows
===================================== ===============================================================================
the leader dies, freezes, is cut off  another leads within ``hold_s`` and a third (4 s), and sends what fell due since
it stops (SIGTERM)                    it resigns: another leads at its next question
it dies between two firings           the next leader goes on after the last one noted
it wakes up with a firing in hand     refused: its term has ended, or that due time is over
the reply of a firing is lost         asked again: it was sent before
no beat runs for a while, or no       due times older than ``beat.missed_after_s`` are missed: each entry's catch-up policy
broker                                says what becomes of them; younger ones are late, and are sent
its queue is full                     the firing stays due, and is tried again every second
its arguments cannot be sent at all   logged and left out, or nothing else would ever be sent
its schedule, a user's own, fails     logged; the others go on
the clock of a host is set            nothing: time is the broker's, counted on by the host's monotonic clock
the clock of the broker is set        forward: as an outage; back: nothing is sent until the last due time has come again
===================================== ===============================================================================

Due times are a grid, not a distance from the last run: an interval has no drift, whoever leads. Rules for crontabs and
daylight saving are in :mod:`hive.runtime.beat.timing`, those for catching up in :mod:`hive.runtime.beat.catching_up`.

Where entries come from: ``beat_schedule`` of the application and ``app.add_periodic_task`` (these are the code's: the
leader puts them on the broker, and takes away those its code no longer has; an operator can pause them), and
``hive schedule add`` or ``app.schedule.add`` (these are the operator's; the code takes over only one of a name of its own). Celery's entries
work unchanged; beside their keys they may have ``catch_up``, ``catch_up_most`` and ``zone``.

Not promised: a broker that loses its disk loses what it had of firings too. A firing whose task publishes in a way of its
own (``task_always_eager``, an ``apply_async`` that somebody replaced) is noted after it was made, so a leader that dies
between repeats it. ``beat_cron_starting_deadline`` is not looked at: say ``catch_up="none"``. Redis Cluster: a firing takes
beat's keys and a queue's together.

Cost of an idle beat: two requests a second of the leader, one of each other, by default.

Why not celery-redbeat: of the bars (once for each due time, nothing missed, takeover in 5 s, catch-up by entry) it meets
what a shorter lock gives. By its documentation and source it notes the last run in one request and publishes in another, so
a death between loses the firing; it looks at its lock at the beginning of a turn, and not in the step that publishes, so a
leader that was frozen in a turn may send once more, before it ends with an error; its lock lasts 25 minutes by default; and
after an outage every entry runs once, whatever it is for. This was read, not measured.
"""
