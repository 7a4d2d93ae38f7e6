"""Accounts: who may use the HTTP API.

Owns bearer tokens and how they are checked. Must never keep or log a token: only its SHA-256 is
stored. Tokens are random and 256 bits long, which is why a fast hash will do.
"""
