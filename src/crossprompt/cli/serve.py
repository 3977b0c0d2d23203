"""``crossprompt serve``: classify images over HTTP, for programs and on a page."""

import argparse
import ipaddress
import sys
from contextlib import closing
from pathlib import Path

from crossprompt.cli.args import add_option, add_settings, collect
from crossprompt.cli.load import add_backbone, add_run, open_predictor
from crossprompt.inference.server.limits import Limits
from crossprompt.utils.optional import require_extra

EXAMPLE = "crossprompt serve runs/photos-dcp --port 8000"

PACKAGES = ("fastapi", "prometheus-client", "python-multipart", "uvicorn")
"""Packages of the extra ``serve``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, exported=True)
    host = "name or address to listen on; the default serves this machine only"
    add_option(parser, "--host", host, "127.0.0.1")
    port = "port to listen on, 0 for any that is free"
    add_option(parser, "--port", port, 8000, type=_port, metavar="INT")
    add_option(
        parser,
        "--api-key-file",
        "file with a key that clients must send as Authorization: Bearer KEY (default: the "
        "environment's CROSSPROMPT_API_KEY, or no key)",
        type=Path,
        metavar="FILE",
    )
    add_settings(parser, Limits, "limits")
    add_backbone(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    require_extra("serve", PACKAGES, "crossprompt serve")
    from crossprompt.inference.server.app import build_app
    from crossprompt.inference.server.auth import read_key
    from crossprompt.inference.server.process import address_of, bind, serve

    limits = Limits(**collect(options, Limits))
    key = read_key(options.api_key_file)
    with closing(bind(options.host, options.port)) as bound:  # a port in use is an error at once
        if key is None and not ipaddress.ip_address(bound.getsockname()[0]).is_loopback:
            print(
                f"crossprompt: warning: anyone who can reach {options.host} can have images "
                "classified; require a key with --api-key-file",
                file=sys.stderr,
            )
        classifier = open_predictor(options)

        def ready() -> None:
            name = f"{options.run} ({len(classifier.class_names)} classes)"
            print(f"Serving {name} at {address_of(bound)}; stop with Ctrl-C", flush=True)

        serve(build_app(classifier, limits, key), bound, 2 * limits.timeout, ready)
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a number from 0 to 65535")
    return int(text)
