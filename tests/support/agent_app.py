"""The README's agent: a pydantic-ai agent with a tool, streaming its answer, as a coroutine task."""

import os

from celery import current_task
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from hive import Hive

app = Hive("agents", broker=os.environ["AGENT_BROKER"], backend=os.environ["AGENT_BROKER"])
app.conf.update(worker_pool="hive.pools:AsyncioPool", worker_concurrency=100)


@app.lifespan
async def models(_app: Hive):
    provider = OpenAIProvider(base_url=os.environ["AGENT_MODEL_URL"], api_key="none")
    async with provider.client:
        agent = Agent(OpenAIChatModel("small", provider=provider), instructions="Count words with your tool.")

        @agent.tool_plain
        async def count_words(text: str) -> int:
            """Count the words of a text."""
            return len(text.split())

        yield {"counter": agent}


@app.task(agent_type="documentation_writer", soft_time_limit=60)
async def describe(text: str) -> dict[str, object]:
    async with app.lifespan["counter"].run_stream(text) as answer:
        pieces = [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
    return {"answer": "".join(pieces), "pieces": len(pieces), "task": current_task.request.id}
