"""What goes wrong, in two kinds: the request was wrong (exit code 2), or the job failed (exit code
1)."""


class CrosspromptError(Exception):
    """Base of every error that is meant to be read by a user: one line, without a traceback."""


class RequestError(CrosspromptError, ValueError):
    """The request was wrong: the message says what was found, what was expected and what to do."""


class UnsuitableError(RequestError):
    """What is published as a data set does not allow what is asked; nobody has done it wrong."""


class JobError(CrosspromptError, RuntimeError):
    """The job failed although the request was right."""
