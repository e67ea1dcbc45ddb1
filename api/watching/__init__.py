"""What a process counts and knows of itself and of the installation, for whoever watches it from outside."""
