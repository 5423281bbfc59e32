"""Data classes that are made when their first object is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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
