"""Loading settings: the sources in order, unknown keys, and where each value came from."""

import json
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hive.errors import SettingsError, suggestion
from hive.settings.model import Settings
from hive.settings.problems import problems

PREFIX = "HIVE_"

#: Variables that begin like settings and are none: where the file is, which application a command serves, and what
#: only tests read.
NOT_SETTINGS = frozenset(
    {"HIVE_CONFIG", "HIVE_APP", "HIVE_CHILD_PIPES", "HIVE_DATA_DIR", "HIVE_TEST_REDIS_URL", "HIVE_TEST_SEED"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One value and where it came from.

    Attributes:
        key: dotted name, ``delivery.lease_s``.
        value: as checked; secrets print as stars.
        source: ``default``, the path of the file, the name of the variable, or ``argument``.
        description: unit, meaning and consequence.
    """

    key: str
    value: Any
    source: str
    description: str


def config_file() -> Path | None:
    """Return the settings file: ``HIVE_CONFIG``, else ``hive.toml`` in the working directory, else none.

    Raises:
        SettingsError: ``HIVE_CONFIG`` names a file that is not there.
    """
    named = os.environ.get("HIVE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsError(f"HIVE_CONFIG names {named!r}, which is not a file")
        return Path(named)
    here = Path("hive.toml")
    return here if here.is_file() else None


def load_settings(**overrides: Any) -> Settings:
    """Load and check all settings.

    Args:
        overrides: parts or values set in code, which win over every other source.

    Raises:
        SettingsError: a key is unknown, a value is malformed, or two values contradict each other.
    """
    return explain_settings(**overrides)[0]


def explain_settings(**overrides: Any) -> tuple[Settings, list[Provenance]]:
    """Like :func:`load_settings`, and say of every value where it came from."""
    path = config_file()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in ((str(path), _from_file(path)), ("", _from_environ()), ("argument", _flatten(overrides))):
        values |= layer
        sources |= {key: source or _variable(key) for key in layer}
    settings = _build(values, sources)
    return settings, _provenance(settings, sources)


#: Tables with keys of the user's own.
FREE_TABLES = frozenset({"agents", "breakers"})


def _fields() -> dict[str, FieldInfo]:
    """Every dotted key with its field; a free table counts as one key."""
    known: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            known |= {f"{name}.{inner}": f for inner, f in part.model_fields.items()}
        else:
            known[name] = field
    return known


def _parts() -> list[str]:
    """Return the tables of the settings, and what stands outside of them."""
    return sorted({key.partition(".")[0] for key in _fields()})


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "_").upper()


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        inner = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        if isinstance(inner, Mapping) and name not in FREE_TABLES:
            flat |= {f"{name}.{key}": v for key, v in inner.items()}
        else:
            flat[name] = inner
    return flat


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return _flatten(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}") from exc


def _from_environ() -> dict[str, Any]:
    known = {_variable(key): (key, field) for key, field in _fields().items()}
    values: dict[str, Any] = {}
    for name in sorted(os.environ):
        if name in known:
            key, field = known[name]
            values[key] = _read(name, os.environ[name], field)
        elif name.startswith(PREFIX) and name not in NOT_SETTINGS:
            parts = [_variable(f"{part}.") for part in _parts() if name.startswith(_variable(f"{part}."))]
            near = [one for one in known if any(one.startswith(part) for part in parts)] or known
            raise SettingsError(f"the environment variable {name} is no setting{suggestion(name, near)}")
    return values


def _read(name: str, text: str, field: FieldInfo) -> Any:
    """Return the value of a variable: lists and tables are JSON, the rest is checked as it stands."""
    kind = get_origin(field.annotation)
    if not (isinstance(kind, type) and issubclass(kind, Collection)):
        return text
    try:
        return json.loads(text)
    except ValueError as exc:
        raise SettingsError(f"the environment variable {name}: {exc} (lists and tables are written as JSON)") from exc


def _build(values: dict[str, Any], sources: dict[str, str]) -> Settings:
    known = _fields()
    for key in values:
        if key not in known:
            part = key.partition(".")[0]
            near = [one for one in known if one.startswith(f"{part}.")] if "." in key else []
            hint = suggestion(key, near) if near else suggestion(part, _parts())
            raise SettingsError(f"{sources[key]} sets {key!r}, which is no setting{hint}")
    tree: dict[str, Any] = {}
    for key, value in values.items():
        part, _, inner = key.partition(".")
        if inner:
            tree.setdefault(part, {})[inner] = value
        else:
            tree[part] = value
    try:
        return Settings(**tree)
    except ValidationError as exc:
        raise SettingsError(_sentence(exc, sources)) from exc


def _sentence(exc: ValidationError, sources: dict[str, str]) -> str:
    found = problems(exc, Settings)
    return "; ".join(f"{_source(key, sources)}: {sentence}" if key else sentence for key, sentence in found)


def _source(key: str, sources: dict[str, str]) -> str:
    """Return where a key was set, or the table it is in."""
    inside = (known for known in sources if key == known or key.startswith(f"{known}."))
    return sources.get(next(inside, ""), "settings")


def _provenance(settings: Settings, sources: dict[str, str]) -> list[Provenance]:
    rows = []
    for key, field in _fields().items():
        part, _, inner = key.partition(".")
        value = getattr(settings, part)
        value = getattr(value, inner) if inner else value
        source, description = sources.get(key, "default"), field.description or ""
        rows.append(Provenance(key=key, value=value, source=source, description=description))
    return rows
