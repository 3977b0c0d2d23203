"""Optional API key, required by every route that reveals something of the classifier."""

import hmac
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from crossprompt.errors import RequestError
from crossprompt.inference.server.schemas import RefusalError

VARIABLE = "CROSSPROMPT_API_KEY"
"""Environment variable that holds the key if there is no file."""
Credentials = HTTPAuthorizationCredentials | None
_bearer = HTTPBearer(auto_error=False, description="The key that the server was started with.")


def require_key(key: str) -> Callable[[Credentials], Awaitable[None]]:
    """A FastAPI dependency that refuses requests without ``Authorization: Bearer KEY``."""

    async def check(given: Annotated[Credentials, Security(_bearer)] = None) -> None:
        found = b"" if given is None else given.credentials.encode()
        if not hmac.compare_digest(found, key.encode()):  # takes constant time
            what = "no API key" if given is None else "a wrong API key"
            raise RefusalError(
                401,
                f"found {what}; send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check


def read_key(file: Path | None) -> str | None:
    """The key from a file or, without one, from the environment; None if there is none.

    Raises:
        RequestError: the file cannot be read, or a key is empty or cannot stand in a header.
    """
    try:
        key = os.environ.get(VARIABLE) if file is None else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the API key cannot be read from {file}: {error}") from error
    if key is None:
        return None
    key = key.strip()
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise RequestError(
            f"{file or VARIABLE} holds no API key; expected one word of visible ASCII characters, "
            "such as `openssl rand -hex 32` prints"
        )
    return key
