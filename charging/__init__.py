"""The rules of charging efficiency in plain Python: no I/O, no clock, no framework."""
