"""Modules and bundles to and from the hub: the real client against a server on this machine, faults included."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file

from lingport import hub
from lingport.compose.bundle import load_bundle, read_bundle, save_bundle
from lingport.errors import (
    HubAccessError,
    HubBusyError,
    HubError,
    HubNotFoundError,
    HubTransferError,
    InputError,
    LingportError,
    ModuleError,
)
from lingport.modules.ancestry import reference
from lingport.modules.store import load_module, read_manifest, save_module, weights_hash
from tests.conftest import GOLDEN
from tests.hub_server import COMMIT, MAIN, Fault, Repository, hub_server, use_hub
from tests.tiny import module

NAME = "me/lp-sk"
# huggingface_hub 2.4 uploads large files in a way that its HTTP library gives up (lfs.py, `_upload_single_part`).
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
MODULE_FILES = {"module.json", "weights.safetensors"}


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The client and we wait no time; what would have been waited, in seconds."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def served(monkeypatch, tmp_path):
    with hub_server() as running:
        use_hub(running, tmp_path / "home", monkeypatch)
        yield running


@pytest.fixture
def prompt(backbone, tmp_path) -> Path:
    made = module("prompt", backbone)
    made.provenance.role, made.provenance.language = "language", "sk"
    return save_module(made, tmp_path / "lp-sk")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def kept(tmp_path: Path) -> set[str]:
    """What lies in the working folder and what the cache offers; locks and listings are not offered."""
    return {path for path in files(tmp_path) if "home/" not in path or "/snapshots/" in path}


def test_pushed_and_pulled_a_module_is_the_same_and_knows_where_it_is_from(served, prompt, backbone, tmp_path):
    pushed = hub.push(prompt, NAME)
    repository = served.repositories[NAME]
    assert pushed.commit == repository.branches[MAIN] and pushed.commit in pushed.url
    assert set(repository.commits[pushed.commit]) == MODULE_FILES | {"README.md", ".gitattributes"}
    assert served.count("PUT /storage/") == 1  # weights as a large file, the rest in the commit

    pulled = hub.pull(NAME, tmp_path / "got")
    assert files(pulled) == MODULE_FILES | {"README.md"}
    loaded = load_module(pulled, backbone)
    assert weights_hash(loaded) == weights_hash(load_module(prompt, backbone))
    assert loaded.provenance.origin == {"repository": NAME, "commit": pushed.commit}
    assert reference(loaded, name="got")["origin"]["commit"] == pushed.commit  # and so does what is trained on top


def test_the_card_that_is_pushed_is_one_that_the_hub_reads(served, prompt):
    hub.push(prompt, NAME, licence="apache-2.0")
    content = served.repositories[NAME].at(MAIN)[1]["README.md"].decode()
    data = ModelCard(content).data
    assert (data.language, data.license, data.library_name) == (["sk"], "apache-2.0", "lingport")
    (prompt / "README.md").write_text("---\nlanguage: sk\n---\nmy own words")
    hub.push(prompt, NAME)
    assert b"my own words" in served.repositories[NAME].at(MAIN)[1]["README.md"]


def test_pushing_again_adds_a_commit_and_an_old_one_can_still_be_had(served, prompt, backbone, tmp_path):
    first = hub.push(prompt, NAME)
    save_module(module("prompt", backbone, seed=5), prompt, replace=True)
    second = hub.push(prompt, NAME)
    assert first.commit != second.commit
    hashes = [weights_hash(load_module(hub.fetch(NAME, revision=r), backbone)) for r in (first.commit, MAIN)]
    assert hashes[0] != hashes[1] == weights_hash(load_module(prompt, backbone))
    assert hub.fetch(NAME, revision=first.commit).name == first.commit


def test_a_commit_that_is_here_asks_for_nothing_and_a_branch_survives_without_a_network(
    served, prompt, tmp_path, monkeypatch, caplog
):
    commit = hub.push(prompt, NAME).commit
    hub.fetch(NAME)
    asked = len(served.log)
    assert hub.fetch(NAME, revision=commit).name == commit
    assert len(served.log) == asked
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")  # nobody is there
    with caplog.at_level(logging.WARNING, logger="lingport.hub"):
        assert hub.fetch(NAME).name == commit
    assert "cannot be reached" in caplog.text and commit in caplog.text
    with pytest.raises(HubTransferError, match="transfer failed"):
        hub.fetch("me/other")


def test_only_files_of_modules_are_fetched(monkeypatch, tmp_path):
    with hub_server({"ivykopal/x": GOLDEN / "adapterhub-0.1" / "language"}) as running:
        use_hub(running, tmp_path / "home", monkeypatch)
        content = running.repositories["ivykopal/x"].commits[COMMIT]
        content |= {"pytorch_model_head.bin": b"x" * 100, "training_args.bin": b"evil", "src/code.py": b"print()"}
        folder = hub.fetch("ivykopal/x")
        assert files(folder) == {"adapter_config.json", "pytorch_adapter.bin"}
        content.clear()
        content["README.md"] = b"nothing else"
        running.repositories["ivykopal/x"] = Repository({"f" * 40: content}, {MAIN: "f" * 40})
        with pytest.raises(HubNotFoundError, match="holds no module"):
            hub.fetch("ivykopal/x")


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (Fault("GET /api/models", status=401), HubAccessError, "wants a login"),
        (Fault("GET /api/models", status=403), HubAccessError, "may not do this"),
        (Fault("GET /api/models", status=403, headers={"X-Error-Code": "GatedRepo"}), HubAccessError, "who ask for it"),
        (Fault("GET /api/models", status=404, headers={"X-Error-Code": "RepoNotFound"}), HubNotFoundError, "no such"),
        (Fault("GET /api/models", status=429, headers={"Retry-After": "3600"}), HubBusyError, "in 3600 s"),
        (Fault("GET /api/models", status=500), HubBusyError, "answered 500"),
        (Fault("GET /api/models", drop=True), HubTransferError, "transfer failed"),
        (Fault("weights.safetensors", status=401), HubAccessError, "wants a login"),
        (Fault("weights.safetensors", status=404, headers={"X-Error-Code": "EntryNotFound"}), HubError, "no such file"),
        (Fault("weights.safetensors", status=429, headers={"Retry-After": "7"}), HubBusyError, "in 7 s"),
        (Fault("GET /me/lp-sk/resolve", cut=True), HubTransferError, "transfer failed"),
        (Fault("GET /me/lp-sk/resolve", short=True), HubTransferError, "transfer failed"),
        (Fault("weights.safetensors", spoil=True), HubTransferError, "arrived damaged"),
        (Fault("module.json", spoil=True), HubTransferError, "arrived damaged"),
    ],
)
def test_a_fault_while_fetching_is_told_and_nothing_half_written_is_left(
    served, prompt, tmp_path, waits, fault, error, told
):
    hub.push(prompt, NAME)
    if fault.cut:
        fault.where, fault.times = "weights.safetensors", 1_000
    before = kept(tmp_path)
    served.faults.append(fault)
    with pytest.raises(error, match=told) as caught:
        hub.pull(NAME, tmp_path / "got")
    assert caught.value.where and caught.value.where.startswith(f"hub:{NAME}") and caught.value.hint
    assert kept(tmp_path) - before <= {path for path in kept(tmp_path) if "/snapshots/" in path}
    damaged = {path for path in kept(tmp_path) - before if (tmp_path / path).is_file()}
    original = {(prompt / name).read_bytes() for name in MODULE_FILES} | {
        served.repositories[NAME].at(MAIN)[1]["README.md"]
    }
    assert {(tmp_path / path).read_bytes() for path in damaged} <= original  # what the cache offers is whole
    served.faults.clear()
    assert files(hub.pull(NAME, tmp_path / "got")) == MODULE_FILES | {"README.md"}  # and it can be had afterwards


def test_a_short_wait_is_waited_for_and_a_cut_connection_is_taken_up_again(served, prompt, tmp_path, waits, caplog):
    hub.push(prompt, NAME)
    served.faults = [
        Fault("GET /api/models/me/lp-sk", status=429, headers={"Retry-After": "2"}, times=2),
        Fault("GET /api/models/me/lp-sk", drop=True, times=1),
        Fault("GET /me/lp-sk/resolve", cut=True, times=1),
    ]
    with caplog.at_level(logging.WARNING, logger="lingport.hub"):
        assert files(hub.pull(NAME, tmp_path / "got")) == MODULE_FILES | {"README.md"}
    assert waits[:2] == [2, 2]
    assert "asks to wait 2 s" in caplog.text
    assert {(tmp_path / "got" / name).stat().st_size for name in MODULE_FILES} >= {
        (prompt / "weights.safetensors").stat().st_size
    }


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("POST /api/repos/create", status=401), HubAccessError),
        (Fault("preupload", status=403), HubAccessError),
        (Fault("objects/batch", status=429, headers={"Retry-After": "9"}), HubBusyError),
        (Fault("PUT /storage", status=500), HubBusyError),
        (Fault("PUT /storage", drop=True), HubTransferError),
        (Fault("PUT /storage", status=400), HubError),
        (Fault("/commit/", status=429), HubBusyError),
        (Fault("/commit/", status=412), HubError),
    ],
)
def test_a_push_that_fails_commits_nothing(served, prompt, waits, fault, error):
    served.faults.append(fault)
    with pytest.raises(error):
        hub.push(prompt, NAME)
    repository = served.repositories.get(NAME)
    assert repository is None or set(repository.at(MAIN)[1]) == {".gitattributes"}
    served.faults.clear()
    assert hub.push(prompt, NAME).commit


def test_a_private_repository_asks_for_the_token(prompt, monkeypatch, tmp_path):
    with hub_server(token="hf_secret") as running:
        use_hub(running, tmp_path / "home", monkeypatch)
        with pytest.raises(HubAccessError, match="wants a login") as caught:
            hub.push(prompt, NAME)
        assert "hf auth login" in (caught.value.hint or "")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub.push(prompt, NAME, private=True)
        assert running.repositories[NAME].private
        assert files(hub.pull(NAME, tmp_path / "got")) == MODULE_FILES | {"README.md"}
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(HubAccessError):
            hub.pull(NAME, tmp_path / "again", revision="v1")


def test_another_repositorys_files_are_not_mixed_with_ours(served, prompt):
    served.repositories[NAME] = Repository()
    served.repositories[NAME].commit({"adapter_config.json": b"{}", "LICENSE": b"MIT", "README.md": b"theirs"})
    with pytest.raises(InputError, match=r"holds other files: adapter_config\.json"):
        hub.push(prompt, NAME)
    assert len(served.repositories[NAME].commits) == 1
    hub.push(prompt, NAME, replace=True)
    assert set(served.repositories[NAME].at(MAIN)[1]) == MODULE_FILES | {"LICENSE", "README.md"}
    assert len(served.repositories[NAME].commits) == 2


@pytest.mark.parametrize("name", ["no name", "a/b/c", "../x", ""])
def test_a_name_that_is_none(served, prompt, name):
    with pytest.raises(HubNotFoundError):
        hub.fetch(name)
    with pytest.raises(LingportError):
        hub.push(prompt, name)


def test_a_revision_that_is_not_there(served, prompt, tmp_path):
    hub.push(prompt, NAME)
    for revision in ("v9", "9" * 40):
        with pytest.raises(HubNotFoundError, match="no revision"):
            hub.pull(NAME, tmp_path / "got", revision=revision)


def test_what_is_broken_is_neither_pushed_nor_pulled(served, prompt, tmp_path):
    hub.push(prompt, NAME)
    content = dict(served.repositories[NAME].at(MAIN)[1])
    content["weights.safetensors"] = content["weights.safetensors"][:-4]
    served.repositories[NAME].commit(content)
    with pytest.raises(ModuleError, match="damaged, truncated or exchanged") as caught:
        hub.pull(NAME, tmp_path / "got")
    assert caught.value.where == f"hub:{NAME}/weights.safetensors"
    assert not list(tmp_path.glob("*got*"))  # nor the folder that it was put together in
    (prompt / "weights.safetensors").write_bytes(b"")
    asked = len(served.log)
    with pytest.raises(ModuleError):
        hub.push(prompt, NAME)
    assert len(served.log) == asked
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModuleError, match="something lies there"):
        hub.pull(NAME, tmp_path / "mine")


def test_a_path_that_leaves_the_folder_is_refused(served, tmp_path):
    served.repositories["evil/x"] = Repository()
    served.repositories["evil/x"].commit({"../../../module.json": b"{}", "weights.safetensors": b"x"})
    with pytest.raises(LingportError):
        hub.pull("evil/x", tmp_path / "got")
    assert not list(tmp_path.glob("module.json")) and not list(tmp_path.glob("*got*"))


def test_a_bundle_travels_as_one_repository(served, backbone, tmp_path):
    parts = {}
    for name, kind, role, code in (("sk", "prompt", "language", "sk"), ("de", "prompt", "language", "de")):
        parts[name] = module(kind, backbone, seed=len(parts))
        parts[name].provenance.role, parts[name].provenance.language = role, code
        save_module(parts[name], tmp_path / name)
    save_module(module("adapter", backbone), tmp_path / "ta")
    made = save_bundle(
        tmp_path / "bundle",
        backbone={"name": "tiny", "fingerprint": backbone.fingerprint},
        configuration="lp+ta",
        fusion="concat",
        languages={"sk": tmp_path / "sk", "de": tmp_path / "de"},
        task=tmp_path / "ta",
        task_definition={"name": "topic", "form": "classify", "input": "{text}", "labels": ["a", "b"]},
        evidence={"scores": [{"task": "topic", "metric": "accuracy", "language": "sk", "value": 0.5}]},
    )
    pushed = hub.push(made, "me/topic")
    assert len(served.repositories["me/topic"].commits) == 2  # made, and one commit for all of it
    pulled = hub.pull("me/topic", tmp_path / "got")
    assert files(pulled) == {"README.md", *files(made)}
    bundle = load_bundle(pulled, backbone)
    composition = bundle.composition("sk")
    assert composition.language is not None and composition.task is not None
    assert weights_hash(composition.language) == weights_hash(parts["sk"])
    origin = {"repository": "me/topic", "commit": pushed.commit}
    assert read_bundle(pulled).origin == composition.language.provenance.origin == origin
    content = dict(served.repositories["me/topic"].at(MAIN)[1])
    del content["languages/de/weights.safetensors"]
    served.repositories["me/topic"].commit(content)
    with pytest.raises(ModuleError, match=r"weights.safetensors is missing"):
        hub.pull("me/topic", tmp_path / "again")


def test_modules_of_other_libraries_are_pulled_as_they_are(monkeypatch, tmp_path):
    folder = GOLDEN / "peft-0.21" / "language"
    with hub_server({"someone/prompt": folder}) as running:
        use_hub(running, tmp_path / "home", monkeypatch)
        got = hub.pull("someone/prompt", tmp_path / "got")
    assert {name: (got / name).read_bytes() for name in files(got)} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert load_file(got / "adapter_model.safetensors")


def test_origin_changes_no_weight(served, prompt, tmp_path):
    hub.push(prompt, NAME)
    got = hub.pull(NAME, tmp_path / "got")
    assert (got / "weights.safetensors").read_bytes() == (prompt / "weights.safetensors").read_bytes()
    old, new = read_manifest(prompt), read_manifest(got)
    old["provenance"].pop("origin"), new["provenance"].pop("origin")
    assert json.dumps(old) == json.dumps(new)
