"""``share``: the layers of an earlier entry, or of a whole block, called again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import nodes
from builders.faults import Faults
from builders.frames import Frame, Used
from builders.items import Item
from builders.ledger import Ledger
from builders.nodes import Scalar
from builders.steps import Ref, Use
from builders.tensors import Tensors
from layerkit.errors import did_you_mean, listed


class Sharing:
    """Makes the steps of entries with ``share``."""

    def __init__(self, faults: Faults, ledger: Ledger, tensors: Tensors) -> None:
        self.faults, self.ledger, self.tensors = faults, ledger, tensors

    def once_more(self, item: Item, frame: Frame, reads: Any, name: str | None) -> Ref:
        """The step, or the steps of the block, that the entry names, on other tensors."""
        node = frame.values.resolve(item.share) if item.share is not None else None
        if node is None or node.tag is not None:
            return frame.give(name, self.ledger.unknown())
        word = str(node.value) if isinstance(node, Scalar) else nodes.kind(node)
        if word in frame.shares:
            return self._share_block(frame.shares[word], item, frame, reads, name)
        ref = frame.names.get(word)
        source = None if ref is None else self.ledger.by_id.get(ref.id)
        if source is None or ref is None or ref.id in self.ledger.broken:
            if ref is None or ref.id not in self.ledger.broken:
                known = [n for n, r in frame.names.items() if r.id in self.ledger.by_id]
                self.faults.report(f"there is no layer '{nodes.short(word)}' before this entry.", node.span, expected=listed(known) or "a named layer",
                                   got=nodes.shown(node), fix=did_you_mean(word, known) if known else None)  # fmt: skip
            return frame.give(name, self.ledger.unknown())
        call, keys = self.tensors.call(item, frame)
        origin = source.id if source.share is None else source.share
        step = replace(source, id=self.ledger.new_id(), reads=reads, call=call, keys=keys | item.read_keys, share=origin, body=None, uses=frame.uses,
                       kind=replace(source.kind, span=item.span))  # fmt: skip
        self.ledger.add(step)
        return frame.give(name, Ref(step.id))

    def _share_block(self, used: Used, item: Item, frame: Frame, reads: Any, name: str | None) -> Ref:
        """The steps of a use once more, with the layers of that use."""
        given = [reads] if isinstance(reads, Ref) else list(reads.values()) if isinstance(reads, dict) else reads
        if len(given) != len(used.inputs):
            self.faults.report("a shared block takes as many tensors as at its first use.", item.span, expected=str(len(used.inputs)),
                               got=str(len(given)))  # fmt: skip
            return frame.give(name, self.ledger.unknown())
        now = {(old.id, old.output): new for old, new in zip(used.inputs, given, strict=True)}

        def there(x: Any) -> Any:
            if isinstance(x, Ref):
                found = now.get((x.id, x.output)) or now.get((x.id, None))
                return x if found is None else Ref(found.id, found.output or x.output, x.span)
            if isinstance(x, list):
                return [there(v) for v in x]
            return {k: there(v) for k, v in x.items()} if isinstance(x, dict) else x

        start = len(self.ledger.steps)
        for number in used.steps:
            self.ledger.spend(item.span)
            source = self.ledger.steps[number]
            step = replace(source, id=self.ledger.new_id(), reads=there(source.reads), call=there(source.call), body=None, uses=(*frame.uses, Use("a shared block", item.span)),
                           share=source.id if source.share is None else source.share)  # fmt: skip
            now[source.id, None] = Ref(step.id)
            if source.id in self.ledger.broken:
                self.ledger.broken.add(step.id)
            self.ledger.add(step)
        outputs = {k: there(ref) for k, ref in used.outputs.items()}
        return frame.export(name, Used(range(start, len(self.ledger.steps)), tuple(given), outputs), outputs)
