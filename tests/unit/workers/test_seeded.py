"""Each agent finds every seeded defect, at its line and under its rule, and nothing else; nothing in the clean twin."""

from typing import Any

import pytest

from tests.support.seeded import FIXTURES, places, run, seeds, unit_of
from workers import bug_hunter, code_architect, code_reviewer, performance_optimizer, security_analyst

AGENTS = {
    "bug_hunter": (bug_hunter.review, bug_hunter.dead_code),
    "code_architect": (code_architect.review,),
    "code_reviewer": (code_reviewer.review,),
    "performance_optimizer": (performance_optimizer.review,),
    "security_analyst": (security_analyst.review,),
}


@pytest.mark.parametrize("agent", AGENTS)
def test_all_seeded_defects_are_found_and_none_invented(agent: str) -> None:
    unit = unit_of(FIXTURES / agent / "seeded")
    found = [finding for task in AGENTS[agent] for finding in run(task, unit).findings]
    assert len(seeds(unit)) >= 2
    assert places(found) == seeds(unit)
    assert {finding.agent for finding in found} == {agent}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_clean_twin_has_no_finding(agent: str) -> None:
    unit = unit_of(FIXTURES / agent / "clean")
    for task in AGENTS[agent]:
        outcome = run(task, unit)
        assert unit.files
        assert (outcome.findings, outcome.skipped) == ((), ())


@pytest.mark.parametrize("task", [task for tasks in AGENTS.values() for task in tasks], ids=lambda task: task.name)
def test_a_task_takes_and_returns_what_json_can_carry_and_repeats_itself(task: Any) -> None:
    unit = unit_of(FIXTURES / task.agent_type / "seeded")
    first, second = (task.apply(args=[unit.model_dump(mode="json")]).get() for _ in range(2))
    assert first["findings"] == second["findings"]
    assert first["facts"] == second["facts"]
    assert task.name.startswith(f"workers.{task.agent_type}.")


def test_secrets_are_found_in_files_that_are_no_python() -> None:
    seeded, clean = (unit_of(FIXTURES / "security_analyst" / kind, "*.ini") for kind in ("seeded", "clean"))
    assert places(run(security_analyst.secrets, seeded).findings) == [("shop/settings.ini", 3, "BasicAuthDetector")]
    assert run(security_analyst.secrets, clean).findings == ()


def test_a_secret_is_not_repeated_in_the_finding() -> None:
    findings = run(security_analyst.review, unit_of(FIXTURES / "security_analyst" / "seeded")).findings
    assert not [finding for finding in findings if "AKIA" in finding.message]


def test_the_architect_tells_cycles_levels_and_fan() -> None:
    facts = run(code_architect.review, unit_of(FIXTURES / "code_architect" / "seeded")).facts
    assert facts["cycles"] == [["shop.customers", "shop.invoices", "shop.orders"]]
    assert facts["hidden_cycles"] == [["shop.prices", "shop.taxes"]]
    assert facts["layers"] == [
        ["shop", "shop.prices"],
        ["shop.customers", "shop.invoices", "shop.orders", "shop.taxes"],
    ]
    modules = {fact["module"]: (fact["level"], fact["fan_in"], fact["fan_out"]) for fact in facts["modules"]}
    assert modules["shop.orders"] == (1, 1, 2)
    assert modules["shop.prices"] == (0, 2, 1)
