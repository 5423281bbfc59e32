"""Texts and whole numbers as their numbers in a vocabulary, which is given, or learned by ``adapt``."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from layerkit.errors import ArgumentError, DataError, StateError
from layerkit.fields import Check, NonNegativeInt, Number, OfFile, OneOf, PositiveInt
from layerkit.ir import Array, Size, TensorType, axis
from layerkit.layers.features import NotSparse, encoded_shape
from layerkit.layers.hashes import hashed
from layerkit.layers.host import TEXT, Numbers, _Host, as_data
from layerkit.records import dataclass

Tokens = Annotated[int, Number(int, 2)]
VocabularyMode = Annotated[str, OneOf(("int", "one_hot", "multi_hot", "count", "tf_idf"))]


class _Vocabulary(_Host):
    """A list of tokens and what follows from it; numbers begin with the mask (if any), then unknown tokens.

    Subclasses declare the arguments, and say in ``tokens`` what tokens an input has.
    """

    if TYPE_CHECKING:
        max_tokens: int | None
        output_mode: str
        pad_to_max_tokens: bool
        mask_token: Any
        oov_token: Any
        num_oov_indices: int
        invert: bool
        salt: Any
        _tokens: list[Any] | None
        _idf: list[float] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self._tokens = self._idf = None
        self._learned = False
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = self._config.get("vocabulary")
        if given is not None:
            if isinstance(given, str | Path):
                given = self._config["vocabulary"] = Path(given).read_text("utf-8").splitlines()
            self.set_vocabulary(given, self._config.get("idf_weights"))

    # The vocabulary

    @property
    def special(self) -> list[Any]:
        """The tokens in front: the mask if there is one, and one for each number of unknown tokens."""
        mask = [] if self.mask_token is None or self.output_mode != "int" else [self.mask_token]
        return mask + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their numbers."""
        return (self.special if include_special_tokens else []) + list(self._tokens or [])

    def vocabulary_size(self) -> int:
        """How many numbers there are."""
        return len(self.special) + len(self._tokens or [])

    def set_vocabulary(self, vocabulary: Iterable[Any], idf_weights: Iterable[float] | None = None) -> None:
        """Take a vocabulary.

        Args:
            vocabulary: the tokens, with or without the special ones in front.
            idf_weights: how much each token counts, for the mode "tf_idf".

        Raises:
            ArgumentError: a token stands twice, there are too many, or weights are missing.
        """
        tokens = [self.as_token(t) for t in np.asarray(list(vocabulary)).reshape(-1).tolist()]
        special = self.special
        if special and tokens[: len(special)] == special:
            tokens = tokens[len(special) :]
        twice = [t for t, n in Counter(tokens).items() if n > 1]
        if twice:
            raise ArgumentError("a token stands twice in the vocabulary.", expected="each once", got=repr(twice[0]))
        room = None if self.max_tokens is None else self.max_tokens - len(special)
        if room is not None and len(tokens) > room:
            raise ArgumentError("the vocabulary is too long.", expected=f"at most {room} tokens", got=str(len(tokens)))
        weights = None if idf_weights is None else [float(w) for w in np.asarray(idf_weights).reshape(-1)]
        if (weights is None) == (self.output_mode == "tf_idf"):
            raise ArgumentError(
                "'idf_weights' go with the mode tf_idf.", expected='both output_mode="tf_idf" and weights, or neither',
                got=f"{self.output_mode}, {weights}",
            )  # fmt: skip
        if weights is not None and len(weights) != len(tokens):
            raise ArgumentError("each token has a weight.", expected=f"{len(tokens)} weights", got=str(len(weights)))
        self._take(tokens, weights)

    def _take(self, tokens: list[Any], weights: list[float] | None) -> None:
        self._tokens, self._idf = tokens, weights
        self._numbers = {t: i for i, t in enumerate(tokens, len(self.special))}

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from ``data``: the most frequent tokens first, those as frequent in falling order.

        Args:
            data: an array, a list, or an iterable of batches.
            batch_size: accepted, does nothing.
            steps: batches to look at, by default all.
        """
        counts: Counter[Any] = Counter()
        documents: Counter[Any] = Counter()
        rows = 0
        for batch in _batches(data, steps):
            for row in self.documents(batch):
                counts.update(row)
                documents.update(set(row))
                rows += 1
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        order = sorted(sorted(counts, reverse=True), key=lambda token: -counts[token])
        room = None if self.max_tokens is None else self.max_tokens - len(self.special)
        order = order[:room]
        weights = [math.log(1 + rows / (1 + documents[t])) for t in order] if self.output_mode == "tf_idf" else None
        self._learned = True
        self._take(order, weights)

    def reset_state(self) -> None:
        """Forget the vocabulary."""
        self._tokens = self._idf = None

    def token_weights(self) -> Array:
        """How much each number counts in the mode "tf_idf": unknown tokens as much as the mean of the others."""
        own = self._idf or []
        return np.asarray([float(np.mean(own)) if own else 1.0] * len(self.special) + own, self.compute_dtype)

    def get_state(self) -> Any:
        """The vocabulary, if it was learned, for files."""
        return {"vocabulary": self._tokens, "idf_weights": self._idf} if self._learned else None

    def set_state(self, state: Any) -> None:
        """Take over what ``get_state`` returned."""
        self._learned = True
        self._take([self.as_token(t) for t in state["vocabulary"]], state["idf_weights"])

    # Looking up

    def as_token(self, token: Any) -> Any:
        """A token as it is kept."""
        return str(token)

    def documents(self, batch: Array) -> Iterable[list[Any]]:
        """The tokens of each row, for ``adapt``."""
        rows = batch.reshape(len(batch), -1) if batch.ndim > 1 else batch.reshape(1 if batch.ndim == 0 else -1, 1)
        return ([self.as_token(t) for t in row] for row in rows.tolist())

    @property
    def numbers(self) -> Numbers:
        """The number of each token, also of those that are not in the vocabulary."""
        if self._tokens is None:
            raise StateError("there is no vocabulary yet.", layer=self.describe(), fix="call adapt(data) first")
        return Numbers(lambda value: self._number(self.as_token(value)), self._numbers)

    def _number(self, token: Any) -> int:
        found = self._numbers.get(token)
        if found is not None:
            return found
        first = len(self.special) - self.num_oov_indices
        if self.mask_token is not None and token == self.mask_token:
            return 0 if first else self._unknown(token)
        return first + self._unknown(token)

    def _unknown(self, token: Any) -> int:
        """Which of the numbers of unknown tokens it gets."""
        if self.num_oov_indices == 0:
            raise DataError(
                "a token is not in the vocabulary.", expected="tokens of the vocabulary", got=repr(token),
                fix="give numbers to unknown tokens: num_oov_indices=1",
            )  # fmt: skip
        return 0 if self.num_oov_indices == 1 else self.spread(token)

    def spread(self, token: Any) -> int:
        """One of several numbers for an unknown token."""
        return hashed(token, self.num_oov_indices, self.salt)

    def backwards(self, numbers: Array) -> Array:
        """The tokens of these numbers; there is one for numbers that are none."""
        table = np.asarray([*self.get_vocabulary(), self.oov_token])
        numbers = numbers.astype("int64")
        return table[np.where((numbers < 0) | (numbers >= len(table) - 1), len(table) - 1, numbers)]

    @property
    def width(self) -> int:
        """The length of the vectors of a mode other than "int"."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        if self._tokens is None:
            raise StateError(
                "vectors are as long as the vocabulary, which is not known yet.", layer=self.describe(),
                fix="call adapt(data) first, or give max_tokens and pad_to_max_tokens=True",
            )  # fmt: skip
        return self.vocabulary_size()

    def vectors(self, numbers: Array, rows: Array, count: int) -> Array:
        """``count`` vectors by the output mode, each of the numbers that belong to its row: both are one long list."""
        width = self.width
        counts = np.bincount(rows * width + numbers, minlength=count * width).reshape(count, width)
        if self.output_mode == "tf_idf":
            weights = np.zeros(width, self.compute_dtype)
            weights[: self.vocabulary_size()] = self.token_weights()
            return np.asarray(counts * weights, self.compute_dtype)
        return counts if self.output_mode == "count" else np.minimum(counts, 1, out=counts)

    def compute(self, inputs: Any) -> Array:
        if self.invert:
            return self.backwards(inputs)
        numbers = self.numbers.of(inputs)
        if self.output_mode == "int":
            return numbers
        numbers = numbers.reshape(1) if numbers.ndim == 0 else numbers
        shape = encoded_shape(numbers.shape, self.width, self.output_mode)
        count = numbers.size if self.output_mode == "one_hot" else math.prod(numbers.shape[:-1])
        each = numbers.size // count if count else 0
        return self.vectors(numbers.reshape(-1), np.repeat(np.arange(count), each), count).reshape(shape)

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        if self.output_mode == "int":
            return TensorType("string" if self.invert else "int64", shape)
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        kind = self.compute_dtype if self.output_mode == "tf_idf" else "int64"
        return TensorType(kind, encoded_shape(shape, self.width, mode))


_Vocabulary.__init__._is_declared = True  # type: ignore[attr-defined]


def _batches(data: Any, steps: int | None) -> Iterable[Array]:
    """An array or list as one batch; an iterable of batches, or of (inputs, ...), as the first ``steps`` of them."""
    if hasattr(data, "shape") or hasattr(data, "to_numpy") or isinstance(data, str | Sequence):
        yield as_data(data)
        return
    for i, batch in enumerate(data):
        if steps is not None and i >= steps:
            return
        yield as_data(batch[0] if isinstance(batch, tuple) else batch)


class StringLookup(_Vocabulary):
    """Texts as their numbers in a vocabulary: the mask (if any) is 0, then come unknown texts, then the vocabulary.

    Args:
        max_tokens: the greatest number of numbers, special ones included.
        num_oov_indices: how many numbers unknown texts share; 0 makes them an error.
        mask_token: a text that means "nothing here", number 0 in the mode "int".
        oov_token: what stands for unknown texts when numbers are turned back.
        vocabulary: the texts, or the name of a file with one in each line.
        idf_weights: how much each text counts in the mode "tf_idf".
        invert: whether numbers are turned back into texts.
        output_mode: "int", or vectors: "one_hot" of each text, "multi_hot", "count" or "tf_idf" of all along the last axis.
        pad_to_max_tokens: whether vectors have length ``max_tokens`` even if the vocabulary is shorter.
        sparse: not available.
        encoding: how texts are written as bytes.
        salt: a number, or two, by which unknown texts are spread over several numbers.

    Example:
        >>> layer = StringLookup()
        >>> layer.adapt(["b", "a", "b"])
        >>> layer.get_vocabulary(), layer(np.array(["a", "c"]))
        (['[UNK]', 'b', 'a'], array([2, 0]))
    """

    max_tokens: Tokens | None = None
    num_oov_indices: NonNegativeInt = 1
    mask_token: Any = None
    oov_token: Any = "[UNK]"
    vocabulary: Annotated[Any, OfFile(is_read=True)] = None
    idf_weights: Any = None
    invert: bool = False
    output_mode: VocabularyMode = "int"
    pad_to_max_tokens: bool = False
    sparse: NotSparse = False
    encoding: str = "utf-8"
    salt: Any = None

    @property
    def reads_texts(self) -> bool:
        return not self.invert


class IntegerLookup(_Vocabulary):
    """Whole numbers as their places in a vocabulary: the mask (if any) is 0, then come unknown ones, then the vocabulary.

    Args:
        max_tokens: the greatest number of places, special ones included.
        num_oov_indices: how many places unknown numbers share, by their remainder; 0 makes them an error.
        mask_token: a number that means "nothing here", place 0 in the mode "int".
        oov_token: what stands for unknown numbers when places are turned back.
        vocabulary: the numbers, or the name of a file with one in each line.
        vocabulary_dtype: "int64" or "int32".
        idf_weights: how much each number counts in the mode "tf_idf".
        invert: whether places are turned back into numbers.
        output_mode: "int", or vectors, as for ``StringLookup``.
        sparse: not available.
        pad_to_max_tokens: whether vectors have length ``max_tokens`` even if the vocabulary is shorter.
        oov_method: "floormod", the remainder; or "farmhash", a hash.
        salt: a number, or two, for the hash.

    Example:
        >>> IntegerLookup(vocabulary=[12, 36])(np.array([36, 5]))
        array([2, 0])
    """

    max_tokens: Tokens | None = None
    num_oov_indices: NonNegativeInt = 1
    mask_token: Any = None
    oov_token: Any = -1
    vocabulary: Annotated[Any, OfFile(is_read=True)] = None
    vocabulary_dtype: Annotated[str, OneOf(("int64", "int32"))] = "int64"
    idf_weights: Any = None
    invert: bool = False
    output_mode: VocabularyMode = "int"
    sparse: NotSparse = False
    pad_to_max_tokens: bool = False
    oov_method: Annotated[str, OneOf(("floormod", "farmhash"))] = "floormod"
    salt: Any = None

    def as_token(self, token: Any) -> Any:
        return int(token)

    def spread(self, token: Any) -> int:
        if self.oov_method == "floormod":
            return int(token % self.num_oov_indices)
        return super().spread(token)

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        found = super().infer(shape)
        return found.with_dtype(self.vocabulary_dtype) if self.invert else found


@dataclass(frozen=True)
class _Way(Check):
    """One of a few words, or a function."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:  # type: ignore[override]
        return f"{', '.join(map(repr, self.words))}, none or a function"

    def __call__(self, value: Any, owner: Any) -> Any:
        if value is not None and not callable(value) and value not in self.words:
            raise ValueError
        return value


@dataclass(frozen=True)
class _Runs(Check):
    """How many words stand together."""

    expected: str = "a whole number > 0, or a list of them"

    def __call__(self, value: Any, owner: Any) -> Any:
        given = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(n, int) and n > 0 for n in given):
            raise ValueError
        return value


PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")


class TextVectorization(_Vocabulary):
    """Texts as the numbers of their words: cleaned, split, looked up, and brought to one length.

    Args:
        max_tokens: the greatest number of numbers, special ones included.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of texts.
        split: "whitespace", "character", None, or a function of an array of texts that gives lists of words.
        ngrams: n for runs of up to n words, or a tuple of the lengths of runs.
        output_mode: "int" for a row of numbers, 0 where a text has ended; or a vector for each text: "multi_hot", "count",
            "tf_idf".
        output_sequence_length: the length of the rows; by default that of the longest text.
        pad_to_max_tokens: whether vectors have length ``max_tokens`` even if the vocabulary is shorter.
        vocabulary: the words, or the name of a file with one in each line.
        idf_weights: how much each word counts in the mode "tf_idf".
        sparse: not available.
        ragged: not available.
        encoding: how texts are written as bytes.

    Example:
        >>> layer = TextVectorization(output_sequence_length=3)
        >>> layer.adapt(["the cat", "the dog"])
        >>> layer(np.array(["The bird, the dog."]))
        array([[2, 1, 2]])
    """

    max_tokens: PositiveInt | None = None
    standardize: Annotated[Any, _Way(("lower_and_strip_punctuation", "lower", "strip_punctuation"))] = (
        "lower_and_strip_punctuation"
    )
    split: Annotated[Any, _Way(("whitespace", "character"))] = "whitespace"
    ngrams: Annotated[Any, _Runs()] = None
    output_mode: Annotated[str, OneOf(("int", "multi_hot", "count", "tf_idf"))] = "int"
    output_sequence_length: PositiveInt | None = None
    pad_to_max_tokens: bool = False
    vocabulary: Annotated[Any, OfFile(is_read=True)] = None
    idf_weights: Any = None
    sparse: NotSparse = False
    ragged: NotSparse = False
    encoding: str = "utf-8"

    mask_token = ""
    oov_token = "[UNK]"
    num_oov_indices = 1
    invert = False
    salt = None

    @property
    def reads_texts(self) -> bool:
        return True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.output_mode != "int" and self.output_sequence_length is not None:
            raise ArgumentError(
                "a vector for each text has no sequence.", layer=type(self).__name__,
                expected='output_sequence_length only with output_mode="int"', got=self.output_mode,
            )  # fmt: skip

    def documents(self, batch: Array) -> Iterable[list[Any]]:
        return self.words(batch)

    def words(self, texts: Array) -> list[list[str]]:
        """The words, or runs of words, of each text."""
        texts = texts.reshape(-1)
        if callable(self.standardize):
            texts = as_data(self.standardize(texts))
        lines = [self._standard(str(t)) for t in texts.tolist()]
        if callable(self.split):
            rows = [list(map(str, row)) for row in self.split(np.array(lines, TEXT))]
        else:
            cut: Callable[[str], list[str]] = {"whitespace": str.split, "character": list, None: lambda t: [t]}[
                self.split
            ]
            rows = [cut(line) for line in lines]
        if self.ngrams is None:
            return rows
        sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [[" ".join(row[i : i + n]) for n in sizes for i in range(len(row) - n + 1)] for row in rows]

    def _standard(self, text: str) -> str:
        if self.standardize in ("lower", "lower_and_strip_punctuation"):
            text = text.lower()
        return (
            PUNCTUATION.sub("", text)
            if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation")
            else text
        )

    def compute(self, inputs: Any) -> Array:
        texts = inputs[..., 0] if inputs.ndim > 1 and inputs.shape[-1] == 1 else inputs
        if texts.ndim > 1:
            raise DataError(
                "each row is one text.", expected="(batch,) or (batch, 1)", got=str(inputs.shape),
                fix="join the texts of a row, or use a layer for each column",
            )  # fmt: skip
        numbers, rows = self.numbers, self.words(texts)
        if self.output_mode != "int":
            found = [numbers[word] for row in rows for word in row]
            place = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
            return self.vectors(np.array(found, "int64"), place, len(rows)).reshape(*texts.shape, self.width)
        if self.split is None:
            return np.array([numbers[row[0]] for row in rows], "int64").reshape(inputs.shape)
        padded = np.zeros((len(rows), self.output_sequence_length or max(map(len, rows), default=0)), "int64")
        for line, row in zip(padded, rows, strict=True):
            found = [numbers[word] for word in row[: len(line)]]
            line[: len(found)] = found
        return padded if texts.ndim else padded[0]

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        front = shape[:1]
        if self.output_mode != "int":
            return TensorType(self.compute_dtype if self.output_mode == "tf_idf" else "int64", (*front, self.width))
        if self.split is None:
            return TensorType("int64", shape)
        return TensorType("int64", (*front, self.output_sequence_length or axis("words")))


TextVectorization.__init__._is_declared = True  # type: ignore[attr-defined]
