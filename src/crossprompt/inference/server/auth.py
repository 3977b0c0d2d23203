"""An optional key without which nothing is classified."""

import hmac
import os
from pathlib import Path
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from crossprompt.errors import RequestError
from crossprompt.inference.server.errors import RefusalError

VARIABLE = "CROSSPROMPT_API_KEY"
"""Environment variable that holds the key, where no file does."""

_bearer = HTTPBearer(auto_error=False, description="The key that the server was started with.")


class Access:
    """Asks for ``Authorization: Bearer KEY``.

    Args:
        key: what the client must know.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __call__(
        self, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None
    ) -> None:
        """Let a request through, in a time that does not depend on how much of the key is right.

        Raises:
            RefusalError: the key is missing or wrong.
        """
        found = b"" if given is None else given.credentials.encode()
        if not hmac.compare_digest(found, self._key):
            what = "no API key" if given is None else "a wrong API key"
            raise RefusalError(
                401,
                f"found {what}; send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )


def read_key(file: Path | None) -> str | None:
    """The key from a file or, without one, from the environment; None where there is none.

    Raises:
        RequestError: the file cannot be read, or a key is empty or cannot stand in a header.
    """
    if file is None:
        key, source = os.environ.get(VARIABLE), VARIABLE
        if key is None:
            return None
    else:
        source = str(file)
        try:
            key = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"the API key cannot be read from {source}: {error}") from error
    key = key.strip()
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise RequestError(
            f"{source} holds no API key; expected one word of visible ASCII characters, such as "
            "`openssl rand -hex 32` prints"
        )
    return key
