"""YAML to frozen settings, strictly: the unknown, the misspelled and the impossible are refused.

Settings are pydantic models that live in the room they configure (``rig.settings``,
``learn.settings``, ``handful_twin.settings``); this file only knows how to read them, override them
with ``key=value`` and say in one sentence what was wrong and what would have been right.
"""

import copy
import difflib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A settings file, key or value that cannot be used; the message names it and the remedy."""


class Settings(BaseModel):
    """Base of every settings group: frozen, strict types, finite numbers, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def load(schema: type[S], source: str | Path, overrides: dict[str, Any] | None = None) -> S:
    """Read ``source`` into ``schema``.

    Args:
        schema: the settings class.
        source: a path ending in ``.yaml``, or the name of a shipped profile such as ``agent/lean``.
        overrides: dotted key -> value, applied on top of the file (see ``parse_overrides``).
    Raises:
        ConfigError: file missing or not YAML, unknown key, wrong type, impossible value.
    """
    values, name = read(source)
    return build(schema, values, name, overrides)


def read(source: str | Path) -> tuple[dict[str, Any], str]:
    """The mapping in a file or shipped profile, not yet checked, and its name for errors.

    Raises:
        ConfigError: file missing, not YAML, or not a mapping.
    """
    text, name = _read(source)
    try:
        values = yaml.load(text, Loader=_StrictLoader) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{name}: expected a mapping of keys to values, got {type(values).__name__}"
        )
    return values, name


def build(
    schema: type[S], values: dict[str, Any], name: str, overrides: dict[str, Any] | None = None
) -> S:
    """Validate a plain mapping into ``schema``; ``name`` is how errors call its source."""
    values = copy.deepcopy(values)
    overrides = overrides or {}
    for dotted, value in overrides.items():
        whole = next((key for key in overrides if dotted.startswith(f"{key}.")), None)
        if whole is not None and not isinstance(overrides[whole], dict):
            raise ConfigError(
                f"{name}: {whole} is set to {overrides[whole]!r} and {dotted} to {value!r}: "
                f"the second would undo the first; say both in one mapping for {whole}"
            )
        _put(values, dotted, value)
    try:
        # Through JSON: strict mode then takes a list for a tuple, as YAML has none, and no more.
        # A date becomes the word it was written as.
        text = json.dumps(values, default=str)
    except ValueError:
        raise ConfigError(f"{name}: a value contains itself, by way of a YAML alias") from None
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(_explain(schema, error, name)) from None


def parse_overrides(pairs: tuple[str, ...] | list[str]) -> dict[str, dict[str, Any]]:
    """``("agent.batch_size=64", ...)`` to ``{"agent": {"batch_size": 64}}``, grouped by first word.

    Values are read as YAML. Raises ``ConfigError`` for a pair without ``=`` or without a group.
    """
    groups: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        group, dot, rest = key.strip().partition(".")
        if not (group and dot and rest and equals):
            raise ConfigError(
                f"--set {pair!r}: expected GROUP.KEY=VALUE, for example agent.batch_size=128"
            )
        try:
            groups.setdefault(group, {})[rest] = yaml.load(value, Loader=_StrictLoader)
        except yaml.YAMLError:
            raise ConfigError(f"--set {pair!r}: {value!r} is not a YAML value") from None
    return groups


def profiles(kind: str) -> list[str]:
    """Names of the shipped profiles of a kind (``agent`` or ``task``)."""
    folder = resources.files("handful_config") / kind
    return sorted(f"{kind}/{p.name[:-5]}" for p in folder.iterdir() if p.name.endswith(".yaml"))


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and reads ``1e-4`` as the number it looks like."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, (str, int, float)):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be one word, got {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_BARE_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def _float_or_str(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    text = str(loader.construct_scalar(node))
    if node.style is None and _BARE_EXPONENT.fullmatch(text):
        return float(text)
    return text


_StrictLoader.add_constructor("tag:yaml.org,2002:str", _float_or_str)


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"{path}: no such settings file")
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
    shipped = resources.files("handful_config").joinpath(f"{source}.yaml")
    if not shipped.is_file():
        kind = str(source).partition("/")[0]
        known = profiles(kind) if (resources.files("handful_config") / kind).is_dir() else []
        raise ConfigError(
            f"{source}: no shipped profile of that name"
            + (f"; there are: {', '.join(known)}" if known else "")
            + "; a file of yours needs its .yaml ending"
        )
    return shipped.read_text(encoding="utf-8"), f"config/{source}.yaml"


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        child = values.get(parent)
        if not isinstance(child, dict):
            child = values[parent] = {}
        values = child
    values[last] = value


def _one_line(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    return f"line {error.problem_mark.line + 1}: {error.problem}"


def _explain(schema: type[Settings], error: ValidationError, name: str) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        if item["type"] == "extra_forbidden":
            known = _known_keys(schema, item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            lines.append(f"{where}: unknown key; {hint}known keys here: {', '.join(known)}")
        elif item["type"] == "missing":
            lines.append(f"{where}: missing, and it has no default")
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message.replace("Input should be an object", "must be a mapping of keys")
            message = message.replace("Input should be", "must be")
            given = item.get("input")
            got = "" if isinstance(given, dict) else f" (got {given!r})"
            lines.append(f"{where}: {message}{got}")
    return f"{name}: " + "; ".join(lines)


def _known_keys(schema: type[Settings], loc: tuple[int | str, ...]) -> list[str]:
    model: Any = schema
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(str(part))
        if field is None:
            continue
        inner = field.annotation
        arguments = [a for a in getattr(inner, "__args__", ()) if hasattr(a, "model_fields")]
        model = arguments[0] if arguments else inner
    return sorted(getattr(model, "model_fields", {}))
