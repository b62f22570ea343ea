"""Query sets and chat logs of other forms into query lines."""
