"""The commands that run until they are stopped: `serve` and `watch`."""
