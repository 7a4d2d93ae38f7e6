"""Operations: metrics, logs, and the process's own listener for them.

Owns what an operator looks at. Must never import the web framework or the database library: it
works in a headless process too.
"""
