"""Settings of a node, from a file or the parameter server, by the same strict reader."""

from typing import Any, TypeVar

import rospy

from handful.config import ConfigError, Settings, build, load, read

S = TypeVar("S", bound=Settings)


def settings(schema: type[S], group: str, default: str | None = None) -> S:
    """The node's settings of one group, after ``rospy.init_node``.

    Two places are looked at, each searched from the node's private namespace upwards:

    1. Parameter ``config``: path of a YAML file with one mapping a group, as in a run's folder.
       What it says about ``group`` is taken whole.
    2. Parameters ``<group>/...``: put on top of the file, key by key (mappings are merged, lists
       replaced). Without a file they stand alone, on top of the schema's own defaults.

    With neither, the shipped profile ``default`` is read. The parameter server has no null
    (loading one with rosparam fails): a file that says null goes by way of ``config``.

    Raises:
        ConfigError: unknown key, wrong type, impossible value; the message names the file or the
            parameter. Or there is nothing to read and no default.
    """
    given, name = values(group)
    if given is not None:
        return build(schema, given, name)
    if default is None:
        raise ConfigError(
            f"node {rospy.get_name()}: no settings {group!r}; give parameters {group}/..., "
            "or a parameter config with the path of a YAML file that has this group"
        )
    return load(schema, default)


def values(group: str) -> tuple[dict[str, Any] | None, str]:
    """What file and parameters say about ``group``, not yet checked, and its name for errors.

    None: neither says anything. Raises ``ConfigError`` as ``settings`` does.
    """
    found, name = _from_file(group)
    parameter = rospy.search_param(group)
    if (
        parameter == rospy.get_name()
    ):  # a namesake of the group: its private parameters are no group
        parameter = None
    if parameter is not None:
        given = rospy.get_param(parameter)
        if not isinstance(given, dict):
            raise ConfigError(
                f"parameter {parameter}: expected a mapping of keys to values, got {given!r}"
            )
        found = given if found is None else _on_top(found, given)
        name = f"parameter {parameter}" + (f" on top of {name}" if name else "")
    return found, name


def _from_file(group: str) -> tuple[dict[str, Any] | None, str]:
    """(values, name for errors) of the group in the file that ``config`` names, if it does."""
    parameter = rospy.search_param("config")
    path = rospy.get_param(parameter) if parameter is not None else ""
    if not path:
        return None, ""
    if not isinstance(path, str):
        raise ConfigError(f"parameter {parameter}: expected the path of a YAML file, got {path!r}")
    content, name = read(path)
    found = content.get(group)
    if found is not None and not isinstance(found, dict):
        raise ConfigError(f"{name}: {group} is {found!r}, expected a mapping of keys to values")
    return found, f"{group} in {name}"


def _on_top(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _on_top(below, value)
        else:
            merged[key] = value
    return merged
