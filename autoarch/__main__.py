"""``python -m autoarch`` is the ``autoarch`` command."""

from autoarch.cli import main

main()
