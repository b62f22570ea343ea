"""The command line: `tinr COMMAND`; the phases also run as `python -m phases.NAME`."""
