"""lingport: carry a task to a new language with composable soft prompts and adapters on frozen models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lingport.backbones.base import Backbone
    from lingport.compose.composition import Composition
    from lingport.compose.model import ComposedModel
    from lingport.formats.load import load_module
    from lingport.modules.store import save_module

_PUBLIC = {
    "Backbone": "lingport.backbones.base",
    "ComposedModel": "lingport.compose.model",
    "Composition": "lingport.compose.composition",
    "load_module": "lingport.formats.load",
    "save_module": "lingport.modules.store",
}
__all__ = ["Backbone", "ComposedModel", "Composition", "__version__", "load_module", "save_module"]


def __getattr__(name: str) -> Any:  # torch is imported when it is needed: `lingport --help` must answer at once
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
