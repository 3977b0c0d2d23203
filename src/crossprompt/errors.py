"""Exceptions: ``RequestError`` (invalid input, exit code 2) and ``JobError`` (the run failed, exit
code 1)."""


class CrosspromptError(Exception):
    """Base of errors that are shown to a user in one line, without a traceback."""


class RequestError(CrosspromptError, ValueError):
    """Invalid input: the message says what was found, what was expected and what to do."""


class UnsuitableError(RequestError):
    """A published data set does not allow the request, for example for want of images."""


class JobError(CrosspromptError, RuntimeError):
    """A valid request whose run failed."""
