"""A base model from scratch, for where no pretrained weights can be had.

It learns generic skills only: copying spans into JSON, filling a schema that stands in
the context, reading an observation, short English. Nothing of any corpus is in it.
"""
