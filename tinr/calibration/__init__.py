"""Deficiency calibration: preference pairs that differ in one fragment of a call.

fragments   where a reply may be cut
alignment   which call, and which argument, stands for which of the reference
evidence    whether a value could be known, or was made up
judge       how right a finished reply is, and what is wrong with it
start       which queries are asked, and what all runs from one parent share

Source: iTool, arXiv 2501.09766.
"""
