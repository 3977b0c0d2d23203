"""HTTP server that classifies images, and its page; imports no torch."""
