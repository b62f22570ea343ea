"""The report of a run: what it measured, in words, tables, curves and cases."""
