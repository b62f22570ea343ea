"""`tinr study real`: what internalizing is worth on tools and questions that others wrote."""
