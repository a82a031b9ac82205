"""The one place that imports OpenVINO and NNCF: without what they tell their vendor, or leave in the home."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from dragon_finetune.errors import MissingExtraError

_TELEMETRY = "openvino_telemetry"
_TOOLS = "openvino.tools.ovc"
_IMPORTING = threading.Lock()


def load_openvino() -> Any:
    """Return the module `openvino`, which sends nothing, neither now nor when it converts.

    Its conversion tools, which `import openvino` brings along, report every import and every conversion to an analytics
    host and keep a client id under the user's home. They do without where the package `openvino_telemetry` is not
    installed (openvino/tools/ovc/telemetry_utils.py), so it is hidden from them while they are imported; what a host
    imported before us is given the same silent stand-in.
    """
    with _IMPORTING:
        with _telemetry_hidden():
            import openvino
        _silence_tools()
    return openvino


def load_nncf() -> Any:
    """Return the module `nncf`, which sends nothing (nncf/telemetry/wrapper.py) and logs nothing but errors.

    Raises:
        MissingExtraError: it is not installed.
    """
    load_openvino()
    with _IMPORTING:
        try:
            with _telemetry_hidden():
                import nncf
                from nncf.telemetry import decorator
                from nncf.telemetry.wrapper import NNCFTelemetryStub
        except ImportError as error:
            raise MissingExtraError(
                f'{error}. To have it: pip install "dragon-finetune[int8]"', name=error.name
            ) from None
        decorator.telemetry = NNCFTelemetryStub()
        nncf.set_log_level(logging.ERROR)
    return nncf


@contextmanager
def _telemetry_hidden() -> Iterator[None]:
    known = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(_TELEMETRY)
        if known is not None:
            sys.modules[_TELEMETRY] = known


def _silence_tools() -> None:
    tools = [module for name, module in list(sys.modules.items()) if name.partition(_TOOLS)[1] and _reports(module)]
    if tools:
        from openvino.tools.ovc import telemetry_stub

        for module in tools:
            module.tm = telemetry_stub  # type: ignore[attr-defined]


def _reports(module: ModuleType) -> bool:
    return getattr(getattr(module, "tm", None), "__name__", None) == _TELEMETRY
