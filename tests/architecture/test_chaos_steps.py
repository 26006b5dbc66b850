"""The chaos suite kills a process at each step on the broker; a step that it cannot reach is no promise."""

from tests.chaos.steps import scripts
from tests.chaos.stimuli import STIMULI

REACHED = {way.split()[0] for way in STIMULI}


def test_each_script_has_a_stimulus_that_makes_a_process_take_it() -> None:
    unreached = sorted(set(scripts()) - REACHED)
    assert not unreached, f"say in STIMULI of tests/chaos/stimuli.py what makes a process call {', '.join(unreached)}"


def test_each_stimulus_is_for_a_script() -> None:
    gone = sorted(REACHED - set(scripts()))
    assert not gone, f"take {', '.join(gone)} out of tests/chaos/stimuli.py: there is no such script"
