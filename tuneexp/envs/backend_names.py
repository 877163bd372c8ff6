"""Names of the vector environment backends. Imports no gymnasium: the command line lists them."""

from typing import Literal

EnvBackend = Literal["auto", "sync", "async", "native", "envpool", "tensor"]

TENSOR_VEC = "TensorVec"
"""Name of the vector environment of tensor environments in checkpoints."""
