"""Judges every minute what needs somebody, and tells people: one process beside the web server leads, wherever it runs."""
