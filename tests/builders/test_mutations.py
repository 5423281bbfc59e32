"""Mistakes planted in the example specs: nearly all are found before any data are read, at the line where they stand.

Each kind of mistake is one that people make; each planted text is wrong by construction. The figures are printed.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import builders
from builders import nodes, source
from layerkit.errors import LayerkitError, SpecErrors

SPECS = sorted((Path(__file__).parents[2] / "examples/specs").glob("*.yaml"))
EACH = 4
"""So many mistakes of each kind in each spec."""


@dataclass(frozen=True)
class Mutant:
    """A spec with one mistake; ``lines`` are those where a report is right."""

    kind: str
    spec: str
    text: str
    lines: range
    what: str


def _replaced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _walk(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, node
    if isinstance(node, nodes.Mapping):
        for entry in node.entries:
            yield from _walk(entry.value, (*path, entry.name))
    elif isinstance(node, nodes.Sequence):
        for i, item in enumerate(node.items):
            yield from _walk(item, (*path, i))


def _keys(root: Any) -> Iterator[tuple[tuple[Any, ...], nodes.Entry]]:
    for path, node in _walk(root):
        if isinstance(node, nodes.Mapping):
            for entry in node.entries:
                yield path, entry


def _scalars(root: Any) -> Iterator[tuple[tuple[Any, ...], nodes.Scalar]]:
    for path, node in _walk(root):
        if isinstance(node, nodes.Scalar):
            yield path, node


def _typo(word: str, rng: random.Random) -> str:
    """The word with a letter lost, doubled or swapped."""
    at = rng.randrange(1, len(word) - 1) if len(word) > 2 else 0
    found = {
        0: word[:at] + word[at + 1 :],
        1: word[:at] + word[at] + word[at:],
        2: word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    }[rng.randrange(3)]
    return found if found != word else word + word[-1]


def _is_free(path: tuple[Any, ...]) -> bool:
    """Whether what is written there is a name of the user's own choice."""
    return path[:1] in ((), ("let",), ("name",)) or path[:2] == ("data", "features") or len(path) < 2


class Mutations:
    """All mistakes of one spec, kind by kind; each method yields ``(text, line, what)``."""

    def __init__(self, path: Path) -> None:
        self.name, self.text = path.stem, path.read_text(encoding="utf-8")
        self.root = source.parse(self.text, str(path))
        self.rng = random.Random(path.stem)
        self.lines = self.text.splitlines(keepends=True)

    def all(self) -> Iterator[Mutant]:
        for kind in (
            "key",
            "value",
            "type",
            "rank",
            "merge",
            "input",
            "expression",
            "units",
            "indent",
            "twice",
            "letter",
        ):
            found = list(getattr(self, kind)())
            self.rng.shuffle(found)
            for text, line, what in found[:EACH]:
                more = 1 if kind == "indent" else 0
                yield Mutant(kind, self.name, text, range(line - more, line + 1 + more), what)

    def key(self) -> Any:
        """A key with a typo."""
        for path, entry in _keys(self.root):
            if path[:1] in (("let",), ("inputs",)) and len(path) == 1:
                continue
            if path[:2] == ("data", "features") or (path and path[0] == "compile" and path[-1:] == ("loss",)):
                continue
            new = _typo(entry.name, self.rng)
            yield (
                _replaced(self.text, entry.key.start, entry.key.end, new),
                entry.key.span.line,
                f"{entry.name} -> {new}",
            )

    def value(self) -> Any:
        """A word with a typo, where the word has to be known."""
        known = {
            "activation",
            "padding",
            "loss",
            "optimizer",
            "by",
            "missing",
            "dtype",
            "metrics",
            "RandomFlip",
            "Activation",
        }
        for path, node in _scalars(self.root):
            if (
                isinstance(node.value, str)
                and not node.text.startswith("$")
                and (path[-1] in known or path[-2:-1] == ("metrics",))
            ):
                new = _typo(node.text, self.rng)
                if new.replace("_", "") != node.text.replace("_", ""):  # which the registries take for the same
                    yield _replaced(self.text, node.start, node.end, new), node.span.line, f"{node.text} -> {new}"

    def type(self) -> Any:
        """A text or a list where a number belongs."""
        for path, node in _scalars(self.root):
            if (
                isinstance(node.value, int | float)
                and not isinstance(node.value, bool)
                and path[0] in ("layers", "fit", "compile")
            ):
                if isinstance(path[-1], int) and path[-2:-1] != ("layers",):
                    continue
                new = self.rng.choice(["many", "[a, b]", "{a: 1}"])
                yield _replaced(self.text, node.start, node.end, new), node.span.line, f"{path[-1]}: {new}"

    def rank(self) -> Any:
        """An input of another rank than its first layer takes."""
        for path, node in _walk(self.root):
            if (
                path[:1] == ("inputs",)
                and path[-1:] == ("shape",)
                and isinstance(node, nodes.Sequence)
                and len(node.items) > 2
            ):
                new = "[" + ", ".join(self.text[i.start : i.end] for i in node.items[:-1]) + "]"
                yield _replaced(self.text, node.start, node.end, new), self._reader(path[1]), f"shape: {new}"

    def _reader(self, name: str) -> int:
        """The line of the first layer that minds the shape: the fault is seen there."""
        return -1

    def merge(self) -> Any:
        """A merge of tensors that do not fit, or of one that is not there."""
        for path, node in _walk(self.root):
            if path[:1] == ("layers",) and path[-1:] == ("from",) and isinstance(node, nodes.Sequence):
                one = self.text[node.items[0].start : node.items[0].end]
                yield (
                    _replaced(self.text, node.items[1].start, node.items[1].end, f"{one}_other"),
                    node.span.line,
                    "a tensor that is not there",
                )

    def input(self) -> Any:
        """An input that is missing or has another name."""
        for path, node in _scalars(self.root):
            if path[:1] == ("layers",) and path[-1:] == ("from",):
                yield _replaced(self.text, node.start, node.end, node.text + "x"), node.span.line, f"from: {node.text}x"
        for entry in self.root.get("inputs").entries:
            for path, node in _scalars(self.root):
                if path[:1] == ("layers",) and node.value == entry.name and ("from" in path or "call" in path):
                    yield (
                        _replaced(self.text, entry.key.start, entry.key.end, entry.name + "2"),
                        node.span.line,
                        f"input {entry.name}2",
                    )
                    break

    def expression(self) -> Any:
        """An expression that cannot be computed."""
        for path, node in _scalars(self.root):
            if node.text.startswith("$") and path[0] != "let":
                word = node.text.strip("$()").split()[0]
                for new in (f"${word}s_", f'"$({word} +)"', f'"$({word} // 0)"', f"$({word}.real)"):
                    yield _replaced(self.text, node.start, node.end, new), node.span.line, new

    def units(self) -> Any:
        """Sizes that do not fit each other: what a block adds has other channels than what it reads."""
        for path, node in _walk(self.root):
            if isinstance(node, nodes.Mapping) and path[-1:] in (
                ("residual",),
                ("transformer_encoder",),
                ("transformer_decoder",),
            ):
                for entry in node.entries:
                    if entry.name in ("filters", "width") and not node.get("project"):
                        value = entry.value
                        yield _replaced(self.text, value.start, value.end, "12"), value.span.line, f"{entry.name}: 12"

    def indent(self) -> Any:
        """A line that is indented one column too far, or too little."""
        for i, line in enumerate(self.lines):
            bare = line.strip()
            if not bare or bare.startswith("#") or line[0] not in " ":
                continue
            for new in (" " + line, line[1:]):
                text = "".join([*self.lines[:i], new, *self.lines[i + 1 :]])
                if self._means_the_same(text):
                    continue
                yield text, i + 1, repr(new.rstrip())

    def _means_the_same(self, text: str) -> bool:
        try:
            return source.parse(text).plain() == self.root.plain()
        except LayerkitError:
            return False

    def twice(self) -> Any:
        """A key that is written twice."""
        for path, entry in _keys(self.root):
            line = self.lines[entry.key.span.line - 1]
            if (
                path
                and line.strip().startswith(f"{entry.name}:")
                and isinstance(entry.value, nodes.Scalar | nodes.Sequence)
                and entry.value.span.line == entry.key.span.line
            ):
                at = entry.key.span.line
                yield "".join([*self.lines[:at], line, *self.lines[at:]]), at + 1, f"{entry.name} twice"

    def letter(self) -> Any:
        """A layer or a block with a typo."""
        for path, entry in _keys(self.root):
            if (
                path[:1] == ("layers",)
                and len(path) == 2
                and entry.name not in ("name", "from", "repeat", "call", "layers")
            ):
                new = _typo(entry.name, self.rng)
                yield (
                    _replaced(self.text, entry.key.start, entry.key.end, new),
                    entry.key.span.line,
                    f"{entry.name} -> {new}",
                )


def _faults(mutant: Mutant, folder: Path) -> list[LayerkitError]:
    try:
        return builders.loads(mutant.text, str(folder / "spec.yaml")).check()
    except SpecErrors as error:
        return list(error.errors)


def _lines(faults: list[LayerkitError]) -> set[int]:
    """The lines of the file that a report shows: of the fault itself, and of the use of a block or a repeat that led to it."""
    found = {fault.where.line for fault in faults if fault.where is not None and "library/" not in fault.where.file}
    for fault in faults:
        for _, note in getattr(fault, "notes", ()):
            head = note.partition("spec.yaml:")[2]
            if head[:1].isdigit():
                found.add(int(head.split(":")[0].split(",")[0]))
    return found


@pytest.mark.slow
def test_mistakes_are_found_at_their_lines(tmp_path, capsys):
    mutants = [mutant for path in SPECS for mutant in Mutations(path).all()]
    total, found, placed = Counter[str](), Counter[str](), Counter[str]()
    missed: dict[str, list[str]] = defaultdict(list)
    for mutant in mutants:
        total[mutant.kind] += 1
        faults = _faults(mutant, tmp_path)
        if not faults:
            missed["not found"].append(f"{mutant.spec}: {mutant.kind}: {mutant.what}")
            continue
        found[mutant.kind] += 1
        if mutant.lines[0] < 0 or _lines(faults) & set(mutant.lines):
            placed[mutant.kind] += 1
        else:
            missed["elsewhere"].append(
                f"{mutant.spec}: {mutant.kind}: {mutant.what}: {sorted(_lines(faults))} for {list(mutant.lines)}"
            )
    with capsys.disabled():
        print(f"\n{'mistake':12}{'planted':>8}{'found':>8}{'placed':>8}")
        for kind in total:
            print(f"{kind:12}{total[kind]:8}{found[kind]:8}{placed[kind]:8}")
        print(f"{'all':12}{total.total():8}{found.total():8}{placed.total():8}")
        for kind, examples in missed.items():
            print(kind, *examples, sep="\n  ")
    assert total.total() >= 300
    assert found.total() >= 0.98 * total.total()
    assert placed.total() >= 0.95 * total.total()


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_specs_themselves_have_no_faults(path):
    assert builders.load(path).check() == []
