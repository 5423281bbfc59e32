"""``python -m layerkit`` is the ``layerkit`` command."""

from layerkit.cli import main

main()
