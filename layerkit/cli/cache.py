"""``layerkit cache``: the compiled code that is kept on disk."""

from __future__ import annotations

import click

from layerkit.cli.shared import Verb, print_json
from layerkit.engines.llvm.codegen.cache import ObjectCache
from layerkit.models.cost import show_bytes


@click.command(cls=Verb)
@click.option("--clear", is_flag=True, help="Remove all entries.")
def cache(clear: bool, as_json: bool) -> None:
    """Show the compiled code that is kept on disk, or remove it.

    A model that was compiled once starts at once. The folder is that of LAYERKIT_CACHE_DIR, or the platform's own.
    """
    found = ObjectCache.default()
    freed = found.clear() if clear else None
    data = {
        "folder": str(found.folder), "off": found.reason, "entries": len(found.entries()), "bytes": found.size,
        "most_bytes": found.most_bytes, "freed_bytes": freed,
    }  # fmt: skip
    if as_json:
        print_json(data)
    elif freed is not None:
        click.echo(f"removed {show_bytes(freed)} from {found.folder}")
    else:
        click.echo(f"folder   {found.folder}")
        click.echo(f"state    {'on' if found.reason is None else f'off: {found.reason}'}")
        click.echo(f"entries  {data['entries']}")
        click.echo(f"size     {show_bytes(found.size)} of at most {show_bytes(found.most_bytes)}")
