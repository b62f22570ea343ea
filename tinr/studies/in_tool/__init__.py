"""In-tool against in-weight learning, on models so small that many train at once."""
