"""Training loops, what moves in them, and what every phase does around its own work."""
