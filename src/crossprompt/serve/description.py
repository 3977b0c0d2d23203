"""The OpenAPI document as a page that needs no script, and nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crossprompt: interface</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
</head>
<body class="document">
<header><h1>Interface</h1><p><a href="/">Classify pictures</a> · <a href="/openapi.json">OpenAPI
document</a></p></header>
<main>
"""
FOOT = "</main>\n</body>\n</html>\n"


def describe(document: Mapping[str, Any]) -> str:
    """A page that lists every operation with its bodies and answers, then the schemas.

    Args:
        document: of OpenAPI 3.
    """
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document.get("components", {}).get("schemas", {})
    named = [
        f'<section id="{escape(name)}"><h2>{escape(name)}</h2>\n{_schema(schema)}</section>\n'
        for name, schema in schemas.items()
    ]
    return HEAD + "".join(operations + named) + FOOT


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    lines = [
        f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>\n",
        f"<p>{escape(operation.get('summary', ''))} {escape(operation.get('description', ''))}</p>",
    ]
    if operation.get("security"):
        lines.append("<p>Needs the header <code>Authorization: Bearer KEY</code>.</p>\n")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<h3>Send <code>{escape(kind)}</code></h3>\n{_schema(body['schema'])}")
    lines.append("<h3>Answers</h3>\n<dl>\n")
    for status, answer in operation["responses"].items():
        told = escape(answer["description"]) + "".join(_links(answer))
        lines.append(f"<dt><code>{escape(status)}</code></dt><dd>{told}</dd>\n")
    return "".join([*lines, "</dl></section>\n"])


def _links(answer: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in answer.get("content", {}).items():
        yield f" <code>{escape(kind)}</code> {_type(content.get('schema', {}))}"


def _schema(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"<dt><code>{escape(name)}</code>{'' if name in required else ' (optional)'}</dt>"
        f"<dd>{_type(field)} {escape(field.get('description', ''))}{_default(field)}</dd>\n"
        for name, field in schema.get("properties", {}).items()
    ]
    return f"<p>{escape(schema.get('description', ''))}</p>\n<dl>\n{''.join(rows)}</dl>\n"


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return ""
    return f" Default: <code>{escape(json.dumps(field['default']))}</code>."


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = escape(field["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return f"<em>{escape(' '.join(str(field[k]) for k in ('type', 'format') if k in field))}</em>"
