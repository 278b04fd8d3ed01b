"""Where images of files are kept between two epochs: in memory, or in one mapped file."""
