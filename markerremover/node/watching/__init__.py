"""A watched folder: files that have settled are taken into the spool of a node, once, and their results get the same paths."""
