"""The FLOP/s of a large matrix product on this CPU in a precision: by OpenVINO or torch, whichever is faster."""

import time
from collections.abc import Callable

import numpy as np
import openvino
import torch
from openvino import opset13 as ops

SIZE, TIMES = 2048, 8
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peaks(precisions: list[str]) -> dict[str, tuple[float, str]]:
    """Return of each precision the FLOP/s of the best kernel, and whose it is."""
    found = {}
    for precision in precisions:
        kernels = {"OpenVINO": by_openvino(precision)}
        if precision in DTYPES:  # torch's own int8 product is a plain loop where the CPU has no VNNI
            kernels["torch"] = by_torch(DTYPES[precision])
        flops = {name: fastest(kernel) for name, kernel in kernels.items()}
        best = max(flops, key=flops.__getitem__)
        found[precision] = (flops[best], best)
    return found


def fastest(kernel: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        kernel()
        times.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(times)


def by_torch(dtype: torch.dtype) -> Callable[[], object]:
    left, right = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return lambda: left @ right


def by_openvino(precision: str) -> Callable[[], object]:
    dice = np.random.default_rng(0)
    rows, weights = dice.random((SIZE, SIZE), dtype=np.float32), dice.standard_normal((SIZE, SIZE), dtype=np.float32)
    given = ops.parameter([SIZE, SIZE], np.float32)
    left, right = given, ops.constant(weights)
    if precision == "int8":  # as NNCF marks them: rows in 0 to 255, weights in -127 to 127
        left, right = ranged(left, 0, 1, 256), ranged(right, -4, 4, 255)
    product = ops.reduce_max(ops.matmul(left, right, False, True), ops.constant([0]))  # no copy of the whole result
    hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(openvino.Model([product], [given]), "CPU", hints).create_infer_request()
    request.set_input_tensor(openvino.Tensor(rows))
    return request.infer


def ranged(node: object, low: float, high: float, levels: int) -> object:
    ends = [ops.constant(np.float32(each)) for each in (low, high, low, high)]
    return ops.fake_quantize(node, *ends, levels)
