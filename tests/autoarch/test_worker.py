"""What a worker keeps of a training outlives the process, however it ended."""

from __future__ import annotations

from autoarch.cost import Memory
from autoarch.worker import _Epochs


def test_a_line_that_a_full_disk_cut_short_is_that_of_no_epoch(tmp_path):
    def epochs():
        return _Epochs(path=tmp_path / "history.jsonl", tell=lambda epoch, logs: None, memory=Memory())

    def ended(epoch, loss):
        found = epochs()
        found.on_epoch_begin(epoch)
        found.on_epoch_end(epoch, {"loss": loss})

    ended(0, 0.5)
    ended(1, 0.4)
    with (tmp_path / "history.jsonl").open("rb+") as file:
        file.truncate(file.seek(0, 2) - 10)
    ended(1, 0.4)
    ended(2, 0.3)
    ended(2, 0.2)  # repeated
    assert [row["loss"] for row in epochs().history()] == [0.5, 0.4, 0.2]
