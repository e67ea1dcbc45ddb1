"""A fleet that reports over HTTP, like any device, or is recorded to files. It knows the wire and nothing of the server behind it."""
