"""A real agent runs as a coroutine task: tools, streaming, many at once on one loop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from tests.support.eventually import eventually
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def test_agents_with_tools_stream_their_answers_many_at_once(own_redis: RedisServer) -> None:
    with ModelServer(think_s=0.1, together=20) as model:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        environment |= {"AGENT_BROKER": own_redis.url, "AGENT_MODEL_URL": model.url}
        command = [sys.executable, "-m", "celery", "-A", "tests.support.agent_app", "worker"]
        command += ["-Q", "agent.documentation_writer", "-l", "warning"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            caller = Celery("caller", broker=own_redis.url, backend=own_redis.url, set_as_current=False)
            eventually(lambda: caller.control.ping(timeout=0.5), what="worker")
            name = "tests.support.agent_app.describe"
            texts = [" ".join(["word"] * count) for count in range(1, 31)]
            results = [caller.send_task(name, (text,), queue="agent.documentation_writer") for text in texts]
            answers = [result.get(timeout=60) for result in results]
        finally:
            process.terminate()
            assert process.wait(60) == 0
    for count, (result, answer) in enumerate(zip(results, answers, strict=True), start=1):
        assert answer == {"answer": f"The text has {count} words.", "pieces": 4, "task": result.id}
    assert len(model.requests) == 2 * len(texts)
    assert all(request["stream"] for request in model.requests)
    assert model.most_at_once >= 20
