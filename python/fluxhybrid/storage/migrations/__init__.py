"""Migrations of the metadata database, run by ``storage.schema`` at start."""
