"""Answer over HTTP: a server that classifies images, and its page.

Nothing here but ``torch_classifier`` imports torch: what is served only has to be ``Served``.
"""
