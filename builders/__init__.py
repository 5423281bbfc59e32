"""Models from YAML: ``builders.load("model.yaml").build()``.

``source`` reads YAML and remembers places (``nodes``); ``values`` puts named values in their places (``expressions``);
``expand`` makes a flat list of the layers, blocks (``blocks``) and repeats; ``build`` makes a model of it, with arguments that
are checked against the signatures of what they are for (``arguments``, ``sections``). ``holes`` are what a search decides.
"""

from builders.dump import dump
from builders.holes import Hole
from builders.json_schema import json_schema
from builders.python_source import to_python
from builders.spec import Spec, load, loads

__all__ = ["Hole", "Spec", "dump", "json_schema", "load", "loads", "to_python"]
