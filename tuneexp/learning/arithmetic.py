"""Arithmetic of this process: denormal floats count as zero, and MKL uses AVX-512 where the processor has it.

torch's matrix products on the CPU are those of Intel's MKL, which takes its AVX-512 kernels on Intel's processors only.
On an AMD EPYC with AVX-512 they are 2.2 times as fast as the kernels that it would take. MKL checks once whether the
processor is Intel's and keeps the result in a variable. `use_avx512` sets it before the check.

tests/learning/test_arithmetic.py fails if torch has another MKL, in which nothing is set."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import struct
from pathlib import Path

import torch

from tuneexp.errors import UserError

log = logging.getLogger(__name__)

SWITCH = "TUNEEXP_AVX512"
"""Environment variable; 0, off, false or no: MKL chooses its kernels as it would without this library."""
_OFF, _ON = ("0", "off", "false", "no"), ("1", "on", "true", "yes", "")

_NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_CHECK = "mkl_serv_intel_cpu_true"
# The function begins with `mov eax, [rip + distance]; test eax, eax; jns/js`: it returns the variable if it is known.
_LOADS, _TESTS, _LENGTH = b"\x8b\x05", b"\x85\xc0", 6
_UNCHECKED = -1


def set_up_arithmetic() -> None:
    """Set up a process that trains. Call it before its first matrix product, which decides on MKL's kernels."""
    flush_denormals()
    use_avx512()


def flush_denormals() -> None:
    """Make this process compute with 0 instead of numbers below 1e-38.

    Adam's first moment shrinks by a tenth at each update in which a unit has no gradient, as ReLU units often have
    none. It ends among denormal numbers, which processors compute in microcode. Measured in DQN with 2 x 256 units: the
    optimizer's step took 1.2 ms with them and 0.08 ms without."""
    torch.set_flush_denormal(True)


@functools.cache
def use_avx512() -> bool:
    """Let MKL choose its kernels by the instructions of an AMD processor, not by its vendor.

    Returns:
        True if it does; False on other processors, with another build of torch, after the first matrix product of the
        process, or with `TUNEEXP_AVX512=0`.

    Raises:
        UserError: the variable is neither on nor off."""
    if not _switched_on() or not _is_amd_with_avx512():
        return False
    try:
        check = getattr(ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")), _CHECK)
    except (OSError, AttributeError):
        return False
    start = ctypes.cast(check, ctypes.c_void_p).value
    assert start is not None
    distance = distance_to_result(ctypes.string_at(start, _LENGTH + len(_TESTS)))
    if distance is None:
        return False
    result = ctypes.c_int.from_address(start + _LENGTH + distance)
    if result.value != _UNCHECKED:
        log.info("a matrix product before the first trial of this process decided on MKL's kernels, without AVX-512")
        return False
    result.value = 1
    return bool(check())


def _switched_on() -> bool:
    value = os.environ.get(SWITCH, "").strip().lower()
    if value not in (*_OFF, *_ON):
        raise UserError(f"{SWITCH} is 1 or 0, got {value!r}; write {SWITCH}=0 to leave the choice of kernels to MKL")
    return value in _ON


def distance_to_result(code: bytes) -> int | None:
    """Return where the variable is, in bytes after the first instruction; None if the function begins otherwise.

    Args:
        code: the beginning of the function."""
    if len(code) < _LENGTH + len(_TESTS) or code[:2] != _LOADS or not code[_LENGTH:].startswith(_TESTS):
        return None
    (distance,) = struct.unpack("<i", code[2:_LENGTH])
    return int(distance)


def _is_amd_with_avx512() -> bool:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    try:
        lines = dict.fromkeys(Path("/proc/cpuinfo").read_text().splitlines())
    except OSError:
        return False
    vendors = {line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")}
    flags = [set(line.split(":")[1].split()) for line in lines if line.startswith("flags")]
    return vendors == {"AuthenticAMD"} and all(flags) and all(own >= _NEEDED for own in flags)
