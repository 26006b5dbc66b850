"""``docker-compose.yml`` against the agent types, and every one of its command lines run for real."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hive import load_settings
from hive.agents import load_registry
from hive.runtime.binary import find_server
from tests.support.eventually import eventually
from tests.support.flower import FlowerClient
from tests.support.hive_home import ROOT, HiveHome
from tests.support.redis_server import free_port

#: What a worker's main process takes beside its slots, in megabytes.
MAIN_PROCESS_MB = 128

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TYPES = load_registry()


def limits(service: dict[str, Any]) -> tuple[float, int]:
    """Return cores and megabytes."""
    limit = service["deploy"]["resources"]["limits"]
    return float(limit["cpus"]), int(limit["memory"].removesuffix("M"))


def test_there_is_a_service_for_each_part() -> None:
    assert set(SERVICES) == {*TYPES, "broker", "beat", "flower"}
    assert all(limits(service) for service in SERVICES.values())


@pytest.mark.parametrize("name", list(TYPES))
def test_a_pool_fits_its_agent_type_and_can_be_multiplied(name: str) -> None:
    service, needs = SERVICES[name], TYPES[name].needs
    assert service["command"] == ["hive", "worker", name]
    assert limits(service) == (needs.cores, needs.memory_mb + MAIN_PROCESS_MB)
    assert not {"container_name", "ports", "hostname"} & set(service)
    assert "replicas" not in service["deploy"]
    assert service["depends_on"]["broker"]["condition"] == "service_healthy"
    assert int(service["stop_grace_period"].removesuffix("s")) > load_settings().worker.grace_s


def test_the_broker_keeps_what_it_is_given_and_is_not_published() -> None:
    broker = SERVICES["broker"]
    assert broker["volumes"] == ["broker:/data"]
    assert "broker" in COMPOSE["volumes"]
    assert "ports" not in broker
    assert "valkey-cli ping" in broker["healthcheck"]["test"][1]


def test_flower_has_no_password_of_its_own_and_listens_on_this_host_only() -> None:
    flower = SERVICES["flower"]
    assert flower["environment"]["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")
    assert flower["ports"] == ["127.0.0.1:5555:5555"]


def test_the_image_is_built_from_what_is_there() -> None:
    built = COMPOSE["x-hive"]["build"]["dockerfile_inline"]
    copied = [word for line in re.findall(r"^COPY (.+)$", built, re.MULTILINE) for word in shlex.split(line)[:-1]]
    assert {"pyproject.toml", "hive", "workers", "celeryconfig.py"} <= set(copied)
    kept = (ROOT / ".dockerignore").read_text().split()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    assert "USER hive" in built


@pytest.mark.acceptance
def test_every_command_line_runs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "celeryconfig.py", tmp_path)
    home = HiveHome(tmp_path / "home")
    broker_port, flower_port = free_port(), free_port()
    url = f"redis://127.0.0.1:{broker_port}/0"
    environ = {"HIVE_BROKER_URL": url, "HIVE_APP": "", "FLOWER_BASIC_AUTH": "me:secret"}
    command = [str(find_server().path), *SERVICES["broker"]["command"][1:]]
    broker = subprocess.Popen([*command, "--port", str(broker_port), "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        eventually((tmp_path / "appendonlydir").exists, what="the broker keeps its data")
        for name in (*TYPES, "beat", "flower"):
            words = [str(flower_port) if word == "5555" else word for word in SERVICES[name]["command"]]
            home.start(*words, cwd=tmp_path, log=tmp_path / f"{name}.log", **environ)
        flower = FlowerClient(flower_port, "me", "secret")
        nodes = eventually(
            lambda: len(found := flower.online()) == len(TYPES) and found, 200, what="ten workers online"
        )
        assert {node.partition("@")[0] for node in nodes} == set(TYPES)
        eventually(lambda: "beat: Starting" in (tmp_path / "beat.log").read_text())
    finally:
        home.close()
        broker.terminate()
        broker.wait(60)
