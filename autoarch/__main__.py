"""``python -m autoarch`` is the ``autoarch`` command."""

from collections.abc import Callable

from layerkit.__main__ import run


def _load() -> Callable[[], None]:
    from autoarch.cli import main

    return main


def main() -> None:
    """The command."""
    run(_load)


if __name__ == "__main__":
    main()
