"""Examples of docs/serving.md work as written."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from crossprompt.cli.main import build_parser
from crossprompt.inference.server.limits import FORMATS, Limits
from tests.inference.server.servers import Colors, picture, running

SERVING = Path(__file__).parents[2] / "docs" / "serving.md"
TEXT = SERVING.read_text("utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line.split("  #")[0]
    for line in BLOCKS[0].splitlines()
    if line.startswith("crossprompt ") and "--help" not in line
]
ASKED = re.split(r"(?<!\|)\n", BLOCKS[1].strip())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_takes_what_the_page_shows(command: str) -> None:
    words = shlex.split(command)[1:]
    assert build_parser(words).parse_args(words).command == "serve"


@pytest.mark.slow
def test_every_curl_example_is_answered(tmp_path: Path) -> None:
    bash, curl = shutil.which("bash"), shutil.which("curl")
    assert bash, "the examples are for bash"
    assert curl, "the examples need curl"
    (tmp_path / "cat.jpg").write_bytes(picture(3, "jpeg"))
    (tmp_path / "dog.png").write_bytes(picture(5))
    assert len(ASKED) == 6
    with running(Colors()) as client:
        for command in ASKED:
            here = command.replace("http://127.0.0.1:8000", str(client.base_url))
            asked = here.replace("curl ", "curl --silent --fail --noproxy '*' ")
            surroundings = {"KEY": "k", "PATH": os.environ["PATH"]}
            done = subprocess.run([bash, "-c", asked], cwd=tmp_path, env=surroundings, stdout=-1)
            assert done.returncode == 0, command
            if "/v1/predict" in command:
                predictions = json.loads(done.stdout)["predictions"]
                assert len(predictions) == command.count("-F images=") or "base64" in command


def test_the_table_of_limits_is_true() -> None:
    table = dict(re.findall(r"^\| `(--[\w-]+)` \| (\S+) \|", TEXT, re.MULTILINE))
    options = {
        f"--{setting.name.replace('_', '-')}": str(setting.default) for setting in Limits.describe()
    }
    assert table == options


def test_the_page_names_every_format() -> None:
    for name in FORMATS:
        assert re.search(name, TEXT, re.IGNORECASE)
