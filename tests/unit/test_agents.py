"""Agent types: the ten of hive, those of settings, and names nobody declared."""

import pytest

from hive.agents import BUILTIN, AgentType, Registry, load_registry
from hive.errors import SettingsError, UnknownAgentTypeError


def test_there_are_ten_and_one_of_them_is_the_fallback() -> None:
    registry = load_registry()
    assert len(registry) == len(BUILTIN) == 10
    assert registry.fallback.name == "general_developer"
    assert {kind for agent in registry.values() for kind in agent.kinds} == set(registry.fallback.kinds)
    assert registry["code_reviewer"].queue == "agent.code_reviewer"


def test_the_settings_add_a_type_and_change_a_field() -> None:
    registry = load_registry({"sql_tuner": {"domains": ["sql"]}, "code_reviewer": {"pool": "threads"}})
    assert registry["sql_tuner"].queue == "agent.sql_tuner"
    assert registry["code_reviewer"].pool == "threads"
    assert registry["code_reviewer"].proficiency("review") == 0.9
    assert len(registry) == 11


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sql_tuner": {"domain": []}}, "did you mean 'domains'"),
        ({"SQL": {}}, "lower case"),
        ({"sql_tuner": {"time_limit_s": 5}}, "must be below"),
        ({"sql_tuner": {"workers": {"minimum": 5, "maximum": 2}}}, r"workers: minimum \(5\) is above maximum \(2\)"),
        ({"sql_tuner": {"capabilities": [{"kind": "x", "proficiency": 2}]}}, "less than or equal to 1"),
    ],
)
def test_a_malformed_declaration_is_one_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_registry(changes)


def test_an_unknown_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(UnknownAgentTypeError, match="did you mean 'code_reviewer'"):
        load_registry().require("code_reviewr", task="shop.review")


def test_a_name_is_declared_once_and_the_fallback_must_be_there() -> None:
    with pytest.raises(SettingsError, match="twice"):
        Registry([*BUILTIN, BUILTIN[0]])
    with pytest.raises(SettingsError, match="general_developer"):
        Registry([AgentType(name="only")])
