"""Environments of other libraries, made on first use beside the one that runs now: they need other dependencies."""

from __future__ import annotations

import logging
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from lingport.errors import TrainingError

logger = logging.getLogger(__name__)

#: library -> what is installed for it, besides the torch that is installed here
WANTED = {"adapters": ["adapters==1.3.0"], "peft": ["peft==0.21.2", "transformers>=5.5"]}


def environment(library: str) -> Path:
    """Returns the Python of an environment that holds a library; a gigabyte and some minutes where there is none yet.

    Raises:
        TrainingError: It could not be made.
    """
    folder = Path(sys.prefix) / "interop" / library
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    logger.info("making an environment for %s in %s (some minutes, once)", library, folder)
    torch = f"torch=={version('torch').split('+')[0]}"
    try:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *WANTED[library], torch], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise TrainingError(
            f"no environment for {library} could be made: {error}",
            where=str(folder),
            hint="this needs the package registry; `lingport bench --quick` measures without other libraries",
        ) from error
    (folder / "ready").touch()
    return python
