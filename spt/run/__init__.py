"""A run: its settings, its folder, and what is done with it: train, continue, export."""
