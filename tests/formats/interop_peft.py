"""Run in an environment of its own by test_interop.py: `peft` loads what lingport exported.

    python interop_peft.py jobs.json

A job: `backbone` (folder), `modules` (one folder), `inputs` (file), `out` (folder: logits and greedy tokens, and the
module as this library saves it again).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM


def run(job: dict) -> None:
    base = AutoModelForSeq2SeqLM.from_pretrained(job["backbone"], dtype=torch.float32)
    model = PeftModel.from_pretrained(base, job["modules"][0]).eval()
    inputs = load_file(job["inputs"])
    source = {key: inputs[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**inputs).logits
        greedy = model.generate(**source, max_new_tokens=6, do_sample=False, num_beams=1)
    out = Path(job["out"])
    out.mkdir(parents=True)
    model.save_pretrained(out / "0")
    save_file({"logits": logits, "greedy": greedy}, out / "found.safetensors")


if __name__ == "__main__":
    for each in json.loads(Path(sys.argv[1]).read_text()):
        run(each)
