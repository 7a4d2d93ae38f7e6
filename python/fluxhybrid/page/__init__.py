"""The live page: what people see in a browser.

Owns its files and how they travel: named by their contents, compressed once, kept by browsers for
good. Must never load anything from elsewhere, hold data, or do what the HTTP API does not offer to
everybody.
"""
