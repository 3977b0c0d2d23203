"""``python -m crossprompt``, for ``accelerate launch -m crossprompt``."""

import sys

from crossprompt.cli import main

sys.exit(main())
