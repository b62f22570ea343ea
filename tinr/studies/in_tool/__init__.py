"""In-tool versus in-weight learning, with models small enough to train many at once."""
