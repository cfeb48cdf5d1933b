"""What the weights were validated on, told from the header and the colours of a file."""
