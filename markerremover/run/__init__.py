"""A run over many files: inputs, output paths, workers, parts of a run, Ray, one file from reading to writing, the run's summary."""
