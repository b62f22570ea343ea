"""Training loops, the weights that they train, and the steps that all phases share."""
