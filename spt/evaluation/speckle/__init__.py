"""Statistics of recorded or simulated speckles: numbers, what is suspicious about them, a table and a figure."""
