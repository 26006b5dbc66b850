"""What must not be cut in two by a signal."""

import signal
import threading

import pytest

from hive.runtime.supervision.interrupts import uninterrupted


def test_an_interrupt_waits_for_the_end_of_the_step_and_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGINT)
    done = []

    def step() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("noted")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done == ["noted"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_step_that_fails_meanwhile_says_so_with_the_interrupt() -> None:
    def step() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            raise OSError("no process")

    with pytest.raises(KeyboardInterrupt) as caught:
        step()
    assert isinstance(caught.value.__context__, OSError)


def test_another_thread_leaves_handlers_alone() -> None:
    seen = []

    def step() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
