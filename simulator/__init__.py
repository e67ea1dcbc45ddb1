"""A fleet that reports over HTTP, like any device. It knows the wire and nothing of the server behind it."""
