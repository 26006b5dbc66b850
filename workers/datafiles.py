"""Configuration and data in TOML, JSON, YAML and INI: whether they can be read at all, and keys given twice.

Nothing is built from what is read: of YAML only the parser's events are looked at, so that neither a tag nor a nest of
aliases costs anything, and a nest of brackets (which ends the process when libyaml composes it) is cut off.
"""

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from workers.text import Remark

#: JSON files that tools let hold comments.
_WITH_COMMENTS = re.compile(r"^(tsconfig.*|jsconfig.*|devcontainer|\.eslintrc|.*\.code-workspace)\.json$")
_TOML_NAMES = {"poetry.lock", "uv.lock", "pdm.lock", "Pipfile"}
_JSON_NAMES = {"Pipfile.lock", "composer.lock"}
_INI_NAMES = {"setup.cfg", ".coveragerc", ".pylintrc", ".flake8"}
_TOML_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_TEMPLATE = re.compile(r"\{\{|\{%")
#: Levels of nesting beyond which a YAML file is no configuration.
MAX_DEPTH = 500
_TOO_DEEP = "it is nested too deeply to be read"

Check = Callable[[str], Iterator[Remark]]


def check_for(path: str) -> Check | None:
    """Return the check for a file by its name, or None if it is no data file."""
    name = PurePosixPath(path).name
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".toml" or name in _TOML_NAMES:
        return check_toml
    if (suffix in {".json", ".ipynb"} and not _WITH_COMMENTS.match(name)) or name in _JSON_NAMES:
        return check_json
    if suffix in {".yaml", ".yml"}:
        return check_yaml
    return check_ini if suffix == ".ini" or name in _INI_NAMES else None


def check_toml(text: str) -> Iterator[Remark]:
    """Yield a remark if a text is no TOML."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        place = _TOML_PLACE.search(str(exc))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 0)
        message = _TOML_PLACE.sub("", str(exc)).strip()
        yield Remark(rule="invalid-toml", line=line, column=column, message=f"this is no TOML: {message}")
    except RecursionError:
        yield Remark(rule="invalid-toml", message=_TOO_DEEP)


def check_json(text: str) -> Iterator[Remark]:
    """Yield a remark if a text is no JSON, or one for each key that an object has twice."""
    repeated: list[str] = []

    def keep_keys(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        repeated.extend(sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else ())

    try:
        # Numbers stay text: a number of five thousand digits is valid JSON.
        json.loads(text, object_pairs_hook=keep_keys, parse_int=str, parse_float=str)
    except json.JSONDecodeError as exc:
        message = f"this is no JSON: {exc.msg}"
        yield Remark(rule="invalid-json", line=exc.lineno, column=exc.colno, message=message)
    except RecursionError:
        yield Remark(rule="invalid-json", message=_TOO_DEEP)
    for key in repeated:
        places = [
            match.start() for match in re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
        ]
        line = text.count("\n", 0, places[-1]) + 1 if places else 0
        yield Remark(rule="duplicate-key", line=line, message=f"an object has the key {key!r} twice: the last counts")


def check_yaml(text: str) -> Iterator[Remark]:
    """Yield a remark if a text is no YAML, or one for each key that a mapping has twice.

    A text with template marks that is no YAML is left alone: it will be some once it is filled in.
    """
    keys = _Keys()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            keys.take(event)
    except yaml.MarkedYAMLError as exc:
        line, column = _place(exc.problem_mark or exc.context_mark)
        if not _TEMPLATE.search(text):
            yield Remark(rule="invalid-yaml", line=line, column=column, message=f"this is no YAML: {exc.problem}")
    except yaml.YAMLError as exc:
        yield Remark(rule="invalid-yaml", message=f"this is no YAML: {str(exc).splitlines()[0]}")
    else:
        yield from keys.repeated


def check_ini(text: str) -> Iterator[Remark]:
    """Yield a remark if a text cannot be read as an INI file."""
    parser = configparser.RawConfigParser(strict=True, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.DuplicateOptionError as exc:
        message = f"the option {exc.option!r} of [{exc.section}] is given twice"
        yield Remark(rule="duplicate-key", line=exc.lineno or 0, message=message)
    except configparser.DuplicateSectionError as exc:
        yield Remark(rule="duplicate-key", line=exc.lineno or 0, message=f"[{exc.section}] is given twice")
    except configparser.MissingSectionHeaderError as exc:
        yield Remark(rule="invalid-ini", line=exc.lineno, message="an option stands before the first [section]")
    except configparser.ParsingError as exc:
        yield Remark(rule="invalid-ini", line=exc.errors[0][0], message="this line is neither a section nor an option")


def _place(mark: Any) -> tuple[int, int]:
    """Return the line and column of a mark of PyYAML's, from 1."""
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


class _Keys:
    """Follows a YAML parser's events, and notes keys that a mapping has twice.

    Attributes:
        repeated: a remark for each.
    """

    def __init__(self) -> None:
        self.repeated: list[Remark] = []
        # For each open collection: the keys of a mapping, None for a sequence; and whether a key comes next.
        self._open: list[tuple[set[tuple[str, str]] | None, bool]] = []
        self._anchors: set[str] = set()

    def take(self, event: yaml.Event) -> None:
        """Take in the next event.

        Raises:
            MarkedYAMLError: it is nested too deeply, or an alias names no anchor.
        """
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: yaml.NodeEvent) -> None:
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent) and event.anchor not in self._anchors:
            raise yaml.MarkedYAMLError(problem=f"undefined alias {event.anchor!r}", problem_mark=mark)
        if event.anchor is not None:
            self._anchors.add(event.anchor)
        if self._open:
            keys, is_key = self._open[-1]
            if keys is not None and is_key and isinstance(event, yaml.ScalarEvent):
                self._key(keys, event)
            self._open[-1] = (keys, not is_key)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
            self._open.append((set() if isinstance(event, yaml.MappingStartEvent) else None, True))

    def _key(self, keys: set[tuple[str, str]], event: yaml.ScalarEvent) -> None:
        line, column = _place(event.start_mark)
        key = (event.tag or ("" if event.implicit[0] else "!"), event.value)
        # A merge key may be repeated.
        if key in keys and event.value != "<<":
            self.repeated.append(
                Remark(
                    rule="duplicate-key",
                    line=line,
                    column=column,
                    message=f"a mapping has the key {event.value!r} twice: the last counts",
                )
            )
        keys.add(key)
