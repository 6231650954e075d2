"""Makes tests/formats/adapterhub: adapters of many configurations as `adapters` 1.3.0 saves them, and its logits.

Not run by the tests, which read what it made. It needs that library, which wants transformers 4:

    python -m venv env && env/bin/pip install adapters==1.3.0 torch==2.13.0
    env/bin/python tests/formats/make_adapterhub.py

Weights are random; the backbone and the batch are those of tests/golden.
"""

from __future__ import annotations

from pathlib import Path

import adapters
import torch
from adapters import BnConfig, DoubleSeqBnConfig, DoubleSeqBnInvConfig, ParBnConfig, SeqBnConfig, SeqBnInvConfig
from safetensors.torch import load_file, save_file
from transformers import MT5ForConditionalGeneration

TESTS = Path(__file__).resolve().parents[1]
OUT = TESTS / "formats" / "adapterhub"
CASES = {
    "seq_bn-8-gelu": SeqBnConfig(reduction_factor=8, non_linearity="gelu"),
    "seq_bn-wider": SeqBnConfig(reduction_factor=0.5, non_linearity="leakyrelu"),
    "seq_bn-leave-out": SeqBnConfig(leave_out=[0, 3], non_linearity="gelu_new"),
    "seq_bn-per-layer": SeqBnConfig(reduction_factor={"0": 8, "3": 4, "default": 16}, non_linearity="sigmoid"),
    "seq_bn-everywhere": SeqBnConfig(mh_adapter=True, cross_adapter=True, non_linearity="tanh"),
    "seq_bn-channel": SeqBnConfig(original_ln_after=False, residual_before_ln=False, scaling="channel"),
    "seq_bn_inv": SeqBnInvConfig(),
    "double_seq_bn": DoubleSeqBnConfig(),
    "double_seq_bn-cross": DoubleSeqBnConfig(cross_adapter=True, leave_out=[1], scaling=0.5),
    "double_seq_bn_inv": DoubleSeqBnInvConfig(inv_adapter_reduction_factor=4, non_linearity="mish"),
    "par_bn": ParBnConfig(),
    "par_bn-learned": ParBnConfig(scaling="learned", non_linearity="quick_gelu"),
    "par_bn-attention": BnConfig(
        mh_adapter=True,
        output_adapter=False,
        cross_adapter=True,
        is_parallel=True,
        reduction_factor=4,
        non_linearity="relu6",
    ),
}


def main() -> None:
    inputs = load_file(TESTS / "golden" / "inputs.safetensors")
    for seed, (name, config) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = MT5ForConditionalGeneration.from_pretrained(TESTS / "golden" / "base", attn_implementation="eager")
        model.config._name_or_path = "google/mt5-base"
        adapters.init(model)
        model.add_adapter("sk", config=config)
        model.set_active_adapters("sk")
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "adapters.sk." in key:
                    parameter.copy_(torch.randn(parameter.shape) * (0.3 if parameter.ndim > 1 else 0.1))
            model.eval()
            logits = model(**inputs).logits
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_adapter(str(folder), "sk", use_safetensors=True, with_head=False)
        save_file({"logits": logits}, folder / "expected.safetensors")
        print(name, sorted(path.name for path in folder.iterdir()), f"{logits.abs().max():.1f}")


if __name__ == "__main__":
    main()
