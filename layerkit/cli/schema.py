"""``layerkit schema``: the language of specs for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

import builders
from layerkit import saving
from layerkit.cli.shared import OUTPUT, Verb, plugin_layers, plugin_option, print_json

HELP = """\
In an editor with the YAML language server (Visual Studio Code with the extension "YAML" of Red Hat, Neovim, Helix, Emacs),
begin a spec with this line, and layers and their arguments are completed, explained and checked:

# yaml-language-server: $schema={path}

PyCharm and IntelliJ: Settings, Languages & Frameworks, Schemas and DTDs, JSON Schema Mappings, and choose the file there.
"""


@click.command(cls=Verb)
@click.option("-o", "--output", type=OUTPUT, help="Write it to a file, and tell how editors use it.")
@plugin_option
def schema(output: Path | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Print the JSON Schema of specs: which keys, layers and arguments there are, for completion in editors.

    Everything in it comes from the library itself, and layers of your own from their files. Editors find it by a comment in the first line of a spec, which
    "layerkit schema -o FILE" prints for that file.
    """
    found = builders.json_schema(plugin_layers(plugins))
    if output is None:
        print_json(found)
        return
    saving.write_whole(output, [(json.dumps(found, indent=1) + "\n").encode()])
    if as_json:
        print_json({"output": str(output), "layers": len(found.get("definitions", {}))})
    else:
        click.echo(f"wrote {output}\n\n{HELP.format(path=output)}", nl=False)
