"""What is asked of a Chroma: its errors are ours, and a server that is away for a while is asked again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
from chromadb.errors import ChromaError
from tenacity import RetryCallState, retry, retry_if_exception, stop_after_delay, wait_random_exponential

from dragon_finetune.errors import DataError

Answer = TypeVar("Answer")
_PATIENCE_SECONDS = 120  # in which a server restarts
_AWAY = {429, 502, 503, 504}  # what a proxy, or a server with too much to do, says of a moment
_REFUSED = {401, 403}
TOO_LARGE = 413


@contextmanager
def chroma_errors(what: str | Path) -> Iterator[None]:
    """Let whatever Chroma, its server or its database raise in the block be a DataError that names `what`."""
    try:
        yield
    except Exception as error:
        if not _is_foreseeable(error):
            raise
        raise DataError(
            f"{what}: Chroma says: {_reason(error):.300}. {_advice(error)} and run the same command again; what is "
            "written already does no harm."
        ) from error


def asked(what: str | Path, ask: Callable[[], Answer]) -> Answer:
    """Return what Chroma answers; a server that does not answer is asked again, for two minutes.

    Args:
        what: named in errors.
        ask: asks; may be called more than once, so twice must be as good as once.

    Raises:
        DataError: Chroma refuses, or its server stays away.
    """
    with chroma_errors(what):
        return patiently(ask)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of Chroma's client, None if there is none."""
    if isinstance(error, ChromaError):
        return error.code()
    # What has no form of Chroma's own (a proxy's page, say) is raised as a bare Exception, from within httpx's.
    return next((each.response.status_code for each in _chain(error) if isinstance(each, httpx.HTTPStatusError)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__


def _is_of_the_moment(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or status_of(error) in _AWAY


def _say(state: RetryCallState) -> None:
    if state.attempt_number == 1:
        print(f"Chroma does not answer; it is asked again for {_PATIENCE_SECONDS} s", file=sys.stderr, flush=True)


@retry(
    retry=retry_if_exception(_is_of_the_moment),
    wait=wait_random_exponential(multiplier=0.5, max=10),
    stop=stop_after_delay(_PATIENCE_SECONDS),
    before_sleep=_say,
    reraise=True,
)
def patiently(ask: Callable[[], Answer]) -> Answer:
    """Return what Chroma answers, as `asked` does; its errors are its own."""
    return ask()


def _is_foreseeable(error: Exception) -> bool:
    known = (ChromaError, httpx.HTTPError, ValueError, OSError)
    return isinstance(error, known) or (type(error) is Exception and status_of(error) is not None)


def _reason(error: Exception) -> str:
    # Chroma's client asks whether the server is running, whatever went wrong: a certificate, say.
    behind = [str(each) for each in _chain(error.__context__) if isinstance(each, httpx.TransportError)]
    return " ".join(" ".join([str(error), *behind[:1]]).split()) or type(error).__name__


def _advice(error: Exception) -> str:
    if status_of(error) in _REFUSED:
        return "Put the token that it wants into the environment as CHROMA_CLIENT_AUTH_CREDENTIALS"
    if "CERTIFICATE_VERIFY_FAILED" in _reason(error):
        return "Name the file of the authority that signed its certificate in the environment, as SSL_CERT_FILE,"
    return "Mend that"
