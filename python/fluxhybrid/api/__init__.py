"""The HTTP API: routes, errors, limits, documentation.

Owns what is the same for every request. Must never decide what a request means: that is each
feature's. To add a resource: write the feature's ``routes.py``, add one line in ``application``.
"""
