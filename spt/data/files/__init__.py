"""One reader for one file: every picture and array format of the field, read when an image is asked for."""
