"""Run in an environment of its own by test_interop.py: `adapters` loads what lingport exported.

    python interop_adapters.py jobs.json

A job: `backbone` (folder), `modules` (folders, stacked in this order), `inputs` (file), `out` (folder: logits and
greedy tokens, and each module as this library saves it again).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import adapters
import torch
from adapters.composition import Stack
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM


def run(job: dict) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(job["backbone"], attn_implementation="eager", dtype=torch.float32)
    adapters.init(model)
    names = []
    for folder in job["modules"]:
        loading: dict = {}
        names.append(model.load_adapter(folder, use_safetensors=True, loading_info=loading))
        assert not loading["missing_keys"] + loading["unexpected_keys"], loading
    model.set_active_adapters(Stack(*names))
    model.eval()
    inputs = load_file(job["inputs"])
    source = {key: inputs[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**inputs).logits
        greedy = model.generate(**source, max_new_tokens=6, do_sample=False, num_beams=1)
    out = Path(job["out"])
    for index, name in enumerate(names):
        (out / str(index)).mkdir(parents=True)
        model.save_adapter(str(out / str(index)), name, use_safetensors=True, with_head=False)
    save_file({"logits": logits, "greedy": greedy}, out / "found.safetensors")


if __name__ == "__main__":
    for each in json.loads(Path(sys.argv[1]).read_text()):
        run(each)
