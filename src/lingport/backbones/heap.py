"""Where the C library puts the memory of tensors on the CPU.

By itself glibc gives every large block back to the system when it is freed, and the next one of the same size is new
pages, each of which the system must clear at the first touch: tens of thousands of page faults in a training step.
Elsewhere than on glibc nothing is changed. Source: mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt's parameters in malloc.h
_LARGEST_BLOCK = 2**30  # larger ones still come from the system and go back to it


def keep_freed_memory() -> None:
    """Keeps what is freed in this process for what is made next."""
    if libc := _glibc():
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Gives back to the system what is free now, so that this process's memory is what it uses."""
    if libc := _glibc():
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
