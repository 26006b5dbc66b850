"""The names of all keys, in one place.

Catalogue. ``<q>`` is the queue's base: its name if that has a ``{tag}`` of its own, else ``{name}``; ``<c>`` is a
consumer id. The key prefix of the settings stands before all of them, ready lists included.

======================== ====== ============================================== ==================== ==================
key                      type   members                                        written by           removed by
======================== ====== ============================================== ==================== ==================
``name``                 LIST   envelopes of priority 0, newest left           publish, promotion   claim, purge
``name<sep>3`` …         LIST   envelopes of the other priority steps          publish, promotion   claim, purge
``<q>:hive:scheduled``   ZSET   message id by due time in ms                   schedule, retry      promotion, cancel
``…:scheduled:messages`` HASH   message id to ``<priority>[!]:<envelope>``     schedule, retry      promotion, cancel
``…:wake``               LIST   at most one token                              publish, claim, reap whoever waits
``…:published:0|1``      SET    digests of dedup ids of one window, its number publish, schedule    next window but one
``…:state``              HASH   ``format``, ``fence``, ``epoch``, ``run_id``,  register, claim,     delete
                                ``ticked_ms``, ``tick_run_id``, ``turn``,      tick
                                ``turn_until_ms``; of keys that take turns
                                ``number``, ``turn:<priority>``, ``passed``
``…:counters``           HASH   totals by name (below)                         most                 delete
``…:consumers``          ZSET   consumer id by end of its lease in ms, 0 while register, renew      reap, unregister
                                it is being reaped
``…:consumers:info``     HASH   consumer id to JSON: who it is, ``lease_ms``   register             reap, unregister
``…:inflight:<c>``       HASH   token to ``<priority>:<sequence>:<envelope>``  claim                finish, reap, …
``…:started:<c>``        HASH   token to message id                            start                finish, reap, …
``…:claimed:<c>``        HASH   ``sequence`` and ``tokens`` of the last claim, claim                reap, unregister
                                ``alone``: token of the suspect it holds
``…:deaths``             HASH   message id to JSON: ``count``, ``history``,    reap, reject, …     finish, expiry
                                ``steps`` published from its deliveries
``…:deaths:expiry``      ZSET   message id by when its count is forgotten      reap, reject, …     finish, expiry
``…:suspects``           LIST   ``<priority>:<envelope>``, oldest right        reap, reject         claim
``…:dead``               ZSET   dead letter id by when it was set aside        reject, reap         redrive, release
``…:dead:records``       HASH   dead letter id to JSON: reason, history, …     reject, reap         redrive, release
``…:dead:messages``      HASH   dead letter id to ``<priority>:<envelope>``    reject, reap         redrive, release
``…:dead:untold``        ZSET   dead letter id by when it may be told of       reject, reap         whoever has told
``…:unique``             HASH   digest of a key to JSON: ``task_id`` that holds publish_guarded      finish, its time, …
                                it, ``until_ms``, ``within_ms``, ``message_id``
                                if it ends with that message
``…:unique:expiry``      ZSET   digest of a key by end of its time in ms       publish_guarded      finish, its time, …
``…:graces``             ZSET   message id of an unknown task by first sight   postpone             postpone, expiry
``{breakers}:hive:       HASH   ``state``, ``generation``, ``until_ms``,        breaker_*            a week unused
breaker:<name>``                ``answered`` probes, totals
``{breakers}:hive:       HASH   ten parts: ``part0``, ``calls0``, ``failed0``  breaker_report       each turn
window:<name>``                 …
``{breakers}:hive:       ZSET   token of a probe by end of its lease in ms     breaker_probe        breaker_settle,
probes:<name>``                                                                                     each turn
``{breakers}:hive:       SET    names of breakers                              breaker_report       nobody
names``
``{hive:lead:<name>}:    HASH   ``holder``, ``term``, ``until_ms``,            lead                 nobody
hive:leader``                   ``hold_ms``, ``term_epoch``; ``run_id``,
                                ``fence``, ``epoch`` as of a queue
``{hive:lead:<name>}:    HASH   what leaders wrote down, by name               lead_note            lead_note
hive:notes``
``{hive:lead:beat}:      HASH   name of an entry of beat to its definition     beat_put             beat_remove
hive:entries``
``{hive:lead:beat}:      HASH   name of an entry to the last due time in ms    beat_put, beat_fire, beat_remove
hive:fired``                    that is over                                   beat_skip
``{hive:lead:beat}:      HASH   name of an entry to ``<sent at ms> <times      beat_fire, beat_skip beat_remove
hive:runs``                     sent> <due times left out>``
``{hive:lead:beat}:      HASH   name of an entry to since when it is paused    beat_pause           beat_pause
hive:paused``
``{hive:lead:beat}:      STRING how often entries were changed                 beat_put, …          nobody
hive:revision``
``{<task>}:hive:answer:  HASH   ``answer``, ``at_ms``: the last good answer of keep_answer          its time
<digest>``                      one call
``{hive:retry:<d>}:…``   HASH   ``budget``: a retry account; ``gate``: who     retry_*              expiry
                                probes a dependency; ``outcomes`` of retries
``{hive:retry:<d>}:held`` ZSET  ``<message id> <queue>`` by due time in ms     retry_park           release, expiry
``{checkpoint:<digest>}: HASH   ``agent``, ``generation``,                      keep_checkpoint      its time
hive:head``                     ``fencing_token``, ``is_forgotten``, ``seal``
``{checkpoint:<digest>}: STRING the newest checkpoint of an agent, as the       keep_checkpoint      its time
hive:record``                   database has it
``{checkpoint:<digest>}: STRING the same, sent and not yet in its place        ``keep_checkpoint``  keep_checkpoint,
hive:staged:<token>``                                                                               one minute
``…:fair``               ZSET   number of a message by priority and turn       publish, promotion   claim, refill
``…:fair:turns``         ZSET   ``<priority>:<key>`` by its next turn          publish, promotion   claim, refill
``…:fair:messages``      STREAM key and envelope, by number                    publish, promotion   claim, refill
``…:fair:waiting``       HASH   key to how many of its messages wait           publish, promotion   claim, refill
``name@<w>`` …           LIST   envelopes for the worker ``<w>`` alone, as     publish_lane         claim, drain_lane
                                ``name`` and ``name<sep>3`` …
``…:lanes``              ZSET   worker by when it reported, in ms              report_load          drain_lane
``…:loads``              HASH   worker to ``<consumer> <waiting> <load JSON>`` report_load          drain_lane
``…:wake:<w>``           LIST   at most one token                              publish_lane         whoever waits
``…:parked``             ZSET   id of a scheduled message that waits for a     park, agent_park     signal, promotion
                                signal or an agent, by its due time in ms
======================== ====== ============================================== ==================== ==================

Of the run of a durable task, ``<r>`` = ``{hive:run:<task id>}:hive:``; of agents, ``<a>`` = ``{hive:agents}:hive:``:

======================== ====== ============================================== ==================== ==================
``<r>run``               HASH   ``step:<name>`` to ``+<unknown>:<result>``     step_*, park         end_run, expiry
                                (done), ``?<token>:<unknown>`` (begun) or
                                ``~<due ms>`` (waits); ``at``: where it is
                                parked, ``<due ms>:<JSON>``
``<r>signals:<event>``   LIST   signals nobody has asked for, newest left      signal_run           park, a week
``<a>signals:<n>:<e>``   LIST   the same of an agent ``<n>`` and event ``<e>`` signal_agent         park, a week
``<a>waiters:<n>:<e>``   ZSET   task id of a run that waits, by since when     park                 signal, park
``<a>names``             ZSET   agent by when a message of it began or ended   agent_enter, …       agent_forget
``<a>passing``           ZSET   agent by when its passing state is over        agent_move           agent_move
``<a>agent:<n>``         HASH   ``state``, ``token``, ``since_ms``,            agent_*              agent_forget
                                ``until_ms``, ``by``, ``reason``, ``failure``,
                                ``failed_ms``, ``strikes``, ``policy``,
                                ``wakes``
``<a>running:<n>``       HASH   message id to ``<queue> <consumer> <token>``   agent_enter          agent_leave
``<a>waiting:<n>``       HASH   message id to the queue in which it is parked  agent_park           release, enter
======================== ====== ============================================== ==================== ==================

Of scaling, beside who leads it, ``<s>`` = ``{hive:lead:scaling}:hive:``; ``<t>`` is an agent type:

======================== ====== ============================================== ==================== ==================
``<s>sizes``             HASH   agent type to what its leader decided last     record_scaling       nobody
``<s>history:<t>``       LIST   changes of size, newest left, at most 100      record_scaling       a week unused
``<s>overrides``         HASH   agent type to the slots somebody asked for     ``hive scale``       ``hive scale``
``<s>arrivals:<t>``      ZSET   ``<minute>:<messages>`` by minute              the scaler           a week
======================== ====== ============================================== ==================== ==================

Of limits, under one tag of their own, ``<l>`` = ``{hive:limits}:hive:``; ``<n>`` is ``<unit>:<window ms>:<key>``:

======================== ====== ============================================== ==================== ==================
``<l>names``             ZSET   ``<n>`` by when it is forgotten, in ms         reserve              reserve
``<l>state:<n>``         HASH   slice of the window to what was granted in it, reserve, settle      its expiry
                                ``sum``, ``first``, ``last`` of them, ``most``,
                                ``share`` of estimates used, ``held_ms``, and
                                ``tail_ms``, ``again_ms``, ``lost``, ``mean``
``<l>line:<n>``          ZSET   who was told to come again by when, in ms      reserve              reserve, expiry
``<l>holders:<n>``       ZSET   who holds a place by the end of its lease      reserve, renew       release, reserve
======================== ====== ============================================== ==================== ==================

Counters: ``deduplicated`` publishes dropped as repeats; ``promoted`` scheduled messages made ready; ``redelivered``
messages returned to ready or suspects by a reap or a death; ``refused`` steps of deliveries that were no longer
current; ``reaped`` consumers; ``deaths`` counted; ``dead`` letters, ``redriven``, ``archived`` and ``purged`` ones; ``dead_bytes`` they hold at present; ``postponed``
waits for a worker that knows the task; ``parked`` waits of runs, and for agents that were not awake; ``twins`` publishes for which the handle of another task was returned;
``refused_full`` publishes for which there was no room, ``shed`` dead letters made to make room; ``rerouted`` messages moved from lanes to their queues; ``stolen`` ones claimed from another's lane;
``forgiven`` gaps after
which leases were extended.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

FORMAT_VERSION = 1

#: What stands behind the ready lists of a queue whose messages have keys.
FAIR = ("fair", "fair:turns", "fair:messages", "fair:waiting")
KOMBU_SEPARATOR = "\x06\x16"
KOMBU_STEPS = (0, 3, 6, 9)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How names are made from queue names; all processes of one application must agree on it.

    Attributes:
        prefix: put before every key.
        separator: between a queue's name and its priority step (kombu's ``sep``).
        priority_steps: in the order in which they are served (kombu's ``priority_steps``).
    """

    prefix: str = ""
    separator: str = KOMBU_SEPARATOR
    priority_steps: tuple[int, ...] = KOMBU_STEPS

    def step(self, priority: int) -> int:
        """Return the position of the step that serves ``priority``, as kombu chooses it."""
        return max(bisect(self.priority_steps, priority) - 1, 0)

    def shared(self, tag: str, *parts: str) -> str:
        """Return the name of a key that belongs to no queue; those with the same tag share a cluster slot."""
        return f"{self.prefix}{{{tag}}}:hive:{':'.join(parts)}"

    def queue(self, name: str) -> "QueueKeys":
        """Return the names of one queue's keys."""
        return QueueKeys(name=name, layout=self)


@dataclass(frozen=True, kw_only=True)
class QueueKeys:
    """The names of one queue's keys.

    Attributes:
        name: the queue, without prefix.
        layout: how names are made.
    """

    name: str
    layout: Layout

    @cached_property
    def base(self) -> str:
        """What all of hive's keys of this queue begin with."""
        left = self.name.find("{")
        tagged = left >= 0 and self.name.find("}", left) > left + 1
        return f"{self.layout.prefix}{self.name if tagged else '{' + self.name + '}'}:hive:"

    @cached_property
    def ready(self) -> tuple[str, ...]:
        """The ready lists, one for each priority step, in the order in which they are served."""
        name = self.layout.prefix + self.name
        return tuple(f"{name}{self.layout.separator}{step}" if step else name for step in self.layout.priority_steps)

    def key(self, *parts: str) -> str:
        """Return the name of one of the keys of the catalogue, such as ``key("dead", "records")``."""
        return self.base + ":".join(parts)

    def lane(self, worker: str) -> tuple[str, ...]:
        """Return the lists of a worker's lane, one for each priority step, in the order in which they are served."""
        name = f"{self.layout.prefix}{self.name}@{worker}"
        return tuple(f"{name}{self.layout.separator}{step}" if step else name for step in self.layout.priority_steps)

    def lane_wake(self, worker: str) -> str:
        """Return the list on which the worker of a lane waits for what is put there."""
        return self.key("wake", worker)

    def keys(self, *names: str) -> list[str]:
        """Return several names at once, in the given order."""
        return [self.base + name for name in names]

    def of_consumer(self, consumer: str) -> list[str]:
        """Return what a consumer holds here: in flight, started, last claim."""
        return [self.base + kind + consumer for kind in ("inflight:", "started:", "claimed:")]


def distinct(queues: Sequence[str]) -> list[str]:
    """Return the queues in order, each once."""
    return list(dict.fromkeys(queues))
