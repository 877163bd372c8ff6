"""A process with a trial counts denormal floats as zero, and multiplies matrices by AVX-512 where there is AVX-512."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.small import small_trial
from tuneexp.errors import UserError
from tuneexp.learning.arithmetic import SWITCH, distance_to_result, use_avx512

_FLAGS = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
_HAS_AVX512 = "avx512bw" in _FLAGS
_IS_AMD_WITH_AVX512 = "AuthenticAMD" in _FLAGS and _HAS_AVX512 and "avx512vl" in _FLAGS

# MKL names the kernels that it takes in its first line.
_MULTIPLIES = """
import torch
{before}
a, b = torch.randn(2, 65, 65, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float()
exact = (a.double() @ b.double())
assert (a @ b - exact).abs().max() < 1e-4
"""
_TRIAL = "from tests.small import small_trial; small_trial([0]).close()"
_SET_UP = "from tuneexp.learning.arithmetic import set_up_arithmetic; set_up_arithmetic()"


def _kernels(before: str, **variables: str) -> str:
    """Return what MKL prints of its kernels in a process that multiplies. before: code before that."""
    done = subprocess.run(
        [sys.executable, "-c", _MULTIPLIES.format(before=before)], capture_output=True, text=True, check=True,
        env={**os.environ, "MKL_VERBOSE": "1", **variables},
    )  # fmt: skip
    return next(line for line in done.stdout.splitlines() if line.startswith("MKL_VERBOSE oneMKL"))


def test_numbers_too_small_to_be_normal_count_as_zero() -> None:
    """Denormals would slow Adam's step down many times over when the moments of unused units decay."""
    small_trial([0]).close()
    moment = torch.full((64,), 1e-30)
    for _ in range(200):
        moment *= 0.9
    assert moment.eq(0.0).all()


@pytest.mark.skipif(not (_HAS_AVX512 and torch.backends.mkl.is_available()), reason="no AVX-512, or no MKL")
def test_a_process_with_a_trial_multiplies_by_avx512() -> None:
    assert "AVX-512" in _kernels(_TRIAL)


@pytest.mark.skipif(not _IS_AMD_WITH_AVX512, reason="the vendor decides on AMD processors only")
@pytest.mark.parametrize(
    ("before", "variables"),
    [(_SET_UP, {SWITCH: "0"}), (_SET_UP, {SWITCH: "off"}), (f"torch.ones(64, 64) @ torch.ones(64, 64); {_SET_UP}", {})],
)
def test_kernels_of_mkl_s_choice_stay(before: str, variables: dict[str, str]) -> None:
    assert "AVX-512" not in _kernels(before, **variables)


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "of")
    with pytest.raises(UserError, match="TUNEEXP_AVX512 is 1 or 0, got 'of'; write TUNEEXP_AVX512=0"):
        use_avx512.__wrapped__()


def test_another_function_is_left_as_it_is() -> None:
    assert distance_to_result(bytes.fromhex("8b05fa8f950985c0")) == 0x09958FFA
    assert distance_to_result(bytes.fromhex("8b05f0ffffff85c0")) == -16
    for other in ("f30f1efab8010000", "8b05fa8f950985", "8b05fa8f950983f8", ""):
        assert distance_to_result(bytes.fromhex(other)) is None
