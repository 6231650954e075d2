"""The error tree: one root, what and where and what next, and it survives pickling."""

from __future__ import annotations

import copy
import pickle

import pytest

from lingport import errors
from lingport.errors import InputError, LingportError, TrainingError, nearest

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LingportError)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_every_error_survives_pickling(kind, duplicate):
    error = duplicate(kind("the message", where="file:3:4", hint="do this"))
    assert type(error) is kind
    assert (error.message, error.where, error.hint) == ("the message", "file:3:4", "do this")


def test_it_says_where_what_and_what_next():
    assert str(LingportError("is wrong", where="a.yaml:3:1", hint="mend it")) == "a.yaml:3:1: is wrong\n  -> mend it"
    assert str(LingportError("is wrong")) == "is wrong"


def test_exit_codes_tell_bad_input_from_failure():
    assert {kind.__name__: kind.exit_code for kind in KINDS if kind.exit_code == 1} == {
        "LingportError": 1,
        "TrainingError": 1,
        "HubError": 1,
        "HubBusyError": 1,
        "HubTransferError": 1,
    }
    assert InputError.exit_code == 2
    assert not issubclass(TrainingError, InputError)


def test_nearest():
    assert nearest("promt", ["prompt", "adapter"]) == "did you mean 'prompt'? (allowed: adapter, prompt)"
    assert nearest("zzz", ["prompt", "adapter"]) == "allowed: adapter, prompt"
    assert nearest("zzz", []) == "none is registered"
