"""Data sets of images with class names: found, checked, divided, and drawn from with a seed.

Public names are imported on first use, as ``__init__.pyi`` lists them: most commands need few.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
