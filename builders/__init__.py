"""Models from YAML: ``builders.load("model.yaml").build()``.

``source`` reads YAML and remembers places, ``build`` makes models of it.
"""

from builders.build import Spec, load
from builders.json_schema import json_schema

__all__ = ["Spec", "json_schema", "load"]
