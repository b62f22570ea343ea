"""Convert query sets and chat logs of other formats into query lines."""
