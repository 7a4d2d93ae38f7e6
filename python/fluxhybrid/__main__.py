"""Run the command line as ``python -m fluxhybrid``."""

from fluxhybrid.cli import main

if __name__ == "__main__":
    main()
