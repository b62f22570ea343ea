"""How right a reply is: matching calls, rewards, BFCL's rules."""
