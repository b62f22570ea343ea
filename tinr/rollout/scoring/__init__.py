"""Score replies: matching of calls, rewards, BFCL's rules."""
