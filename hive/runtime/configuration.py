"""Celery's settings of an application, found in a tenth of the time."""

from typing import Any

from celery.app.utils import Settings


class Configuration(Settings):
    """Celery's settings object; a call of ``.delay()`` asks it seven times.

    Only the names under which a setting may stand are remembered, never a value: a change at run time is seen at once,
    wherever it was made.
    """

    @classmethod
    def of(cls, settings: Settings) -> "Configuration":
        """Return the same settings; both share the dictionaries they stand in."""
        # Celery's constructor would write a setting.
        found = cls.__new__(cls)
        found.__dict__.update(vars(settings), _names={})
        return found

    def __getitem__(self, key: str) -> Any:
        known = self.__dict__
        names = known["_names"].get(key)
        if names is None:
            names = known["_names"][key] = tuple(dict.fromkeys(self._key(name) for name in self._to_keys(key)))
        for mapping in known["maps"]:
            for name in names:
                # What is no dict (a module, settings not read yet) says whether it has a name only when it is asked.
                if isinstance(mapping, dict) and name not in mapping:
                    continue
                try:
                    return mapping[name]
                except KeyError:
                    continue
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def swap_with(self, other: Any) -> None:
        """Become what ``other`` is, as Celery does once the settings are read."""
        super().swap_with(other)
        self.__dict__["_names"] = {}

    def copy(self) -> "Configuration":
        """Return settings that can be changed alone."""
        return Configuration.of(super().copy())

    __copy__ = copy
