"""Models from YAML: ``builders.load("model.yaml").build()``.

``source`` reads YAML and remembers places, ``build`` makes models of it.
"""

from builders.build import Spec, load

__all__ = ["Spec", "load"]
