"""The live page under load, in a real browser."""
