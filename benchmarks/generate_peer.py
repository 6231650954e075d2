"""One cell of an evaluation as another library answers it: load, generate, write the outputs.

    python generate_peer.py adapters|peft BACKBONE_FOLDER DTYPE THREADS QUESTIONS_JSON OUTPUTS_JSON MODULE_FOLDER ...

Run in an environment of that library's own, so it imports nothing of lingport. Questions: `input_ids` of each row, and
`max_new_tokens`; outputs: token ids of each. Batches of 32 rows, padded to the longest, in the order of the questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM

ROWS = 32
PADDING = 0


def load(library: str, backbone: str, dtype: torch.dtype, modules: list[str]) -> Any:
    """A model with modules: adapters one above the other, or a prompt."""
    model = AutoModelForSeq2SeqLM.from_pretrained(backbone, dtype=dtype)
    if library == "peft":
        import peft  # pyright: ignore[reportMissingImports]

        (module,) = modules
        return peft.PeftModel.from_pretrained(model, module)
    import adapters  # pyright: ignore[reportMissingImports]
    from adapters.composition import Stack  # pyright: ignore[reportMissingImports]

    adapters.init(model)
    model.active_adapters = Stack(*(model.load_adapter(module, use_safetensors=True) for module in modules))  # type: ignore[union-attr]
    return model.to(dtype)


def main(library: str, backbone: str, dtype: str, threads: str, questions: str, outputs: str, *modules: str) -> None:
    """Answers the questions."""
    torch.set_num_threads(int(threads))
    model = load(library, backbone, getattr(torch, dtype), list(modules)).eval()
    asked = json.loads(Path(questions).read_text("utf-8"))
    found: list[list[int]] = []
    with torch.no_grad():
        for start in range(0, len(asked["input_ids"]), ROWS):
            rows = asked["input_ids"][start : start + ROWS]
            longest = max(map(len, rows))
            input_ids = torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])
            found += model.generate(
                input_ids=input_ids,
                attention_mask=(input_ids != PADDING).long(),
                max_new_tokens=asked["max_new_tokens"],
                do_sample=False,
                num_beams=1,
            ).tolist()
    Path(outputs).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
