"""The command line: ``fluxhybrid serve`` and friends.

Owns flags, output and exit codes. Must never import anything heavy before a command needs it:
``--help`` answers within a blink, and ``serve --headless`` carries no web framework.
"""

from fluxhybrid.cli.main import main

__all__ = ["main"]
