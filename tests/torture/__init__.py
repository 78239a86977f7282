"""What the loaders and commands survive: hostile files, and faults while they run. `make torture` runs it."""
