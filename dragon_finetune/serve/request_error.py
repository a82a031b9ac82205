"""What a request is answered when it can't be served: a status, and what is wrong with it."""

from collections.abc import Mapping


class RequestError(Exception):
    """A request is refused.

    Args:
        status: of HTTP.
        message: what is wrong, where, and what to do.
        headers: more of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})
