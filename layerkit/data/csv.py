"""CSV with a header: columns of numbers, and of texts as categories; whole in memory, or read by the row."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from layerkit.data.files import broken, read_text
from layerkit.data.records import Column, Records
from layerkit.errors import DataError, did_you_mean
from layerkit.ir import Array

MISSING = ("", "na", "nan", "null", "none", "?")


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    ``columns`` are float32 or int32/int64 arrays; a column of texts holds numbers into ``categories[name]``. A missing
    number is nan, a missing text is -1; ``missing`` counts them.
    """

    columns: dict[str, Array]
    categories: dict[str, tuple[str, ...]]
    missing: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def features(self, exclude: Sequence[str] = ()) -> Array:
        """All columns but some, side by side: (rows, columns) float32.

        Raises:
            DataError: a name that is no column.
        """
        for name in exclude:
            if name not in self.columns:
                raise DataError(f"there is no column '{name}'.", got=name, fix=did_you_mean(name, self.columns))
        return np.stack([c.astype("float32") for n, c in self.columns.items() if n not in exclude], axis=1)


def read_csv(path: str | Path, delimiter: str = ",") -> Table:
    """The table in a CSV file whose first row names the columns.

    Raises:
        FileFormatError: a row with another number of fields, a name that stands twice, no rows; it says the line.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = next((n for i, n in enumerate(header) if n in header[:i]), None)
        if not header or twice is not None:
            raise broken(
                path,
                "the header names a column twice." if header else "the file is empty.",
                1,
                expected="names that differ",
                got=twice,
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise broken(
                    path,
                    "the row has another number of fields.",
                    reader.line_num,
                    expected=f"{len(header)} as in the header",
                    got=len(row),
                )
            rows.append([field.strip() for field in row])
    except csv.Error as error:
        raise broken(
            path, "the row cannot be read.", reader.line_num, got=str(error), fix="check the quotes"
        ) from error
    if not rows:
        raise broken(path, "the file has no rows.", 1, expected="rows below the header", got="none")
    columns: dict[str, Array] = {}
    categories: dict[str, tuple[str, ...]] = {}
    missing: dict[str, int] = {}
    for name, fields in zip(header, zip(*rows, strict=True), strict=True):
        missing[name] = sum(f.lower() in MISSING for f in fields)
        numbers = _numbers(fields)
        if numbers is None:
            known = tuple(sorted({f for f in fields if f.lower() not in MISSING}))
            index = {f: i for i, f in enumerate(known)}
            columns[name], categories[name] = np.array([index.get(f, -1) for f in fields], "int32"), known
        else:
            columns[name] = numbers
    return Table(columns, categories, missing)


def _numbers(fields: Sequence[str]) -> Array | None:
    """A column of numbers, or None where it holds texts."""
    present = [f for f in fields if f.lower() not in MISSING]
    try:
        whole = [int(f) for f in present]
        if len(present) == len(fields) and all(abs(n) < 2**63 for n in whole):
            return np.array(whole, "int32" if all(abs(n) < 2**31 for n in whole) else "int64")
    except ValueError:
        pass
    try:
        return (
            np.array([float("nan") if f.lower() in MISSING else float(f) for f in fields], "float32")
            if present
            else None
        )
    except ValueError:
        return None


# Files larger than memory ---------------------------------------------------------------------------------------------

MAX_RECORD = 1 << 20  # bytes of a row: more is a quote that never ends
MAX_CATEGORIES = 100_000
_CHUNK = 4096  # rows looked at together


class CsvRecords(Records):
    """The rows of a CSV file that stays on disk.

    One pass finds where each row begins (8 bytes of memory a row) and what each column holds; rows are then read from their
    places. Columns of texts keep up to ``MAX_CATEGORIES`` different ones.

    Args:
        path: an uncompressed file whose first row names the columns.
        delimiter: what separates the fields.

    Raises:
        FileFormatError: as ``read_csv``.
    """

    block = 1024

    def __init__(self, path: str | Path, delimiter: str = ",") -> None:
        self.path, self.delimiter = Path(path), delimiter
        self.places = array("q")
        with self._opened() as stream:
            lines = _records(self.path, stream)
            _, first = next(lines, (0, b""))
            self.names = next(self._parse([first], 1), [])
            twice = next((n for i, n in enumerate(self.names) if n in self.names[:i]), None)
            if not self.names or twice is not None:
                summary = "the header names a column twice." if self.names else "the file is empty."
                raise broken(path, summary, 1, expected="names that differ", got=twice)
            found = {name: _Seen() for name in self.names}
            for chunk in _chunks(lines, self.places):
                for row in self._rows(chunk, len(self.places) - len(chunk) + 2):
                    for seen, text in zip(found.values(), row, strict=True):
                        seen.add(text)
            self.places.append(stream.tell())
        self.count = len(self.places) - 1
        if not self.count:
            raise broken(path, "the file has no rows.", 1, expected="rows below the header", got="none")
        self.columns = {name: seen.column() for name, seen in found.items()}
        self._index = {n: {t: i for i, t in enumerate(c.categories)} for n, c in self.columns.items()}
        self._wide = {name for name, seen in found.items() if seen.wide}

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        order = np.argsort(rows, kind="stable")
        ordered = np.asarray(rows)[order]
        texts: list[list[str]] = []
        with self._opened() as stream:
            for run in np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1) if len(ordered) else ():
                begin, end = self.places[run[0]], self.places[run[-1] + 1]
                stream.seek(begin)
                data, cut = stream.read(end - begin), [self.places[r] - begin for r in (*run, run[-1] + 1)]
                texts += self._rows([data[a:b] for a, b in zip(cut, cut[1:], strict=False)], int(run[0]) + 2)
        position = {name: self.names.index(name) for name in names}
        result = {}
        for name in names:
            values = self._values(name, [row[position[name]] for row in texts])
            result[name] = np.empty_like(values)
            result[name][order] = values
        return result

    def _values(self, name: str, fields: list[str]) -> Array:
        column = self.columns[name]
        if column.kind == "category":
            return np.array([self._index[name].get(f, -1) for f in fields], "int32")
        if column.kind == "whole":
            return np.array([int(f) for f in fields], "int64" if name in self._wide else "int32")
        return np.array([float("nan") if f.lower() in MISSING else float(f) for f in fields], "float32")

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise broken(self.path, "the file cannot be read.", got=error.strerror, fix="check the path") from error

    def _rows(self, records: list[bytes], line: int) -> Iterator[list[str]]:
        for i, row in enumerate(self._parse(records, line)):
            if len(row) != len(self.names):
                raise broken(self.path, "the row has another number of fields.", line + i,
                             expected=f"{len(self.names)} as in the header", got=len(row))  # fmt: skip
            yield row

    def _parse(self, records: list[bytes], line: int) -> Iterator[list[str]]:
        try:
            texts = [record.decode("utf-8-sig" if line == 1 else "utf-8") for record in records]
            rows = [row for row in csv.reader(texts, delimiter=self.delimiter, strict=True) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise broken(self.path, "a row cannot be read.", line, got=str(error), fix="check the quotes, and that the file is UTF-8") from error  # fmt: skip
        if len(rows) != len(records):
            raise broken(
                self.path, "a quote inside a field is not doubled.", line, expected='""', got=f"near row {line}"
            )
        return ([field.strip() for field in row] for row in rows)


def _records(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each row begins, and its bytes; a row goes on while a quote is open. Empty lines are passed over."""
    place, held = 0, b""
    for line in stream:
        held += line
        if held.count(b'"') % 2 and len(held) < MAX_RECORD:
            continue
        if len(held) >= MAX_RECORD:
            raise broken(
                path, "a row is too long.", expected=f"at most {MAX_RECORD} bytes", got="more", fix="close the quote"
            )
        if held.strip():
            yield place, held
        place, held = place + len(held), b""
    if held.strip():
        raise broken(path, "the last row ends inside a quote.", expected='"', got="the end of the file")


def _chunks(lines: Iterable[tuple[int, bytes]], places: array[int]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for place, record in lines:
        places.append(place)
        chunk.append(record)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass
class _Seen:
    """What the fields of a column were so far."""

    whole: bool = True
    wide: bool = False
    """A whole number needs 64 bits."""
    number: bool = True
    missing: int = 0
    texts: set[str] | None = field(default_factory=set)

    def add(self, text: str) -> None:
        if text.lower() in MISSING:
            self.missing += 1
            return
        if self.whole:
            try:
                size = abs(int(text))
                self.whole, self.wide = size < 2**63, self.wide or size >= 2**31
            except ValueError:
                self.whole = False
        if self.number and not self.whole:
            try:
                float(text)
            except ValueError:
                self.number = False
        if self.texts is not None:
            self.texts.add(text)
            if len(self.texts) > MAX_CATEGORIES:
                self.texts = None

    def column(self) -> Column:
        present = self.texts is None or bool(self.texts)
        if self.number and present:
            return Column("whole" if self.whole and not self.missing else "number", missing=self.missing)
        return Column("category", categories=tuple(sorted(self.texts or ())), missing=self.missing)
