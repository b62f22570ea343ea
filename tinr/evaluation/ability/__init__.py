"""What tools cost a model in general ability."""
