"""Hostile specs: each is refused, in little memory. ``python tests/builders/test_hostile.py`` prints the CPU time of each."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from time import process_time

import pytest

import builders
from layerkit.errors import SpecErrors

HEAD = "layerkit: 1\ninputs: {x: {shape: [4]}}\n"
LAYERS = f"{HEAD}layers:\n"
_BOMB = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
_CHAIN = "".join(f"  v{i}: $(v{i - 1} * v{i - 1} * v{i - 1})\n" for i in range(1, 40))
_NESTED = "".join(f"  b{i}:\n    layers:\n      - b{i + 1}\n        \n      - b{i + 1}\n" for i in range(60))
_MODELS = "".join(f"  m{i}: {{inputs: {{t: {{shape: [4]}}}}, layers: [m{i + 1}, m{i + 1}]}}\n" for i in range(18))
_ARGUMENTS = "".join(f"  b{i}: {{layers: [TimeDistributed: b{i + 1}, TimeDistributed: b{i + 1}]}}\n" for i in range(18))
_SUM = f"({' + '.join(['i * 0'] * 20)})"
_ONES = ", ".join(["1"] * 3000)
_NAMES = "".join(f"  v{i}: 1\n" for i in range(3000))

TEXTS = {
    "constructs an object": f"{LAYERS}  - !!python/object/apply:os.system ['true']\n",
    "calls a function": f"{LAYERS}  - Dense: !!python/name:os.system ''\n",
    "own tag": f"{LAYERS}  - Dense: !import os\n",
    "alias bomb": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + _BOMB,
    "alias bomb of layers": HEAD + "let: &l0 [1]\nlayers: &l1 [*l0, *l0]\n" + "".join(f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]\n" for i in range(2, 40)),
    "expression that grows": f"{HEAD}let:\n  v0: 10\n{_CHAIN}layers:\n  - Dense: $v39\n",
    "power": f"{LAYERS}  - Dense: $(9 ** 9 ** 9)\n",
    "power of powers": f"{LAYERS}  - Dense: \"$((((9 ** 99) ** 99) ** 99) ** 99)\"\n",
    "long expression": f"{LAYERS}  - Dense: $({'1 + ' * 20_000}1)\n",
    "deep expression": f"{LAYERS}  - Dense: \"$({'(' * 5000}1{')' * 5000})\"\n",
    "text times a number": f"{LAYERS}  - Dense: \"$('a' * 1000000000)\"\n",
    "list times a number": f"{HEAD}let: {{l: [1]}}\nlayers:\n  - Dense: $(l * 1000000000)\n",
    "attributes": f"{LAYERS}  - Dense: \"$(().__class__.__bases__)\"\n",
    "a call": f"{LAYERS}  - Dense: \"$(__import__('os').system('true'))\"\n",
    "a lambda": f"{LAYERS}  - Lambda: \"lambda x: x\"\n",
    "huge repeat": f"{LAYERS}  - Dense: 3\n    repeat: 1000000000\n",
    "huge repeat of repeats": LAYERS + "".join(f"{'    ' * i}  - repeat: 1000\n{'    ' * i}    layers:\n" for i in range(8)) + f"{'    ' * 8}  - Dense: 3\n",
    "blocks that double": f"{HEAD}blocks:\n{_NESTED}  b60: {{layers: [ReLU]}}\nlayers: [b0]\n",
    "block that uses itself": f"{HEAD}blocks: {{a: {{layers: [a]}}}}\nlayers: [a]\n",
    "blocks in a circle": f"{HEAD}blocks: {{a: {{layers: [b]}}, b: {{layers: [a]}}}}\nlayers: [a]\n",
    "models that double": f"{HEAD}blocks:\n{_MODELS}  m18: {{inputs: {{t: {{shape: [4]}}}}, layers: [ReLU]}}\nlayers: [m0]\n",
    "arguments that double": f"{HEAD}blocks:\n{_ARGUMENTS}  b18: {{layers: [ReLU]}}\nlayers: [b0]\n",
    "model that is its own argument": f"{HEAD}blocks: {{a: {{inputs: {{t: {{shape: [4]}}}}, layers: [TimeDistributed: a]}}}}\nlayers: [TimeDistributed: a]\n",
    "huge repeat that counts": f"{LAYERS}  - repeat: 1000000000\n    as: i\n    layers: [{{Dense: 3, repeat: 0}}]\n",
    "repeats that grow": LAYERS + "".join(f"{'    ' * i}  - repeat: {30 if i == 0 else f'$(30 + i{i - 1})'}\n{'    ' * i}    as: i{i}\n{'    ' * i}    layers:\n" for i in range(8)) + f"{'    ' * 8}  - Dense: 3\n",
    "repeat that counts with a long formula": f"{LAYERS}  - Dense: $(1 + {_SUM})\n    repeat: 9000\n    as: i\n  - odd\n",
    "repeats by a long formula": f"{LAYERS}  - repeat: 9000\n    as: i\n    layers: [{{Dense: 3, repeat: $({_SUM})}}]\n",
    "long formulas in a block": f"{HEAD}blocks: {{b: {{parameters: {{a: }}, layers: [{{Dense: 3, repeat: $(0 * a)}}]}}}}\nlayers:\n  - repeat: 9000\n    as: i\n    layers: [b: $({_SUM})]\n",
    "formula that is wrong in each turn": f"{LAYERS}  - Dense: $({'i + ' * 90}0)\n    repeat: 9000\n    as: i\n",
    "turns with a long list of names": f"{LAYERS}  - repeat: 9000\n    as: i\n    layers: [{{Dense: {{units: [{', '.join(['$i'] * 1000)}]}}, repeat: 0}}, odd]\n",
    "turns that look at a long list": f"{HEAD}let: {{l: [{_ONES}]}}\nlayers:\n  - repeat: 9000\n    as: i\n    layers: [{{Dense: 3, repeat: $(min(l) * len(l))}}]\n",
    "turns that copy a long list": f"{HEAD}let: {{l: [{_ONES}]}}\nlayers:\n  - repeat: 9000\n    as: i\n    layers: [{{Dense: \"$([{', '.join(['l'] * 90)}])\"}}]\n",
    "turns that see many names": f"{HEAD}let:\n{_NAMES}layers:\n  - repeat: 9999\n    as: i\n    layers: [{{Dense: 3, repeat: 0}}, odd]\n",
    "turns over nothing": f"{LAYERS}  - repeat: 9999\n    layers:\n" + "      - {ReLU: , repeat: 0}\n" * 900,
    "block of many parameters": f"{HEAD}blocks: {{b: {{parameters: {{{', '.join(f'p{i}: 1' for i in range(1000))}}}, layers: [{{Dense: 3, repeat: 0}}]}}}}\nlayers:\n  - {{repeat: 9000, as: i, layers: [b]}}\n",
    "a value for each of too many turns": f"{LAYERS}  - repeat: 3000\n    layers: [Dense: !each [{_ONES}, 1]]\n",
    "long chain of holes": f"{HEAD}let:\n  v0: !int {{low: 1, high: 3}}\n" + "".join(f"  v{i}: !int {{low: 1, high: $v{i - 1}}}\n" for i in range(1, 1000)) + "layers: [Dense: $v999]\n",
    "names that are nearly the same": LAYERS + "".join(f"  - ReLU:\n    name: {'n' * 150}{i}\n" for i in range(1000)) + "".join(f"  - ReLU:\n    from: {'n' * 149}m{i}\n" for i in range(20)),
    "bounds that grow": f"{HEAD}let:\n  v0: 10\n{_CHAIN}layers:\n  - Dense: !int {{low: 1, high: $(v39)}}\n",
    "bound by itself": f"{HEAD}let: {{a: !int {{low: 1, high: $a}}}}\nlayers:\n  - Dense: $a\n",
    "deep nesting": "[" * 100_000,
    "deep nesting of keys": "".join(" " * i + "a:\n" for i in range(2000)),
    "deep braces": "a: " + "{a: " * 50_000,
    "password file": f"{HEAD}include: ../../../../etc/passwd\nlayers: [ReLU]\n",
    "absolute include": f"{HEAD}include: /etc/passwd\nlayers: [ReLU]\n",
    "data outside": f"{LAYERS}  - Dense: 1\n    name: ../../x\n",
    "dunder name": f"{LAYERS}  - Dense: 1\n    name: __class__\nlet: {{__init__: 3}}\n",
    "dunder argument": f"{LAYERS}  - Dense: {{units: 3, __class__: 4}}\n",
    "dunder layer": f"{LAYERS}  - __import__: os\n",
    "class of ours that is no layer": f"{LAYERS}  - LayerCall: 3\n",
    "huge layer": f"{LAYERS}  - Dense: 100000000000000000000\n",
    "huge shape": "layerkit: 1\ninputs: {x: {shape: [99999999999999999999, 99999999999999999999]}}\nlayers: [ReLU, odd]\n",
    "100 MB of text": f"{LAYERS}  - Dense: {'a' * 100_000_000}\n",
    "many keys": "layerkit: 1\n" + "".join(f"k{i}: 1\n" for i in range(60_000)),
    "many layers": LAYERS + "  - ReLU\n" * 20_000,
    "control characters": f"{LAYERS}  - Dense: \x00\x1b[2J\n",
    "two documents": f"{LAYERS}  - Dense: 1\n---\nlayerkit: 1\n",
    "directive": f"%YAML 9.9\n---\n{LAYERS}  - Dense: 1\n",
}  # fmt: skip


def _refused(name: str, folder: Path) -> SpecErrors:
    path = folder / "spec.yaml"
    path.write_bytes(TEXTS[name].encode())
    with pytest.raises(SpecErrors) as caught:
        builders.load(path).build()
    return caught.value


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_specs_are_refused(name, tmp_path):
    builders.loads(f"{LAYERS}  - Dense: 1\n").build()  # what is loaded once does not count
    gc.collect()
    tracemalloc.start()
    try:
        error = _refused(name, tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    allowed = 50 << 20
    assert peak < allowed + 2 * len(TEXTS[name]), f"{peak >> 20} MB"  # the test's own copies of the text
    assert len(str(error)) < 100_000
    assert "root:" not in str(error)


LARGE = {
    "many layers": LAYERS + "  - Dense: {units: 4, activation: relu}\n" * 5000,
    "many formulas": f"{HEAD}let: {{width: 4}}\nlayers:\n" + "".join(f"  - Dense: $(width * {i} + 1)\n" for i in range(2000)),
    "a long vocabulary": "layerkit: 1\ninputs: {x: {shape: [4], dtype: string}}\nlayers:\n"
    f"  - StringLookup: {{vocabulary: [{', '.join(f'w{i}' for i in range(30_000))}]}}\n",
    "many turns": f"{LAYERS}  - repeat: 1000\n    as: i\n    layers: [Dense: $(8 + i % 2), Dropout: $(i / 2000)]\n",
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_specs_are_not_too_much_work(name):
    """What is written out is no more work than its text; ``holes`` makes all steps, and no layers of them."""
    assert builders.loads(LARGE[name]).holes == []


def main() -> None:
    """Print the CPU time that each takes to be refused."""
    import tempfile

    builders.loads(f"{LAYERS}  - Dense: 1\n").build()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in TEXTS.items():
            path = Path(folder) / "spec.yaml"
            path.write_bytes(text.encode())
            start = process_time()
            try:
                builders.load(path).build()
                outcome = "NOT REFUSED"
            except SpecErrors as error:
                outcome = error.errors[0].summary
            print(f"{1000 * (process_time() - start):8.1f} ms  {name:32} {outcome[:70]}")


if __name__ == "__main__":
    main()
