import sys
from crossprompt.cli import main


def test_x(run, photos):
    main(["predict", str(run), str(photos), "--debug"])
