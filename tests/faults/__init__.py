"""What is injected into a whole installation, and what must hold afterwards. See docs/reliability.md."""
