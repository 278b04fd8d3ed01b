"""Everything that is wrong with a set of pairs, found in one pass: bad files in a table, the rest in sentences."""
