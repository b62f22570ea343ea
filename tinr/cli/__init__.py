"""The command line: `tinr COMMAND`, and the same phases as `python -m phases.NAME`."""
