"""``python -m layerkit`` is the ``layerkit`` command."""

import sys


def main() -> None:
    """Run the command; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from layerkit.cli import main as command

        command()
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
