"""Rest: the scheduler that puts idle agents to sleep, wakes them ahead of their messages, and consolidates them.

A round every five minutes, fired by beat and run by whichever worker takes it::

    arrivals per agent ──► IdlenessForecaster ──► decide() per agent ──► judge() for the fleet ──► act
    (hive.agents: messages)  (hive.learning)        (hive.consolidation: decision, safety)          only if mode and flag say so

Modes: ``shadow`` (the default) decides and records; ``validation`` also consolidates dry; ``live`` acts on the agents that
the flag's stage (0, 1, 10, 25, 50, 100 %) reaches. In each of them what is foretold of an agent's next half hour is judged
by what really came, so ``hive schedule rest`` shows how right it would have been before anybody lets it act.

===================================== ===============================================================================
what happens                          what follows
===================================== ===============================================================================
two rounds at once                    the second finds the first leading and does nothing; one that takes longer than its hold
                                      extends it before each act, and acts no more once another leads
memories cannot be read               nobody is consolidated in that round, all else goes on
the process dies in a round           what it did stands (each move is a compare and set); the next round goes on
no round for a while                  what arrived meanwhile is spread over the intervals that passed
the flag is rolled back, or stopped   read before each act: from the next act on nothing happens, in any process; agents
                                      that this scheduler put to sleep are woken by the next round, unless stopped
sleeps or consolidations fail         five in five minutes (three in ten) open a breaker for ten minutes; past 5 % of the
                                      moves of a stage the flag goes back by itself
the broker is away                    the round fails, and beat fires the next
===================================== ===============================================================================

No message waits for any of this: a message wakes its agent whatever is decided here.
"""
