"""A teacher behind an endpoint: its answers, and the thoughts and questions that it writes."""
