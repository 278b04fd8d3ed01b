"""Judging reconstructions: baselines, scores, pictures, reports."""
