"""The kernels, through Triton's interpreter; and that all goes on without them where Triton does not work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lingport.compose import loss


def test_the_kernel_of_the_loss_by_tritons_interpreter():
    pytest.importorskip("triton", reason="needs Triton (pip install triton)")
    tests = Path(__file__).with_name("interpreted_kernels.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tests)],
        env=os.environ | {"TRITON_INTERPRET": "1"},  # read when Triton is imported
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_without_triton_the_loss_is_computed_by_torch(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not there
    monkeypatch.delitem(sys.modules, "lingport.compose.kernels", raising=False)
    loss._kernel.cache_clear()
    try:
        assert loss._kernel(torch.device("cpu"), torch.float32) is None
        assert caplog.text == ""
        assert loss._kernel(torch.device("cuda"), torch.bfloat16) is None
        assert "no Triton kernel for the loss" in caplog.text
    finally:
        loss._kernel.cache_clear()
