"""YAML text to nodes: values of YAML 1.2, places, every kind of fault, limits, and arbitrary text."""

import json
import math
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import events
from builders.nodes import Mapping, Scalar, Sequence
from builders.scalars import core_schema
from builders.source import parse, read, report
from layerkit.errors import SpecError, SpecErrors


@pytest.fixture(params=["libyaml", "python"])
def loader(request, monkeypatch):
    """PyYAML with and without its C library: the wheels have it, a build from source may not."""
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(events, "_LOADER", yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader)


def faults(text):
    with pytest.raises(SpecErrors) as raised:
        parse(text)
    return raised.value.errors


def fault(text):
    errors = faults(text)
    assert len(errors) == 1, [str(e) for e in errors]
    return errors[0]


def place(error):
    return error.where.line, error.where.column


# Values

# YAML 1.2.2, section 10.3.2, and its examples.
CORE = [
    ("1e-3", 0.001), ("1E3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-2.5e+2", -250.0), ("+12e03", 12000.0), ("0.", 0.0),
    ("012", 12), ("-19", -19), ("+7", 7), ("0o14", 12), ("0x1f", 31), ("0xFF", 255), ("0", 0),
    ("true", True), ("TRUE", True), ("False", False),
    ("null", None), ("~", None), ("NULL", None), ("", None),
    (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
    ("on", "on"), ("off", "off"), ("yes", "yes"), ("No", "No"), ("y", "y"), ("tRUE", "tRUE"), ("nULL", "nULL"),
    ("1:30", "1:30"), ("1_000", "1_000"), ("1,000", "1,000"), ("0b11", "0b11"), ("-0x1f", "-0x1f"), ("0o8", "0o8"),
    ("2024-01-01", "2024-01-01"), (".", "."), ("-", "-"), ("e3", "e3"), (".e3", ".e3"), ("1e", "1e"), ("inf", "inf"),
    ("nan", "nan"), ("None", "None"), ("=", "="), ("\u0661\u0662", "\u0661\u0662"), ("1\n", "1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), CORE)
def test_core_schema(text, value):
    found = core_schema(text)
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize("text", [t for t, _ in CORE if t not in ("-", "=", "1\n")])
def test_a_plain_scalar_in_a_file_follows_the_core_schema(text, loader):
    assert parse(f"key: {text}").plain() == {"key": core_schema(text)}


def test_nan():
    assert math.isnan(core_schema(".nan"))
    assert core_schema(".Nan") == ".Nan"


@pytest.mark.parametrize("text", ["1e999", "-1e400", "1" * 401, "0x" + "f" * 9999])
def test_numbers_that_do_not_fit_are_refused(text):
    error = fault(f"a: {text}")
    assert place(error) == (1, 4)
    assert error.fix.endswith("quote it if it is a text")
    assert parse(f"a: '{text}'").plain() == {"a": text}


def test_quoted_and_block_scalars_stay_text(loader):
    text = "- '1'\n- \"true\"\n- |\n  12\n- >-\n  1e-3\n- ! 5\n- ''\n"
    assert parse(text).plain() == ["1", "true", "12\n", "1e-3", "5", ""]


def test_places_of_keys_and_values(loader):
    root = parse("# first\nlayers:\n  - Dense: {units: 3,\n            activation: relu}\n", "m.yaml")
    entry = root.get("layers").items[0].entries[0]
    assert str(entry.key.span) == "m.yaml:3:5"
    activation = entry.value.entries[1]
    assert (str(activation.key.span), str(activation.value.span)) == ("m.yaml:4:13", "m.yaml:4:25")
    assert (entry.key.text, entry.key.value) == ("Dense", "Dense")


def test_places_count_characters_and_every_kind_of_line_end(loader):
    root = parse("é: 1\r\n日本: x\rc: [😀, (, b]")
    assert [(e.value.span.line, e.value.span.column) for e in root.entries] == [(1, 4), (2, 5), (3, 4)]
    assert root.get("c").items[2].span.column == 11


def test_get_and_plain():
    root = parse("a: {b: [1, {c: null}], 3: x}")
    assert root.plain() == {"a": {"b": [1, {"c": None}], 3: "x"}}
    assert root.get("b") is None
    assert isinstance(root.get("a").get("b"), Sequence)


def test_aliases_repeat_what_they_name_as_separate_values(loader):
    root = parse("a: &x {k: [1]}\nb: *x\nc: [*x]")
    plain = root.plain()
    assert plain == {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}]}
    assert plain["a"] is not plain["b"]


def test_holes_keep_their_tag_and_have_no_value(loader):
    root = parse("a: !choice [32, 64]\nb: !int {low: 1, high: 8}\nc: !float {low: 1e-4}\nd: 1")
    assert [e.value.tag for e in root.entries] == ["!choice", "!int", "!float", None]
    assert root.get("b").get("high").value == 8
    with pytest.raises(SpecError) as raised:
        root.plain()
    assert (place(raised.value), raised.value.got) == ((1, 4), "!choice")


# Faults

FAULTS = [
    # text, place, got, a part of the advice
    ("a: 1\nb: 2\na: 3", (3, 1), "also at <text>:1:1", "remove"),
    ("{a: 1, 'a': 3}", (1, 8), "also at <text>:1:2", "remove"),
    ("1: a\ntrue: b", (2, 1), "also at <text>:1:1", "remove"),  # equal in Python: one would overwrite the other
    (".nan: a\n.NaN: b", (2, 1), "also at <text>:1:1", "remove"),
    ("a: !chioce [1]", (1, 4), "!chioce", "did you mean '!choice'?"),
    ("a: !!python/object/apply:os.system [ls]", (1, 4), "!!python/object/apply:os.system", "remove"),
    ("a: !!str 3", (1, 4), "!!str", "quotes"),
    ("%TAG ! tag:x,2000:\n---\na: !int 3", (3, 4), "tag:x,2000:int", "remove"),
    ("a: 1\n---\nb: 2", (2, 1), "another '---'", "remove '---'"),
    ("? [a, b]\n: 3", (1, 3), "[a, b]", "list of mappings"),
    ("x: {{width}}", (1, 5), "{width}", "$name"),
    ("a: &x {b: 1}\nc: {<<: *x}", (2, 5), "<<", "write the arguments out"),
    ("a: *b", (1, 4), "*b", None),
    ("a: &width 3\nb: *widht", (2, 4), "*widht", "did you mean 'width'?"),
    ("a: &x [*x]", (1, 8), "*x", None),
    ("a: {units: $(a, b)}", (1, 12), "$(a, b)", 'quote it: "$(a, b)"'),
    ("a: {units: $(max(a, min(b, 2))), p: same}", (1, 12), "$(max(a, min(b, 2)))", 'quote it: "$(max(a, min(b, 2)))"'),
    ("a: [$(max(a, b)), 3]", (1, 5), "$(max(a, b))", "quote it"),
    ("{k: (3, 3), p: same}", (1, 5), "(3, 3)", "write [3, 3]"),
    ("k: (3, 3)", (1, 4), "(3, 3)", "write [3, 3]"),
    ("k: (3,)", (1, 4), "(3,)", "write [3]"),
    ("k: [1, (2, $n)]", (1, 8), "(2, $n)", "write [2, $n]"),
    ("a: {units:32, b: 1}", (1, 5), "units:32", "units: 32"),
    ("a: {units: 3, use_bias}", (1, 15), "use_bias", "write its value"),
    ("a:\n\tb: 1", (2, 1), "b: 1", "spaces"),
    ("a:\n  b: 1\n\tc: 2", (3, 1), "c: 2", "spaces"),
    ("-\ta", (1, 2), "- a", "spaces"),
    ("- Dense\n  units: 3", (2, 8), "units: 3", "end the line above with ':'"),
    ("- Dense:\n    units:3\n    a: b", (3, 6), "a: b", "space after the colon of 'units:'"),
    ("a: b: c", (1, 5), "a: b: c", "quote"),
    ("- Bidirectional: LSTM: 8", (1, 22), "- Bidirectional: LSTM: 8", "Bidirectional: {LSTM: ...}"),
    ("loss: mse\n  metrics: [mae]", (2, 10), "metrics: [mae]", "in one column"),
    ("a: @x", (1, 4), "a: @x", "quote"),
    ("a: *.csv", (1, 5), "a: *.csv", "quote"),
    ('b: 1\na: "abc\nc: 2\n', (2, 4), 'a: "abc', "close the quote"),
    ("a: 'it's'", (1, 8), "a: 'it's'", "''"),
    ("a: {b: $(x[0])}", (1, 11), "a: {b: $(x[0])}", "opened in line 1"),
    ("- a\nb: 1", (2, 1), "b: 1", "column 3"),
    ("a: \0", (1, 4), "'\\x00'", "remove"),
    ("a: 1\r\nb: \x1b[2J", (2, 4), "'\\x1b'", "remove"),
    ("a: \ud800", (1, 4), "'\\ud800'", "remove"),
    ("", (1, 1), "nothing", None),
    ("# only a comment\n", (1, 1), "nothing", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "got", "advice"), FAULTS, ids=[ascii(f[0])[1:40] for f in FAULTS])
def test_fault(text, where, got, advice, loader):
    error = fault(text)
    assert (place(error), error.got) == (where, got)
    assert error.expected is not None
    assert advice is None or advice in error.fix


@pytest.mark.parametrize("text", ["a: '(3, 3)'", 'a: {u: "$(a, b)"}', "a: $(a, b)", "a: {u: $(a + b)}", "a: {f: x (y}",
                                  "a: http://x:1/y", "{a: }", "{'a':1}", "a: [b, c(d), e]", "a: (see below)"])  # fmt: skip
def test_what_only_resembles_a_trap_is_left_alone(text, loader):
    parse(text).plain()


def test_all_faults_come_together_in_the_order_of_the_file(loader):
    text = "a: {k: (3, 3)}\nb: !foo 1\na: 2\nc: {<<: 1, [d]: 2}\ne: 1e999\nf: [1, 2\n"
    assert [place(e)[0] for e in faults(text)] == [1, 2, 3, 4, 4, 5, 7]


def test_the_number_of_faults_is_bounded():
    assert len(faults("- !x 1\n" * 5000)) == events.MAX_ERRORS


# Files


def test_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffé: 1\n".encode())
    root = read(path)
    assert root.plain() == {"é": 1}
    assert root.span.file == str(path)
    assert root.get("é").span.column == 4


@pytest.mark.parametrize(
    ("data", "where", "got"),
    [
        (b"a: 1\n\xc3\xa9: \xff", (2, 4), "byte 0xff"),
        ("a: 1".encode("utf-16"), (1, 1), "UTF-16"),
        (b"a: 1 # \xe9t\xe9", (1, 8), "byte 0xe9"),
        (b"a: 1\n" * 200_001, (1, 1), "more"),
        (b"\0" * 100, (1, 1), "'\\x00'"),
        (b"", (1, 1), "nothing"),
    ],
)
def test_files_that_are_no_specs(tmp_path, data, where, got):
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecErrors) as raised:
        read(path)
    (error,) = raised.value.errors
    assert (place(error), error.got, error.where.file) == (where, got, str(path))


@pytest.mark.parametrize("name", ["absent.yaml", ".", "nul\0"])
def test_files_that_cannot_be_read(tmp_path, name):
    with pytest.raises(SpecErrors) as raised:
        read(f"{tmp_path}/{name}")
    assert raised.value.errors[0].fix == "check the path"


# Hostile text

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "alias-bomb": _BOMB,
    "alias-chain": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 5000)),
    "long-alias": f"- &a {'x' * 99_999}\n" + "- *a\n" * 9000,
    "deep-list": "[" * 100_000,
    "deep-mapping": "{a: " * 100_000,
    "deep-keys": "? " * 100_000,
    "deep-items": "- " * 100_000,
    "deep-block": "\n".join(" " * i + "a:" for i in range(1000)),
    "huge-scalar": "a: " + "x" * 900_000,
    "huge-quoted": 'a: "' + "x" * 900_000 + '"',
    "huge-block": "a: |\n  " + "x" * 900_000,
    "huge-number": "a: " + "1" * 99_999,
    "too-large": "a" * 1_000_001,
    "nul": "a: 1\n" * 1000 + "\0",
    "unclosed-brackets": "[" + "(a, " * 60 + "*b" + "]",
    "many-tags": "- !x 1\n" * 100_000,
    "many-anchors": "".join(f"- &a{i} x\n- *b{i}\n" for i in range(16_000)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_at_once(text):
    start = time.process_time()
    faults(text)
    assert (
        time.process_time() - start < 30
    )  # milliseconds (test_hostile.py prints them); without a bound it takes minutes


def test_parentheses_that_never_close_take_linear_time():
    start = time.process_time()
    faults("[" + "(a," * 240_000 + "]")
    assert time.process_time() - start < 30  # quadratic: minutes


@pytest.mark.parametrize("escape", [r"\q", r"\xzz", r"\ud800", r"\U00110000"])
def test_escapes_that_mean_no_character(escape, loader):
    error = fault(f'a: "C:{escape}"')
    assert error.where.line == 1
    assert error.got


# Report


def test_report_points_at_each_fault():
    text = "日本: {k: (3, 3)}\n\tb: 1\n"
    with pytest.raises(SpecErrors) as raised:
        parse(text, "m.yaml")
    shown = report(raised.value, text).split("\n")
    line = next(i for i, s in enumerate(shown) if s.startswith("  1 | "))
    # Characters of two columns: the caret stands under '(' in a terminal, two columns further than in characters.
    assert shown[line] == "  1 | 日本: {k: (3, 3)}"
    assert shown[line + 1] == "    | " + " " * (len("日本: {k: ") + 2) + "^"
    assert any("  2 |  b: 1" in s for s in shown)


def test_report_of_one_error_without_a_place_and_beyond_the_text():
    error = SpecError("wrong.")
    assert report(error, "a: 1") == str(error)
    (late,) = faults("a: [1,\n\n\n")
    assert report([late], "a") == str(late)


def test_report_shows_no_control_characters_and_a_window_of_long_lines():
    text = "a: " + "x" * 5000 + "\x1b[2J"
    shown = report(SpecErrors(faults(text)), text)
    excerpt = shown.split("\n")[-2:]
    assert "\x1b" not in shown
    assert max(map(len, excerpt)) < 130
    assert excerpt[0][excerpt[1].index("^")] == "\ufffd"


# Any text

_TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("ab:- \n\t{}[](),'\"&*!|>%@#?~<$1.\\\r\0\ufeff\u2028\x85"), st.characters())
)


@settings(max_examples=400)
@given(st.one_of(_TEXT, st.lists(st.sampled_from(["a: ", "- ", "\n  ", "{", "}", "[", "]", ", ", "(", ")", "&x ", "*x", "!int ", "|\n",
                                                 "'", '"', "? ", ": ", "---\n", "<<", "1", "é"])).map("".join)))  # fmt: skip
def test_any_text_gives_a_node_or_an_error_of_ours(text):
    for cls in filter(None, (getattr(yaml, "CSafeLoader", None), yaml.SafeLoader)):
        before, events._LOADER = events._LOADER, cls
        try:
            node = parse(text)
        except SpecErrors as error:  # any other exception fails the test
            places = [e.where for e in error.errors]
            shown = report(error, text)
        else:
            places, shown = [], ""
            assert isinstance(node, Scalar | Sequence | Mapping)
        finally:
            events._LOADER = before
        assert places == sorted(places)
        assert shown.count("[spec-invalid]") >= len(places)


_WORD = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=12
)
_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORD, inner, max_size=4),
    max_leaves=20,
)


class _Dumper(yaml.SafeDumper):
    """Every text in quotes: PyYAML leaves those plain that are text in YAML 1.1 only (``1e3``)."""

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(str, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"'))


@settings(max_examples=150)
@given(_VALUE)
def test_what_is_dumped_is_read_back(value):
    def same(a, b):
        return a == b and repr(a) == repr(b)  # 1 is not 1.0, nor True

    for text in (
        json.dumps(value, ensure_ascii=False),
        yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False),
        yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=30),
    ):
        assert same(parse(text).plain(), value), text
