"""``crossprompt serve``: classify images over HTTP, for programs and on a page."""

import argparse
import ipaddress
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from crossprompt.cli.args import add_device_arguments, add_settings, collect
from crossprompt.cli.load import add_backbone, add_run_or_export, open_predictor
from crossprompt.inference.server.limits import Limits
from crossprompt.utils.optional import require_extra

EXAMPLE = "crossprompt serve runs/photos-dcp --port 8000"

HOST, PORT = "127.0.0.1", 8000
PACKAGES = ("fastapi", "prometheus-client", "python-multipart", "uvicorn")
"""Of the extra ``serve``."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the server."""
    add_run_or_export(parser)
    parser.add_argument(
        "--host", default=HOST, help=f"name or address to listen on (default: {HOST}: this machine)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        metavar="INT",
        help=f"port to listen on, 0 for any that is free (default: {PORT})",
    )
    parser.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="file with a key that clients must send as Authorization: Bearer KEY (default: the "
        "environment's CROSSPROMPT_API_KEY, or no key)",
    )
    add_settings(parser, Limits, "limits")
    add_backbone(parser)
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    require_extra("serve", PACKAGES, "crossprompt serve")
    # what the extra holds is imported from here on
    from crossprompt.inference.server.app import build_app
    from crossprompt.inference.server.auth import read_key
    from crossprompt.inference.server.process import address_of, bind, serve

    limits = Limits(**collect(options, Limits))
    key = read_key(options.api_key_file)
    with closing(bind(options.host, options.port)) as bound:
        if key is None and not ipaddress.ip_address(bound.getsockname()[0]).is_loopback:
            print(
                f"crossprompt: warning: anyone who can reach {options.host} can have images "
                "classified; ask for a key with --api-key-file",
                file=sys.stderr,
            )
        served = open_predictor(options.run, options.backbone, options.device, options.dtype)

        def ready() -> None:
            what = f"{options.run} ({len(served.class_names)} classes)"
            print(f"Serving {what} at {address_of(bound)}; stop with Ctrl-C", flush=True)

        serve(build_app(served, limits, key), bound, 2 * limits.timeout, ready)
    return 0


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port, a number from 0 to 65535")
    return int(word)
