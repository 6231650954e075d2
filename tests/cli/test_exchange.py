"""`lingport modules import` and `export`, as a user of another library calls them."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import BACKBONE
from tests.conftest import GOLDEN

LANGUAGE = GOLDEN / "adapterhub-0.1" / "language"


def provenance(folder):
    return json.loads((folder / "module.json").read_text())["provenance"]


def test_in_and_out_again(call, tmp_path):
    told = ["--role", "language", "--language", "sk"]
    result = call("modules", "import", LANGUAGE, "la-sk", "--backbone", BACKBONE, *told)
    assert result.stdout.splitlines()[-1] == "la-sk"
    assert (provenance(tmp_path / "la-sk")["role"], provenance(tmp_path / "la-sk")["language"]) == ("language", "sk")
    call("modules", "export", "la-sk", "out/la-sk", "--to", "adapterhub", "--name", "wikipedia")
    assert sorted(path.name for path in (tmp_path / "out" / "la-sk").iterdir()) == [
        "adapter.safetensors",
        "adapter_config.json",
        "lingport.json",
    ]
    call("modules", "import", "out/la-sk", "again")
    for name in ("weights.safetensors", "module.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "la-sk" / name).read_bytes()


def test_a_prompt_goes_to_peft_under_its_own_name(call, tmp_path):
    call(
        "modules", "import", GOLDEN / "paper" / "task", "tp", "--backbone", BACKBONE, "--role", "task", "--task", "ner"
    )
    assert provenance(tmp_path / "tp")["task"] == "ner"
    call("modules", "export", "tp", "theirs", "--to", "peft")
    assert json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())["num_virtual_tokens"] == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", LANGUAGE, "x", "--backbone", "nano"), "made for a backbone of width 32"),
        (("import", LANGUAGE, "x", "--role", "both"), "unknown role 'both'"),
        (("import", "nowhere", "x"), "no such folder"),
        (("import", GOLDEN, "x"), "no module of a known format"),
        (("export", "nowhere", "x", "--to", "peft"), "nowhere"),
        (("export", "nowhere", "x", "--to", "pft"), "did you mean 'peft'?"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_made(arguments, said, call, tmp_path):
    result = call("modules", *arguments, code=2)
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_ours_is_not_imported_and_nothing_is_overwritten(call, tmp_path):
    call("modules", "import", LANGUAGE, "la", "--backbone", BACKBONE)
    assert "a module of ours already" in call("modules", "import", "la", "lb", code=2).stderr
    assert "something lies there already" in call("modules", "import", LANGUAGE, "la", code=2).stderr
    assert "something lies there already" in call("modules", "export", "la", "la", "--to", "adapterhub", code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["la"]


def test_the_folder_need_not_name_its_backbone(call, tmp_path):
    for name in ("adapter_config.json", "pytorch_adapter.bin"):
        (tmp_path / "theirs").mkdir(exist_ok=True)
        (tmp_path / "theirs" / name).write_bytes((LANGUAGE / name).read_bytes())
    config = json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())
    (tmp_path / "theirs" / "adapter_config.json").write_text(json.dumps({**config, "model_name": None}))
    assert "give --backbone" in call("modules", "import", "theirs", "x", code=2).stderr
    call("modules", "import", "theirs", "x", "--backbone", BACKBONE)
