"""Names of Keras that are not here: the error names something else that is."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

import layerkit
from layerkit.absent import INSTEAD

NAMES = [(module, name) for module, names in INSTEAD.items() for name in names]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=".".join)
def test_a_name_that_is_absent_says_what_is_there_instead(module, name):
    where = import_module(module)
    assert name not in vars(where)
    assert not hasattr(where, name)
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{name}'; instead: ") as caught:
        getattr(where, name)
    assert caught.value.name == name
    told = str(caught.value).partition("instead: ")[2]
    for path in re.findall(r"\blayerkit((?:\.\w+)+)", told):
        found = layerkit
        for part in path.strip(".").split("."):
            found = getattr(found, part)
    for method in re.findall(r"\bmodel\.(\w+)\(", told):
        assert callable(getattr(layerkit.Model, method))


def test_other_names_are_plainly_absent():
    for module in (layerkit, *map(import_module, INSTEAD)):
        with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'$"):
            _ = module.nonsense
    with pytest.raises(ImportError, match="cannot import name 'TensorBoard'"):
        exec("from layerkit.callbacks import TensorBoard")
