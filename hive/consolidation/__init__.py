"""Compacting what agents remember while they sleep, and deciding when.

Five jobs in order of priority (:class:`~hive.consolidation.report.Job`), each of them resumable and safe to stop or kill:
context compaction, index update, clean-up of the broker, performance audit, database maintenance.
:class:`~hive.consolidation.consolidator.Consolidator` does them; when is decided elsewhere
(:mod:`~hive.consolidation.decision`, :mod:`~hive.consolidation.safety`, :mod:`~hive.consolidation.stages`: pure).

**Context compaction** (:func:`~hive.consolidation.compaction.compact`, a pure function of contexts) writes contexts shorter:

* A tool call and its result become a record: keys once, rows as tables, every value kept, arguments that the result repeats
  left out. A later result of the same call, or a later state of the record with the same id, replaces it.
* Of prose those sentences are kept that name something their conversation has not named yet (an id, a number, a date, a
  proper name, however it is written), or in which the user says several new words. What restates a tool's result goes,
  and so do near-duplicates (MinHash).
* Instructions (author ``system``) and facts stay word for word, once.
* A language model may write summaries shorter (``Rules.summarizer``); without one nothing leaves the process.

Nothing is judged by what was said after it.

Guaranteed: a slice (some hundred contexts) is one transaction that writes the shorter contexts, moves the originals into the
archive and keeps the report, so a kill leaves the memory as before it or as after it. Until the retention ends a run can be
undone: the memory is then byte for byte what it was, but for what was appended since.

Not guaranteed: that a fact is still found by every question; ``benchmarks/consolidation.py`` measures how many are. What
leaves is prose whose information could not be seen by names, numbers and new words.

===================================== ================================================================================
what fails                            what happens
===================================== ================================================================================
killed between slices, or in one      the run is taken up again by the next, under its name
two consolidations of one agent       whoever comes second with a slice decides it anew
an appended context meanwhile         it is not touched
a run another run built upon          undoing it is refused, and the other named
an index that does not fit its texts  the index update builds it anew
===================================== ================================================================================
"""

from hive.consolidation.compaction import Compaction, Reason, compact
from hive.consolidation.consolidator import Consolidator
from hive.consolidation.report import Job, Report, RunState
from hive.consolidation.rules import Rules

__all__ = [
    "Compaction",
    "Consolidator",
    "Job",
    "Reason",
    "Report",
    "Rules",
    "RunState",
    "compact",
]
