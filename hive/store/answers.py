"""Last good answers, kept on the broker for times in which a task may not run."""

from hive.store.caller import Caller


class Answers(Caller):
    """Keeping and finding answers by name."""

    def keep_answer(self, name: str, answer: bytes, *, ttl_s: float) -> None:
        """Keep an answer in place of the one before it. Safe to repeat.

        Args:
            name: of the call: its task and what makes two calls the same.
            answer: encoded.
            ttl_s: seconds it is kept.

        Raises:
            BrokerGoneError: no reply.
            BrokerFullError: no room for it; the one before it is still there.
        """
        self.call("keep_answer", [self._answer_key(name)], self.now_argument(), answer, round(ttl_s * 1000))

    def answer(self, name: str) -> tuple[bytes, float] | None:
        """Return the last answer kept under a name and its age in seconds; None: there is none any more.

        Raises:
            BrokerGoneError: no reply.
        """
        found = self.call("answer", [self._answer_key(name)], self.now_argument())
        return (found[0], int(found[1]) / 1000) if found else None

    def _answer_key(self, name: str) -> str:
        task, _, same = name.rpartition(":")
        return self.layout.shared(task, "answer", same)
