"""The operating system: cores and memory, forks, parent process, logs, regular files, user text files, libraries' telemetry."""
