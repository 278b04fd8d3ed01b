"""Pairs in a laboratory's own files: how they are found, listed, divided, and read."""
