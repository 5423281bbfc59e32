"""``python -m layerkit`` is the ``layerkit`` command."""

import sys
from collections.abc import Callable


def run(load: Callable[[], Callable[[], None]]) -> None:
    """Import a command and run it; Ctrl-C while it is still being imported is no traceback either."""
    try:
        load()()
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr)
        sys.exit(1)


def _load() -> Callable[[], None]:
    from layerkit.cli import main

    return main


def main() -> None:
    """The command."""
    run(_load)


if __name__ == "__main__":
    main()
