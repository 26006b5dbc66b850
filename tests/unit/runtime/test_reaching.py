"""What a caller and a command are told where there is no broker."""

from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from hive import Hive, InputError, load_app
from hive.clock import SystemClock

#: Nobody listens on the first port.
NOWHERE = "redis://127.0.0.1:1/0"


def test_a_call_without_a_broker_fails_in_seconds_and_says_what_to_do() -> None:
    app = Hive("alone", broker=NOWHERE)

    @app.task(shared=False, name="alone.add")
    def add(x: int, y: int) -> int:
        return x + y

    clock = SystemClock()
    began_s = clock.monotonic_s()
    with pytest.raises(
        OperationalError, match=r"no broker answers at redis://127\.0\.0\.1:1/0 .*`hive up`.*HIVE_BROKER_URL"
    ):
        add.delay(1, 2)
    assert clock.monotonic_s() - began_s < 8


def test_an_application_that_cannot_be_imported_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("lacking_app.py").write_text("import no_such_module_at_all\n")
    with pytest.raises(InputError, match="No module named 'no_such_module_at_all'; correct that, or name another"):
        load_app("lacking_app:app")
    lines = ["from hive import Hive", f"app = Hive('eager', broker={NOWHERE!r})", "app.send_task('any')"]
    Path("eager_app.py").write_text("\n".join(lines))
    with pytest.raises(InputError, match="sends tasks while it is imported, before there is a broker"):
        load_app("eager_app:app")
