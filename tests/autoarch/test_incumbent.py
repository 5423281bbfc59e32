"""The best so far is whole on disk, and the better one takes its place."""

from __future__ import annotations

import json

import pytest

from autoarch.incumbent import incumbent, offer
from autoarch.space import Drawn
from autoarch.study import Trial
from autoarch.tasks import Result


@pytest.fixture
def offered(tmp_path):
    def offer_one(number: int, rung: int, **scores: float) -> bool:
        (tmp_path / "trained.lk").write_bytes(f"model {number} {rung}".encode())
        trial = Trial(number, 0, "small", 9, "random", Drawn(values={"a": number}), f"spec {number}\n")
        return offer(tmp_path / "run", trial, rung, Result(scores), tmp_path / "trained.lk")

    return offer_one


def test_further_then_better_then_earlier(tmp_path, offered):
    run = tmp_path / "run"
    assert incumbent(run) is None
    assert offered(1, 0, loss=0.5, accuracy=0.8)
    assert not offered(2, 0, loss=0.4, accuracy=0.7)  # accuracy comes first
    assert not offered(3, 0, loss=0.5, accuracy=0.8)  # equal, but later
    assert offered(0, 0, loss=0.5, accuracy=0.8)  # equal, and earlier
    assert offered(2, 1, loss=0.9, accuracy=0.6)  # trained for longer
    assert not offered(1, 0, loss=0.1, accuracy=0.99)
    found = incumbent(run)
    assert (found.trial, found.rung, found.epochs, found.scores) == (2, 1, 3, {"loss": 0.9, "accuracy": 0.6})
    assert found.spec == "spec 2\n"
    assert found.model.read_bytes() == b"model 2 1"
    assert [p.name for p in (run / "incumbent").iterdir()] == [found.folder.name]


def test_what_a_killed_search_left_does_no_harm(tmp_path, offered):
    run = tmp_path / "run"
    offered(1, 0, loss=0.5)
    (run / "incumbent" / ".new").mkdir()  # killed while it was written
    (run / "incumbent" / ".new" / "spec.yaml").write_text("half")
    first = incumbent(run).folder
    assert offered(2, 0, loss=0.4)
    first.mkdir()  # killed before the older one was removed
    (first / "score.json").write_text(json.dumps({"trial": 1}))
    assert incumbent(run).trial == 2
    assert offered(3, 0, loss=0.3)
    assert len(list((run / "incumbent").iterdir())) == 1
