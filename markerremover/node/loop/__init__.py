"""The loop of a node: a controller that says when it is time to learn, and starts `improve` in a process of its own if it is asked to."""
