"""HTTP server that classifies images, and its page. Imports no torch."""
