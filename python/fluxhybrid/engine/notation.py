"""How things are written that the engine takes: keys, topics, scripts, free JSON.

Owns the checks that can be made without the engine, as pydantic types, so that a caller hears of
every mistake at once. Must never be laxer about size than the engine: what passes here reaches SQL
and the log.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

__all__ = [
    "CURSOR_LEN_MAX",
    "INTEGER_MAX",
    "KEY_LEN_MAX",
    "KEY_PATTERN",
    "Grants",
    "Id",
    "Input",
    "JsonObject",
    "JsonValue",
    "Key",
    "MaxAgeMs",
    "Name",
    "Output",
    "PluginChain",
    "PluginId",
    "PluginUse",
    "Script",
    "Text",
    "Told",
    "Topic",
    "TopicFilter",
    "TopicTemplate",
    "absent",
]

KEY_LEN_MAX: Final = 128
NAME_LEN_MAX: Final = 200
TEXT_LEN_MAX: Final = 4_096
TOPIC_LEN_MAX: Final = 512
TOPIC_LEVELS_MAX: Final = 128
SCRIPT_LEN_MAX: Final = 65_536
CURSOR_LEN_MAX: Final = 200
JSON_DEPTH_MAX: Final = 16
JSON_NODES_MAX: Final = 10_000
JSON_TEXT_LEN_MAX: Final = 65_536
JSON_BYTES_MAX: Final = 200_000
INTEGER_MAX: Final = 2**63 - 1
MAX_AGE_MS_MAX: Final = 30 * 86_400_000
PLUGIN_CHAIN_MAX: Final = 8

KEY_PATTERN: Final = r"^[^\s\x00-\x1f\x7f/+#@$\{\}\\]{1,128}$"
# A key is a level of topics and a user name: no separators or wildcards of MQTT, no braces of
# templates, no "@" that would name a tenant, no blanks that cannot be seen.

_NO_CONTROL: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_PLACEHOLDER: Final = re.compile(r"\{[0-9A-Za-z_-]{1,64}\}")


class Input(BaseModel):
    """What comes in: nothing unknown, nothing converted silently."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Output(BaseModel):
    """What goes out."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Told(Output):
    """What goes out as the engine told it: members it adds one day are passed on."""

    model_config = ConfigDict(extra="allow", frozen=True, ser_json_inf_nan="null")


def absent() -> Any:
    """Default of a member of a patch that was not sent.

    It is never read: ``model_fields_set`` tells what was. ``null`` that was sent is checked like
    any other value, and refused where the type has no room for it.
    """
    return None


Id = Annotated[UUID, Field(strict=False)]
"""A UUID, as text in JSON."""


def _wrong(kind: str, reason: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "hint": hint})


def _at_most(bytes_max: int) -> AfterValidator:
    # Lengths in JSON Schema count characters; the engine counts bytes.
    def check(text: str) -> str:
        if len(text.encode("utf-8", "surrogatepass")) > bytes_max:
            raise _wrong("too_long", "is too long", f"use at most {bytes_max} bytes of UTF-8")
        return text

    return AfterValidator(check)


Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=KEY_LEN_MAX, pattern=KEY_PATTERN),
    _at_most(KEY_LEN_MAX),
]
"""The name people give a thing, unique in its tenant."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LEN_MAX, pattern=_NO_CONTROL)]
"""What a thing is called on screen; need not be unique."""

Text = Annotated[
    str,
    StringConstraints(max_length=TEXT_LEN_MAX, pattern=_NO_CONTROL),
    _at_most(TEXT_LEN_MAX),
]
"""A few lines for people."""

Script = Annotated[
    str,
    StringConstraints(min_length=1, max_length=SCRIPT_LEN_MAX, pattern=_NO_CONTROL),
    _at_most(SCRIPT_LEN_MAX),
]
"""Source of a rule or transform."""

MaxAgeMs = Annotated[int, Field(ge=1, le=MAX_AGE_MS_MAX)]
"""Milliseconds after which an action is no longer wanted."""


def _topic(text: str) -> str:
    # [MQTT-3.3.2-2]: a topic that is published to has no wildcards.
    if "+" in text or "#" in text:
        raise _wrong("topic", "has a wildcard", "name one topic, without + and #")
    return _levels(text)


def _levels(text: str) -> str:
    if text.count("/") >= TOPIC_LEVELS_MAX:
        raise _wrong("topic", "has too many levels", f"use at most {TOPIC_LEVELS_MAX}")
    return text


def _filter(text: str) -> str:
    levels = _levels(text).split("/")
    for place, level in enumerate(levels):
        # [MQTT-4.7.1-1]
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise _wrong("topic_filter", "has a # that is not its last level", 'write "plant/#"')
        # [MQTT-4.7.1-2]
        if "+" in level and level != "+":
            raise _wrong("topic_filter", "has a + beside other letters", 'write "plant/+/state"')
    return text


def _template(text: str) -> str:
    _topic(text)
    if text.startswith("$"):
        raise _wrong("topic_template", "begins with $, which is the server's", "leave it out")
    levels = text.split("/")
    names = [level[1:-1] for level in levels if _PLACEHOLDER.fullmatch(level)]
    if any(("{" in level or "}" in level) and level[1:-1] not in names for level in levels):
        raise _wrong(
            "topic_template",
            "has a brace that is not around a whole level",
            'write a level that varies as "{line}"',
        )
    if "device" not in names:
        raise _wrong("topic_template", "does not name the device", 'put "{device}" in it')
    if len(names) != len(set(names)):
        raise _wrong("topic_template", "has one name twice", "give each varying level its own")
    return text


_TOPIC_TEXT: Final = StringConstraints(
    min_length=1, max_length=TOPIC_LEN_MAX, pattern=r"^[^\x00-\x1f\x7f]+$"
)
_TOPIC_BYTES: Final = _at_most(TOPIC_LEN_MAX)

Topic = Annotated[str, _TOPIC_TEXT, _TOPIC_BYTES, AfterValidator(_topic)]
"""A topic to publish to (MQTT 5.0, section 4.7)."""

TopicFilter = Annotated[str, _TOPIC_TEXT, _TOPIC_BYTES, AfterValidator(_filter)]
"""A topic filter (MQTT 5.0, section 4.7)."""

TopicTemplate = Annotated[str, _TOPIC_TEXT, _TOPIC_BYTES, AfterValidator(_template)]
"""A topic with ``{device}`` in it, and other placeholders that stand for one level each."""


def _bounded(value: Any) -> Any:
    """Refuse JSON that a database or the engine could not hold."""
    nodes = size = 0
    rest: list[tuple[Any, int]] = [(value, 1)]
    while rest:
        node, depth = rest.pop()
        nodes += 1
        if nodes > JSON_NODES_MAX:
            raise _wrong("json", "has too many values", f"use at most {JSON_NODES_MAX}")
        if depth > JSON_DEPTH_MAX:
            raise _wrong("json", "is nested too deeply", f"use at most {JSON_DEPTH_MAX} levels")
        if isinstance(node, dict):
            for name in node:
                _check_text(name, KEY_LEN_MAX)
                size += len(name)
            rest.extend((child, depth + 1) for child in node.values())
        elif isinstance(node, list):
            rest.extend((child, depth + 1) for child in node)
        else:
            _check_scalar(node)
        if isinstance(node, str):
            size += len(node.encode("utf-8", "surrogatepass"))
        if size > JSON_BYTES_MAX:
            raise _wrong("json", "is too large", f"use at most {JSON_BYTES_MAX} bytes")
    return value


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        _check_text(value, JSON_TEXT_LEN_MAX)
    elif isinstance(value, int) and not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
        raise _wrong("json", "has a whole number that is too large", "use at most 64 bits")
    elif isinstance(value, float) and value - value != 0.0:
        raise _wrong("json", "has a number that is not finite", "use a finite number")
    elif value is not None and not isinstance(value, bool | int | float):
        raise _wrong("json", "has a value that is no JSON", "use JSON values")


def _check_text(text: object, length_max: int) -> None:
    if not isinstance(text, str):
        raise _wrong("json", "has a name that is no text", "use text for names")
    if len(text) > length_max:
        raise _wrong("json", "has a text that is too long", f"use at most {length_max} characters")
    if "\0" in text:
        raise _wrong("json", "has the character NUL in a text", "remove it")


JsonValue = Annotated[Any, AfterValidator(_bounded)]
"""Any JSON value of bounded size."""

JsonObject = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""Any JSON object of bounded size."""

PluginId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
"""The name of a plugin's file, without its ending."""

Grants = Annotated[
    list[Literal["command", "publish", "raise_alarm", "clear_alarm", "webhook"]],
    Field(max_length=5),
]
"""What a plugin may ask for and have carried out."""


class PluginUse(Input):
    """A plugin, and how it is used here."""

    plugin: PluginId = Field(description="Its id.")
    settings: JsonObject = Field(
        default_factory=dict, description="What it is told: an object of the plugin's own making."
    )
    grants: Grants = Field(default_factory=list, description="What it may have carried out.")


PluginChain = Annotated[list[PluginUse], Field(max_length=PLUGIN_CHAIN_MAX)]
"""Plugins that look at a message one after the other."""
