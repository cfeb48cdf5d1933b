"""The command line: one module a subcommand, and the parser that joins them."""
