"""crossprompt: adapt a frozen CLIP to a handful of labelled images per class.

Public names are imported on first use, as ``__init__.pyi`` lists them: torch and scikit-learn take
seconds to import, and an exported classifier needs neither.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
