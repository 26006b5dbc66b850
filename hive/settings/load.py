"""Loading settings: the sources in order, unknown keys, and where each value came from."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hive.errors import SettingsError, suggestion
from hive.settings.model import Settings

#: Variables that begin like settings and are none: where the file is, which application a command serves, and what
#: only tests read.
NOT_SETTINGS = frozenset({"HIVE_CONFIG", "HIVE_APP", "HIVE_DATA_DIR", "HIVE_TEST_REDIS_URL"})


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


def config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the settings file: ``HIVE_CONFIG``, else ``hive.toml`` in the working directory, else none.

    Raises:
        SettingsError: ``HIVE_CONFIG`` names a file that is not there.
    """
    named = environ.get("HIVE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsError(f"HIVE_CONFIG names {named!r}, which is not a file")
        return Path(named)
    here = Path("hive.toml")
    return here if here.is_file() else None


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Load and check all settings.

    Args:
        environ: variables to read; the process's own if not given.
        overrides: parts or values set in code, which win over every other source.

    Raises:
        SettingsError: a key is unknown, a value is malformed, or two values contradict each other.
    """
    return explain_settings(environ, **overrides)[0]


def explain_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> tuple[Settings, list[Provenance]]:
    """Like :func:`load_settings`, and say of every value where it came from."""
    environ = os.environ if environ is None else environ
    path = config_file(environ)
    layers = [
        (str(path), _flatten(_from_file(path))) if path else ("", {}),
        *((name, {key: value}) for name, key, value in _from_environ(environ)),
        ("argument", _flatten(overrides)),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    settings = _build(values, sources)
    return settings, _provenance(settings, sources)


def _fields() -> dict[str, str]:
    """Every dotted key with its description; the free table ``agents`` counts as one key."""
    known: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            known |= {f"{name}.{inner}": f.description or "" for inner, f in part.model_fields.items()}
        else:
            known[name] = field.description or ""
    return known


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_unset=True)
        if isinstance(value, Mapping) and name != "agents":
            flat |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            flat[name] = value
    return flat


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}") from exc


def _from_environ(environ: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    variables = {"HIVE_" + key.replace(".", "_").upper(): key for key in _fields()}
    found: list[tuple[str, str, Any]] = []
    for name in sorted(environ):
        if not name.startswith("HIVE_") or name in NOT_SETTINGS:
            continue
        if name not in variables or variables[name] == "agents":
            raise SettingsError(f"the environment variable {name} is no setting{suggestion(name, variables)}")
        value: Any = environ[name]
        if variables[name] == "imports":
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        found.append((name, variables[name], value))
    return found


def _build(values: dict[str, Any], sources: dict[str, str]) -> Settings:
    known = _fields()
    for key in values:
        if key not in known:
            raise SettingsError(f"{sources[key]} sets {key!r}, which is no setting{suggestion(key, known)}")
    tree: dict[str, Any] = {}
    for key, value in values.items():
        part, _, inner = key.partition(".")
        if inner:
            tree.setdefault(part, {})[inner] = value
        else:
            tree[part] = value
    try:
        # The environment was read above, with the name of each variable kept: pydantic must not read it again.
        return _Checked(**tree)
    except ValidationError as exc:
        raise SettingsError(_sentence(exc, sources)) from exc


class _Checked(Settings):
    """The same settings, taking values only from what :func:`load_settings` collected."""

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> tuple[Any, ...]:
        return (init_settings,)


def _sentence(exc: ValidationError, sources: dict[str, str]) -> str:
    problems = []
    for error in exc.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in error["loc"])
        message = error["msg"].removeprefix("Value error, ")
        problems.append(f"{sources.get(key, 'settings')}: {key} = {error['input']!r}: {message}" if key else message)
    return "; ".join(problems)


def _provenance(settings: Settings, sources: dict[str, str]) -> list[Provenance]:
    rows = []
    for key, description in _fields().items():
        part, _, inner = key.partition(".")
        value = getattr(settings, part)
        value = getattr(value, inner) if inner else value
        rows.append(Provenance(key=key, value=value, source=sources.get(key, "default"), description=description))
    return rows
