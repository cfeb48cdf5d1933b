"""What synthetic annotations are drawn on: drawn bodies, real backgrounds, collimation, noise and compression."""
