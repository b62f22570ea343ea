"""`tinr study real`: what internalizing gains on tools and questions written by others."""
