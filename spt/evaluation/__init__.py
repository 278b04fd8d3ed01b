"""Scores of reconstructions and baselines, pictures, tables."""
