"""The spec of a winner as one would write it by hand: no names to choose from, nothing that is not used."""

from __future__ import annotations

import builders
from builders import Spec
from builders.dump import mapping
from layerkit.errors import LayerkitError
from layerkit.ir.fingerprint import fingerprint
from layerkit.models.cost import training_graph


def plain(spec: Spec) -> Spec:
    r"""The same model, training and data without ``let``, blocks and names of layers; the spec itself where that is not shorter.

    Layers get other names, and so other first weights from the same seed: what is to be repeated is trained by this spec.

    Example:
        >>> text = "layerkit: 1\nname: a\nlet: {n: 3}\ninputs: {x: {shape: [2]}}\nlayers:\n  - Dense: $n\n    name: a/b\nfit: {epochs: 2}\n"
        >>> print(plain(builders.loads(text)).text)
        layerkit: 1
        name: a
        inputs:
          x: {shape: [2]}
        layers:
          - Dense: 3
        fit: {epochs: 2}
        <BLANKLINE>
    """
    try:
        model = spec.build()
        text = builders.dump(model, names=False)
        fit, data = spec.fit, spec.root.get("data")
        sections = {"fit": fit or None, "data": None if data is None else data.plain()}
        text += "".join(f"{line}\n" for line in mapping({k: v for k, v in sections.items() if v is not None}))
        made = builders.loads(text, spec.file, layers=spec.layers)
        again = made.build()
        is_equal = fingerprint(training_graph(model)[0]) == fingerprint(training_graph(again)[0])
        return made if is_equal and made.fit == fit and len(text) < len(spec.text) else spec
    except (LayerkitError, TypeError):  # what cannot be written down so stays as it is
        return spec
