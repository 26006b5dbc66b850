"""What a task declares of itself is an error where it is defined, if it cannot be meant."""

from typing import Any

import pytest

from hive import Hive, Limit, Unique

LIMIT = Limit.requests(5, per_s=1, key="openai")


def defined(**options: Any) -> Any:
    app: Any = Hive("declaring", broker="memory://", set_as_current=False)

    @app.task(name="declaring.task", shared=False, **options)
    def task(tenant: str) -> str:
        return tenant

    return app.tasks["declaring.task"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"breaker": 5}, "breaker=5: write a name"),
        ({"breaker": [LIMIT]}, "breaker=.* write a name, or a list of names"),
        ({"limits": LIMIT}, r"limits=.* write a list, such as \[Limit"),
        ({"limits": ["openai"]}, r"limits=\['openai'\]: write a list"),
        ({"exclusive": 1}, "exclusive=1: write a name"),
        ({"fair_key": 7}, "fair_key=7: write a template"),
        ({"affinity": ["{tenant}"]}, "affinity=.* write a template"),
        ({"unique": True}, "unique=True: write Unique"),
        ({"exclusive": "repo:{"}, "exclusive='repo:{' is no template"),
        ({"affinity": "}"}, "affinity='}' is no template"),
        ({"needs": 100}, r"needs=100: write Resources\(memory_mb"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError, match=f"task 'declaring.task': {sentence}"):
        defined(**options)


def test_what_can_be_meant_is_taken() -> None:
    task = defined(
        breaker=("openai", "search"),
        limits=[LIMIT],
        fair_key="{tenant}",
        affinity="{tenant}",
        unique=Unique(within_s=5),
    )
    assert task.limits == [LIMIT]
