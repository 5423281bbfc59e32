"""What a search knows: a file of SQLite that its coordinator alone writes.

Each trial is proposed once, with its round, and gets a result at each rung that it trains to; nothing is ever changed.
A search that was killed reads what is there and does what is left.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autoarch.folder import STUDY, require_new
from autoarch.halving import LOOK, RUNGS, rungs
from autoarch.ranking import Merit, Standing, merit, standing
from autoarch.space import Drawn
from autoarch.tasks import Result
from layerkit.errors import ArgumentError, FileFormatError, StateError
from layerkit.saving import locks

_TABLES = """
    CREATE TABLE options (text TEXT NOT NULL);
    CREATE TABLE rounds (number INTEGER PRIMARY KEY);
    CREATE TABLE trials (number INTEGER PRIMARY KEY, round INTEGER NOT NULL REFERENCES rounds, space TEXT NOT NULL,
                         epochs INTEGER NOT NULL, why TEXT NOT NULL, drawn TEXT NOT NULL, spec TEXT NOT NULL);
    CREATE TABLE results (trial INTEGER NOT NULL REFERENCES trials, rung INTEGER NOT NULL, result TEXT NOT NULL,
                          PRIMARY KEY (trial, rung));
    CREATE TABLE finals (trial INTEGER NOT NULL REFERENCES trials, seed INTEGER NOT NULL, result TEXT NOT NULL,
                         PRIMARY KEY (trial, seed));
"""


@dataclass
class Trial:
    """A spec without holes, and its results by the rungs that it was trained to.

    Attributes:
        epochs: that it trains at most.
        why: it was proposed.
    """

    number: int
    round: int
    space: str
    epochs: int
    why: str
    drawn: Drawn
    spec: str
    results: dict[int, Result] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why it failed; None if it did not."""
        return next((r.reason for r in self.results.values() if r.reason is not None), None)

    @property
    def is_rejected(self) -> bool:
        """Whether it was not trained: it cannot be built, or is outside the limits."""
        return LOOK in self.results and self.results[LOOK].reason is not None

    @property
    def rung(self) -> int:
        """The highest with scores; ``LOOK`` if there is none."""
        return max((rung for rung, r in self.results.items() if r.reason is None), default=LOOK)

    @property
    def trained(self) -> int:
        """The epochs at that rung."""
        return rungs(self.epochs)[self.rung] if self.rung >= 0 else 0

    @property
    def is_complete(self) -> bool:
        """Whether it trained to the end."""
        return self.rung == RUNGS - 1

    @property
    def scores(self) -> Mapping[str, float]:
        """Those at the highest rung."""
        return self.results[self.rung].scores if self.rung >= 0 else {}

    @property
    def merit(self) -> Merit | None:
        """How good it is, higher is better: by accuracy, then by loss; None where it failed."""
        return merit(self.scores) if self.reason is None and self.rung >= 0 else None

    @property
    def standing(self) -> Standing:
        """What trials are ordered by, higher is better."""
        return standing(self.number, self.rung, self.merit)


class Study:
    """The file of one search, opened by its coordinator."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, folder: Path, options: Mapping[str, Any], *, beside: Sequence[str] = ()) -> None:
        """A new file, whole or not at all; files of the names ``beside`` may be there already.

        Raises:
            ArgumentError: the folder holds something.
        """
        require_new(folder, beside)
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / (STUDY + ".new")
        for left in folder.glob(f"{new.name}*"):  # by one that was killed here, its journal included
            left.unlink()
        with closing(sqlite3.connect(new)) as connection, connection:
            connection.executescript(_TABLES)
            connection.execute("INSERT INTO options VALUES (?)", [json.dumps(options)])
        new.replace(folder / STUDY)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, alone: bool = True) -> Iterator[Study]:
        """The file in a folder; ``alone`` as the one who writes it.

        Raises:
            ArgumentError: there is none.
            FileFormatError: it is broken.
            StateError: another process writes it.
        """
        path = folder / STUDY
        if not path.is_file():
            raise ArgumentError(
                f"'{folder}' holds no search.", expected="a folder that 'autoarch search' wrote", got=f"no file {STUDY}"
            )
        with locks.alone(folder / "lock", waits=False) if alone else nullcontext():
            try:
                with closing(sqlite3.connect(path)) as connection:
                    yield cls(connection)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # a full disk, for instance
                    raise StateError(
                        f"'{path}' cannot be written or read.",
                        got=str(error),
                        fix=f"mend it, then: autoarch resume {folder}",
                    ) from error
                raise FileFormatError(f"'{path}' is no study.", got=str(error), fix="start a new search") from error

    @property
    def options(self) -> dict[str, Any]:
        """What the search was told."""
        found: dict[str, Any] = json.loads(self._connection.execute("SELECT text FROM options").fetchone()[0])
        return found

    @property
    def rounds(self) -> int:
        """The number of rounds that were proposed."""
        return int(self._connection.execute("SELECT COUNT(*) FROM rounds").fetchone()[0])

    def trials(self) -> list[Trial]:
        """All trials with their results, in their order."""
        found = {}
        for row in self._connection.execute("SELECT * FROM trials ORDER BY number"):
            number, at, space, epochs, why, drawn, spec = row
            found[number] = Trial(number, at, space, epochs, why, Drawn(**json.loads(drawn)), spec)
        for number, rung, text in self._connection.execute("SELECT * FROM results ORDER BY trial, rung"):
            found[number].results[rung] = Result(**json.loads(text))
        return list(found.values())

    def add_round(self, number: int, trials: Sequence[Trial]) -> None:
        """A round with its trials, all or none."""
        with self._connection as connection:
            connection.execute("INSERT INTO rounds VALUES (?)", [number])
            self._insert(trials)

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """More trials of a round, all or none."""
        with self._connection:
            self._insert(trials)

    def _insert(self, trials: Sequence[Trial]) -> None:
        rows = [(t.number, t.round, t.space, t.epochs, t.why, json.dumps(asdict(t.drawn)), t.spec) for t in trials]
        self._connection.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_result(self, trial: int, rung: int, result: Result) -> None:
        """What came out at a rung."""
        with self._connection as connection:
            connection.execute("INSERT INTO results VALUES (?, ?, ?)", [trial, rung, json.dumps(asdict(result))])

    def finals(self) -> dict[tuple[int, int], Result]:
        """The results of the finalists, by trial and by the number of the seed."""
        rows = self._connection.execute("SELECT * FROM finals ORDER BY trial, seed")
        return {(trial, seed): Result(**json.loads(text)) for trial, seed, text in rows}

    def add_final(self, trial: int, seed: int, result: Result) -> None:
        """What came out of a finalist's training."""
        with self._connection as connection:
            connection.execute("INSERT INTO finals VALUES (?, ?, ?)", [trial, seed, json.dumps(asdict(result))])


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The best first: who came further, then by merit, then who came earlier; those that failed are last."""
    return sorted(trials, key=lambda t: t.standing, reverse=True)


def leaderboard(trials: Sequence[Trial]) -> str:
    """All trials as JSON, the best first; the same bytes whoever trained them, and however often it was interrupted."""
    rows = [
        {
            "rank": i, "trial": t.number, "round": t.round, "space": t.space, "epochs": t.trained, "scores": t.scores,
            "reason": t.reason, "values": t.drawn.values,
        }
        for i, t in enumerate(ranked(trials), 1)
    ]  # fmt: skip
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
