"""Workers of one home that were given no name have names of their own."""

from pathlib import Path

from hive.runtime.home import Home
from hive.runtime.supervision.node_name import NodeName


def test_a_second_worker_of_a_type_has_a_name_of_its_own_and_a_name_is_free_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    first, second, other = NodeName(home, "shop"), NodeName(home, "shop"), NodeName(home, "bank")
    assert [one.name for one in (first, second, other)] == ["shop@%h", "shop-2@%h", "bank@%h"]
    first.release()
    assert NodeName(home, "shop").name == "shop@%h"
