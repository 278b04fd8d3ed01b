"""What a network costs: time and memory, beside what the literature printed."""
