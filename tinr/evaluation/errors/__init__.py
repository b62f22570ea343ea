"""How right a finished reply is, and what is wrong with it, by rules (iTool, arXiv 2501.09766)."""
