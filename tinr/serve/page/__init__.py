"""A page to look at a server: three files and what they ask for."""
