"""Programs as CUDA graphs: the operations of a traced graph, captured once and launched together.

On a GPU the launches of many small operations take longer than the operations. A CUDA graph has one launch. It reads
and writes fixed buffers: inputs are copied into them and outputs out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx

from tuneexp.learning.compile.program import Program

Replay = Callable[[], None]
Record = Callable[[Callable[[], list[Tensor]], torch.device], tuple[Replay, list[Tensor]]]
"""call, device -> function that replays the call on the same buffers, and the buffers of its results."""

# Calls before the capture: libraries allocate memory and choose their algorithms in the first ones.
WARM_UP = 3


def on_gpu(call: Callable[[], list[Tensor]], device: torch.device) -> tuple[Replay, list[Tensor]]:
    """Capture a call as a CUDA graph, on a stream of its own: the default stream can't be captured."""
    with torch.cuda.device(device), torch.no_grad():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                call()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = call()
    return graph.replay, outputs


def captured(graph: fx.GraphModule, example: Sequence[Tensor], record: Record = on_gpu) -> Program:
    """Return a captured program.

    Args:
        graph: traced for the shapes of `example`.
        example: inputs, all on one device.
        record: captures a call; tests use one of the CPU.
    """
    buffers = [tensor.clone() for tensor in example]
    replay, results = record(lambda: list(graph(*buffers)), example[0].device)
    of_type: dict[torch.dtype, list[int]] = {}
    for index, buffer in enumerate(buffers):
        of_type.setdefault(buffer.dtype, []).append(index)

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            for indices in of_type.values():  # one launch for all of a type
                torch._foreach_copy_([buffers[i] for i in indices], [tensors[i] for i in indices])
            replay()
            return [result.clone() for result in results]

    return Program(run=run, compiled=False, captured=True)
