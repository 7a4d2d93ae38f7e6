"""The documentation page, made in the browser from the API's description.

Owns one page that loads nothing from anywhere else: gateways have no internet. Must never put text
into the page as markup.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from starlette.responses import HTMLResponse

__all__ = ["docs_page"]

_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2rem; text-transform: capitalize; }
details { border: 1px solid #8885; border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { overflow: auto; max-height: 30rem; background: #8881; padding: .6rem; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; }
.summary { opacity: .75; }
table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
"""

_SCRIPT: Final = """
const el = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};
const show = async () => {
  const answer = await fetch('api/v1/openapi.json');
  if (!answer.ok) throw new Error('HTTP ' + answer.status);
  const api = await answer.json();
  const main = document.querySelector('main');
  main.replaceChildren(el('p', api.info.description));
  const schemas = api.components.schemas;
  const resolved = (schema, depth = 0) => {
    if (schema === null || typeof schema !== 'object' || depth > 12) return schema;
    if (Array.isArray(schema)) return schema.map((part) => resolved(part, depth + 1));
    if (schema.$ref) return resolved(schemas[schema.$ref.split('/').pop()], depth + 1);
    return Object.fromEntries(
      Object.entries(schema).map(([name, part]) => [name, resolved(part, depth + 1)]));
  };
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ['other'])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  const body = (title, content) => {
    const schema = content && Object.values(content)[0].schema;
    if (!schema) return [];
    return [el('h4', title), el('pre', JSON.stringify(resolved(schema), null, 2))];
  };
  for (const [tag, operations] of groups) {
    main.append(el('h2', tag));
    for (const [method, path, operation] of operations) {
      const box = el('details');
      const head = el('summary');
      head.append(el('span', method.toUpperCase(), 'method'), el('code', path + ' '),
        el('span', operation.description || operation.summary || '', 'summary'));
      box.append(head);
      if (operation.parameters) {
        const table = el('table');
        for (const parameter of operation.parameters) {
          const row = el('tr');
          row.append(el('td', parameter.name + (parameter.required ? ' *' : '')),
            el('td', parameter.in), el('td', parameter.description || ''));
          table.append(row);
        }
        box.append(el('h4', 'Parameters'), table);
      }
      if (operation.requestBody) box.append(...body('Body', operation.requestBody.content));
      for (const [status, response] of Object.entries(operation.responses))
        if (status !== 'default') box.append(...body('Answer ' + status, response.content));
      main.append(box);
    }
  }
};
show().catch((error) => {
  document.querySelector('main').textContent = 'The description cannot be read: ' + error;
});
"""

_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fluxhybrid API</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>fluxhybrid API</h1>
<p>Every call but <code>/healthz</code> needs <code>Authorization: Bearer &lt;token&gt;</code>. The
machine-readable description: <a href="api/v1/openapi.json">openapi.json</a>.</p>
<main>Reading the description…</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Nothing runs or loads but what stands in this file.
_POLICY: Final = (
    f"default-src 'none'; script-src {_source(_SCRIPT)}; style-src {_source(_STYLE)}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page() -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
