"""Named values and formulas: what they are worth, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.expressions import HOLE, Formula, Unknown
from layerkit.errors import SpecError

NAMES = {"width": 32, "rate": 0.5, "is_deep": True, "word": "same", "sizes": [4, 8, 16], "nothing": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$width", 32), ("$word", "same"), ("$nothing", None), ("$(width * 2)", 64), ("$(width // 5)", 6), ("$(width / 5)", 6.4),
        ("$(-width % 7)", 3), ("$(2 ** 10)", 1024), ("$(2 ** -1)", 0.5), ("$(min(width, 8))", 8), ("$(max(sizes))", 16),
        ("$(sizes[-1])", 16), ("$(len(sizes))", 3), ("$(int(width * rate))", 16), ("$(round(6.4))", 6), ("$(abs(-3))", 3),
        ("$(width if is_deep else 1)", 32), ("$(width > 8 and not width == 9)", True), ("$(1 < 2 < 3)", True),
        ("$(1 < 2 > 3)", False), ("$(word != 'valid')", True), ("$([width, 1])", [32, 1]), ("$(true)", True),
        ("$( width )", 32), ("$('a' if is_deep else 'b')", "a"), ("$(is_deep or 1 / 0 > 1)", True),
    ],
)  # fmt: skip
def test_values(text, value):
    found = Formula(text).value(NAMES)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("$widht", "there is no named value 'widht'."), ("$(widht + 1)", "there is no named value 'widht'."),
        ("$width * 2", "this is neither a name nor a formula."), ("$(width", "this formula does not end with its ')'."),
        ("$()", "this is no formula: invalid syntax."), ("$(1 +)", "this is no formula: invalid syntax."),
        ("$(1 / 0)", "a division by zero."), ("$(1 // 0)", "a division by zero."), ("$(0 ** -1)", "a division by zero."),
        ("$(9 ** 9 ** 9)", "a number is too large."), ("$(10 ** 400)", "a number is too large."), ("$(2 ** 60)", "a number is too large."),
        ("$(1e308 * 10)", "the result is no finite number."), ("$((-8) ** 0.5)", "the result is no real number."),
        ("$(word + 1)", "'same' is no number."), ("$(is_deep + 1)", "True is no number."), ("$(word * 3)", "'same' is no number."),
        ("$(width and 1)", "32 is neither true nor false."), ("$(sizes[3])", "the list has no item 3."),
        ("$(width[0])", "only lists have numbered items."), ("$(sizes == sizes)", "only numbers and texts are compared."),
        ("$(1 in sizes)", "'in' and 'is' are not allowed in a formula."), ("$(width & 1)", "'width & 1' is not allowed in a formula."),
        ("$(width.real)", "'width.real' is not allowed in a formula."), ("$(().__class__)", "'().__class__' is not allowed in a formula."),
        ("$(__import__('os'))", "\"__import__('os')\" is not allowed in a formula."), ("$(lambda: 1)", "'lambda: 1' is not allowed in a formula."),
        ("$([x for x in sizes])", "'[x for x in sizes]' is not allowed in a formula."), ("$(f'{width}')", None), ("$(width := 3)", None),
        ("$(min(width, key=1))", "'min(width, key=1)' is not allowed in a formula."), ("$(min())", "'min' takes numbers."),
        ("$(len(width))", "'len' takes one list."), ("$(" + "(" * 240 + "1" + ")" * 240 + ")", None),
        ("$(" + "-" * 240 + "1)", "a formula is nested too deeply."), ("$(max(" + "1, " * 99 + "1))", "a formula is too long."), ("$(" + "1+" * 300 + "1)", "a formula is too long."),
        ("$(1 " + "if 1 > 0 else (1 " * 30 + "if 1 > 0 else 1" + ")" * 30 + ")", None), ("$(0x1for x in y)", None), ("$(\\d)", None),
        ("$(3 is 3)", "'in' and 'is' are not allowed in a formula."), ("$(1j)", "'1j' is not allowed in a formula."),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_at_once(text, summary):
    start = time.process_time()
    with pytest.raises(SpecError) as caught:
        Formula(text).value(NAMES)
    assert time.process_time() - start < 30  # it takes milliseconds; what grows without a bound takes minutes
    assert caught.value.got is not None
    assert caught.value.expected is not None
    if summary is not None:
        assert caught.value.summary.replace('"', "'") == summary.replace('"', "'")


def test_a_misspelt_name_is_known():
    with pytest.raises(SpecError) as caught:
        Formula("$(widht * 2)").value(NAMES)
    assert caught.value.fix == "did you mean 'width'?"


def test_what_depends_on_a_hole_is_unknown():
    for text in ("$width", "$(width + 1)", "$(1 if width > 2 else 3)", "$(sizes[0])"):
        with pytest.raises(Unknown):
            Formula(text).value({"width": HOLE, "sizes": [HOLE, 1]})
    assert Formula("$(sizes[1])").value({"sizes": [HOLE, 1]}) == 1


_numbers = st.one_of(st.integers(-99, 99).map(lambda n: f"({n})"), st.floats(-9, 9, width=16).map(lambda x: f"({x!r})"))
_formulas = st.recursive(
    st.one_of(_numbers, st.sampled_from(["width", "rate"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} < {t[2]} else {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
        inner.map(lambda x: f"(-{x})"),
    ),
    max_leaves=12,
)  # fmt: skip


@given(_formulas)
def test_arithmetic_is_that_of_python(text):
    names = {"width": 32, "rate": 0.5}
    try:
        found = Formula(f"$({text})").value(names)
    except SpecError:
        return  # too large, too long, or no value: Python may not be asked, for it would not come back
    wanted = eval(text, {"max": max}, names)
    assert type(found) is type(wanted)
    assert found == wanted


@given(st.text(alphabet="$()abw12+-*/.[]'\" _<>=,:{}\\", max_size=40))
def test_no_text_makes_anything_else_than_a_value_or_a_fault(text):
    try:
        Formula(f"${text}").value({"a": 1, "b": [1, 2], "w": "x"})
    except SpecError:
        return
