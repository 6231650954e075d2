"""A stand-in for a GPU where there is none: tensors on the meta device, which have shapes but no numbers.

What would fail or wait on a GPU fails here: a product of tensors on two devices, an index that lies elsewhere, a number
that Python wants to know. Not here: whether the numbers are right, for there are none.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_MOVES = {"_to_copy", "copy_"}
_STARTS_NOTHING = {  # views and bookkeeping
    "view", "_unsafe_view", "t", "transpose", "permute", "expand", "unsqueeze", "squeeze", "slice", "select", "detach",
    "alias", "split", "split_with_sizes", "unbind", "as_strided", "empty", "empty_like", "new_empty", "unflatten",
    "_reshape_alias", "lift_fresh",
}  # fmt: skip


class OnGpu(TorchDispatchMode):
    """Takes meta for a GPU and the processor for the processor.

    Attributes:
        started: Operation -> how often it started work on the GPU.
        waits: What Python waited for: numbers, tensors that came back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: Counter[str] = Counter()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        devices = {each.device.type for each in tensors if each.ndim}  # a number may lie anywhere
        if name not in _MOVES and len(devices) > 1:
            raise AssertionError(f"{name} of tensors on {sorted(devices)}")
        if any(each.is_meta for each in tensors):
            if name == "_local_scalar_dense":
                self.waits.append(name)
                return 1.0
            if name == "_to_copy" and torch.device(kwargs.get("device") or "meta").type == "cpu":
                self.waits.append(name)
                return (torch.arange(args[0].numel()) % 2).view(args[0].shape).to(kwargs.get("dtype") or args[0].dtype)
            if name not in _STARTS_NOTHING:
                self.started[name] += 1
        return func(*args, **(kwargs or {}))
