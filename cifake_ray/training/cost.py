"""The cost of using a network: number of parameters, and time for an image."""

import time
from statistics import median

import torch

from cifake_ray.experiment import SecondObjective
from cifake_ray.models.network import count_parameters
from cifake_ray.training.fit import Fit
from cifake_ray.training.validation import predict_batch

_BATCH = 32  # images
_BATCHES, _WARM_UP = 20, 3


def inference_ms(work: Fit) -> float:
    """Milliseconds of one image: the median over batches of 32, on one thread, from uint8 pixels to the logit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = work.data.validation[:_BATCH]
    try:
        seconds = [_time_batch(work, rows) for _ in range(_WARM_UP + _BATCHES)]
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(seconds[_WARM_UP:]) / len(rows)


def _time_batch(work: Fit, rows: torch.Tensor) -> float:
    began = time.perf_counter()
    predict_batch(work, rows)
    if work.device.type == "cuda":
        torch.cuda.synchronize(work.device)
    return time.perf_counter() - began


def measure_cost(work: Fit, objective: SecondObjective | None) -> dict[str, float]:
    """The second objective under its own name (`parameters`: the trained ones); {} without one."""
    match objective:
        case "parameters":
            return {"parameters": count_parameters(work.network, trained=True)}
        case "inference_ms":
            return {"inference_ms": inference_ms(work)}
    return {}
