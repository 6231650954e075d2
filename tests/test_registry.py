"""The registry: lazy, nothing replaced unseen, a wrong name answered with the nearest."""

from __future__ import annotations

import importlib

import pytest

from lingport.backbones.layout import LAYOUTS
from lingport.data.readers import FILE_FORMATS, WHOLE_FORMATS
from lingport.errors import UnknownNameError
from lingport.modules.base import KINDS
from lingport.modules.soft_prompt import INITIALISATIONS
from lingport.registry import Registry
from lingport.train.optim import OPTIMIZERS


def test_a_name_is_imported_when_it_is_asked_for_and_only_once(monkeypatch):
    asked = []
    real = importlib.import_module
    monkeypatch.setattr("lingport.registry.importlib.import_module", lambda name: asked.append(name) or real(name))
    registry: Registry[type] = Registry("thing", {"fraction": "fractions:Fraction"})
    assert list(registry) == ["fraction"] and "fraction" in registry and asked == []
    from fractions import Fraction

    assert registry.get("fraction") is registry.get("fraction") is Fraction
    assert asked == ["fractions"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown kind of module 'adaptor'") as caught:
        KINDS.get("adaptor")
    assert caught.value.hint == "did you mean 'adapter'? (allowed: adapter, full, prompt)"


def test_own_objects_are_registered_and_nothing_is_replaced():
    registry: Registry[type] = Registry("thing")
    registry.register("mine", int)
    assert registry.get("mine") is int
    with pytest.raises(ValueError, match="'mine' is registered already"):
        registry.register("mine", float)


def test_the_names_are_sorted():
    assert list(Registry("thing", {"b": "x:y", "a": "x:y"})) == ["a", "b"]


@pytest.mark.parametrize("registry", [KINDS, LAYOUTS, OPTIMIZERS, INITIALISATIONS, FILE_FORMATS, WHOLE_FORMATS])
def test_every_built_in_name_leads_somewhere(registry):
    assert all(callable(registry.get(name)) for name in registry)


def test_a_kind_is_registered_under_its_own_name():
    assert all(KINDS.get(name).kind == name for name in KINDS)
