"""Data classes whose ``__init__`` is written when their first object is made."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import KW_ONLY, field
from typing import ClassVar

import pytest

from layerkit.records import dataclass


def test_threads_never_meet_a_class_that_is_half_made():
    for _ in range(50):

        @dataclass(frozen=True)
        class Base:
            x: int

        @dataclass(frozen=True)
        class Derived(Base):
            y: int = 2

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda i, cls=Derived: cls(i), range(16)))
        assert found == [Derived(i, 2) for i in range(16)]
        assert Base(1) == Base(1)
        assert hash(Base(1)) != hash(Derived(1))


def test_objects_behave_as_those_of_python():
    def made(dataclass, **options):
        @dataclass(**options)
        class Base:
            x: int
            word: str = "a"

        @dataclass(**options)
        class Point(Base):
            tags: list = field(default_factory=list)
            note: str = field(default="", compare=False, repr=False)
            _: KW_ONLY
            scale: float = 1.0
            kind: ClassVar[str] = "point"

            def __post_init__(self):
                self.__dict__["seen"] = True

        return Point

    for options in ({}, {"frozen": True}, {"eq": False}, {"frozen": True, "eq": False}):
        ours, pythons = made(dataclass, **options), made(dataclasses.dataclass, **options)
        for cls in (ours, pythons):
            first, other = cls(1, tags=[2], note="n"), cls(1, "a", [2], scale=1.0)
            assert (first == other) is options.get("eq", True)
            assert first != cls(1)
            assert first.seen
            assert cls(1).tags is not cls(1).tags
            assert dataclasses.replace(first, x=3).x == 3
            assert dataclasses.asdict(copy(first)) == dataclasses.asdict(first)
            with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'x'"):
                cls()
            with pytest.raises(TypeError):
                cls(1, "a", [], "", 2.0)
            if "frozen" in options:
                with pytest.raises(dataclasses.FrozenInstanceError):
                    first.x = 2
                with pytest.raises(dataclasses.FrozenInstanceError):
                    del first.x
        assert repr(ours(1)) == repr(pythons(1))
        assert (ours.__hash__ is None) is (pythons.__hash__ is None)
        assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(pythons)]


def test_what_stands_in_the_class_stays():
    @dataclass(frozen=True)
    class Shouting:
        word: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Shouting) and self.word.lower() == other.word.lower()

        def __hash__(self) -> int:
            return hash(self.word.lower())

        def __repr__(self) -> str:
            return self.word.upper()

    assert Shouting("a") == Shouting("A")
    assert len({Shouting("a"), Shouting("A")}) == 1
    assert repr(Shouting("a")) == "A"
