"""Many assignments or sites at once, from a CSV file: the whole file or nothing of it."""
