"""The report of a run: what it measured, in words, tables, curves and cases.

summary     summary.json, read and checked
measures    what the summary says of each phase; the printed table; the headline
tables      tables as data, and their form as JSON and Markdown
rates       the summary's figures as tables: knowledge, calls, documents, change, time
replies     what the model wrote, and what is wrong with it
errors      replies counted: kinds of error, confusion between tools, format, tokens
deficiencies  grades and deficiencies before and after calibration
cases       the worst replies of every kind, with the whole conversation
conversations  what a policy's log sampled of them, by step
curves      the logs as series, and what is drawn of them
plots       drawing, by matplotlib
lineage     the registry's cards: where the checkpoint came from, how it was configured
page        all of it in sections; report.html, report.json and report.md
"""

from tinr.report.measures import headline, phase_table, print_table
from tinr.report.page import write_report
from tinr.report.summary import read_summary

__all__ = ["headline", "phase_table", "print_table", "read_summary", "write_report"]
