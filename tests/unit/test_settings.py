"""Settings: sources in order, unknown keys, relations, and where each value came from."""

from pathlib import Path

import pytest

from hive.errors import SettingsError
from hive.settings import explain_settings, load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_later_sources_win_and_each_value_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hive.toml").write_text("[delivery]\nlease_s = 9\nmax_deliveries = 5\nrenew_every_s = 1.0\n")
    monkeypatch.setenv("HIVE_DELIVERY_MAX_DELIVERIES", "7")
    settings, rows = explain_settings(delivery={"renew_every_s": 2.0})
    found = {row.key: (row.value, row.source) for row in rows}
    assert found["delivery.lease_s"] == (9.0, "hive.toml")
    assert found["delivery.max_deliveries"] == (7, "HIVE_DELIVERY_MAX_DELIVERIES")
    assert found["delivery.renew_every_s"] == (2.0, "argument")
    assert found["delivery.reap_every_s"] == (0.5, "default")
    assert settings.delivery.max_deliveries == 7


@pytest.mark.parametrize(
    ("toml", "environ", "sentence"),
    [
        (
            "[delivery]\nleas_s = 9\n",
            {},
            "hive.toml sets 'delivery.leas_s', which is no setting; did you mean 'delivery.lease_s'?",
        ),
        (
            "[fleet]\nagent_types = []\n",
            {},
            "no setting; known are fleet.beat, fleet.flower_auth, fleet.flower_port, [a-z_., ]+$",
        ),
        ("[autoscaling]\nx = 1\n", {}, "no setting; did you mean 'scaling'?"),
        ("", {"HIVE_FLEET_Q": "x"}, "HIVE_FLEET_Q is no setting; (did you mean|known are) '?HIVE_FLEET_"),
        ("", {"HIVE_BROKR_URL": "x"}, "HIVE_BROKR_URL is no setting; did you mean 'HIVE_BROKER_URL'?"),
        ("[delivery]\nlease_s = 3\n", {}, "renew_every_s .* must be at most a third of delivery.lease_s"),
        ("[delivery]\nreap_every_s = 4\n", {}, "reap_every_s .* at most a fifth"),
        ("", {"HIVE_DELIVERY_LEASE_S": "soon"}, "HIVE_DELIVERY_LEASE_S: delivery.lease_s = 'soon'"),
        ("[delivery\n", {}, "hive.toml is not valid TOML"),
        ("[breakers.llm]\nopen = 3\n", {}, "breakers.llm.open is no setting; did you mean 'open_s'"),
        ("[breakers.llm]\nopen_s = -3\n", {}, "breakers.llm.open_s = -3: Input should be greater"),
        (
            '[backpressure.queues."q.1"]\nmax_lenth = 3\n',
            {},
            r"q\.1\.max_length must be set; hive.toml: backpressure\.queues.q\.1.max_lenth is no setting; did you mean 'max_l",
        ),
        ("", {"HIVE_IMPORTS": "a,b"}, "written as JSON"),
        ('[broker]\nurl = "amqp://localhost"\n', {}, r"hive.toml: broker.url = \.\.\.: .* begins with redis:// or"),
        ("", {"HIVE_BROKER_URL": "localhost:6379"}, r"HIVE_BROKER_URL: broker.url = \.\.\.: .* begins with redis://"),
        ("", {"HIVE_BROKER_URL": "redis://one;amqp://two"}, "begins with redis://"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, toml: str, environ: dict[str, str], sentence: str
) -> None:
    Path("hive.toml").write_text(toml)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence):
        load_settings()


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVE_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load_settings()


def test_the_brokers_password_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVE_BROKER_URL", "redis://:geheim@localhost")
    settings, rows = explain_settings()
    assert "geheim" not in repr(settings) + repr(rows)
    assert settings.broker.url is not None
    assert "geheim" in settings.broker.url.get_secret_value()
    monkeypatch.setenv("HIVE_BROKER_URL", "http://:geheim@localhost")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "geheim" not in str(refused.value)


def test_every_setting_says_what_it_means() -> None:
    silent = [row.key for row in explain_settings()[1] if len(row.description) < 20]
    assert silent == []
