"""A broker time that only a test moves."""


class BrokerClock:
    """Returns the time in milliseconds that the test has set."""

    now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms
