"""Pairs of speckle and object: sources, preparation, splits, loaders."""
