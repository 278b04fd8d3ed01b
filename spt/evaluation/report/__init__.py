"""A page on finished runs, as one HTML file that needs nothing beside it."""
