"""What names of the hub look like. Not here: asking the hub (`lingport.hub`, `lingport.data.fetch`)."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_hub_name(text: str) -> bool:
    """Returns whether a text could be a repository's name, `user/name`; a path with one slash could be, too."""
    return _NAME.fullmatch(text) is not None
