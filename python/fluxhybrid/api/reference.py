"""The reference part of ``docs/API.md``, made from the API's description.

Owns the text between the two marks; what stands around it is written by hand. Run as
``python -m fluxhybrid.api.reference docs/API.md`` to bring it up to date; a test tells when it is
not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from fluxhybrid.api.application import routes
from fluxhybrid.api.schema import describe

__all__ = ["BEGIN", "END", "renewed"]

BEGIN: Final = "<!-- begin: made by python -m fluxhybrid.api.reference -->"
END: Final = "<!-- end -->"

_METHODS: Final = ("get", "post", "patch", "delete")


def renewed(text: str) -> str:
    """The document with its reference part made anew.

    Raises:
        ValueError: it lacks the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{_reference(describe(routes('1'), '1'))}\n{END}{after}"


def _reference(document: dict[str, Any]) -> str:
    schemas = document["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    bodies: dict[str, None] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                groups.setdefault(operation["tags"][0], []).append(_row(method, path, operation))
                body = _schema_name(operation.get("requestBody", {}))
                if body:
                    bodies[body] = None
    lines: list[str] = []
    for tag, rows in groups.items():
        lines += [f"### {tag.capitalize()}", ""]
        lines += ["| call | parameters | body | answer | what it does |", "|---|---|---|---|---|"]
        lines += [*rows, ""]
    lines += ["### Bodies", ""]
    for name in _with_parts(list(bodies), schemas):
        lines += _body(name, schemas[name])
    return "\n".join(lines)


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
    answers = [
        f"{status} {_schema_name(response)}".strip()
        for status, response in operation["responses"].items()
        if status != "default"
    ]
    body = _schema_name(operation.get("requestBody", {}))
    cells = (
        f"`{method.upper()} {path}`",
        ", ".join(f"`{name}`" for name in parameters),
        f"[{body}](#{body.lower()})" if body else "",
        ", ".join(answers),
        " ".join(operation.get("description", "").split()),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _schema_name(holder: dict[str, Any]) -> str:
    for content in holder.get("content", {}).values():
        reference = content.get("schema", {}).get("$ref")
        if reference:
            return str(reference.rsplit("/", 1)[1])
    return ""


def _with_parts(names: list[str], schemas: dict[str, Any]) -> list[str]:
    """The schemas, and those they are made of."""
    found: dict[str, None] = dict.fromkeys(names)
    waiting = list(names)
    while waiting:
        for reference in _references(schemas[waiting.pop(0)]):
            if reference not in found:
                found[reference] = None
                waiting.append(reference)
    return list(found)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for child in node for name in _references(child)]
    if not isinstance(node, dict):
        return []
    here = [node["$ref"].rsplit("/", 1)[1]] if isinstance(node.get("$ref"), str) else []
    return here + [name for child in node.values() for name in _references(child)]


def _body(name: str, schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", [])
    rows = []
    for member, part in schema.get("properties", {}).items():
        default = part.get("default")
        absent = "required" if member in required else ""
        if "default" in part and default not in (None, {}, []):
            absent = f"`{_literal(default)}`"
        description = " ".join(part.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{member}` | {_type(part)} | {absent} | {description} |")
    title = " ".join(schema.get("description", "").split())
    table = ["| member | type | if left out | meaning |", "|---|---|---|---|", *rows, ""]
    return [f"#### {name}", "", title, "", *table]


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(part: dict[str, Any]) -> str:
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    for union in ("anyOf", "oneOf"):
        if union in part:
            return " or ".join(_type(choice) for choice in part[union])
    if part.get("type") == "array":
        return f"list of {_type(part.get('items', {}))}"
    kind = str(part.get("type", "any JSON"))
    bounds = [
        f"{word} {part[key]}"
        for key, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "up to"),
            ("maxItems", "up to"),
        )
        if key in part
    ]
    return f"{kind} ({' '.join(bounds)})" if bounds else kind


def _main(path: Path) -> None:
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
