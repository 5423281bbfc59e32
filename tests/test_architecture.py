"""What holds for the repository as a whole: who imports whom, what ships, and that the texts say what is true."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import layerkit
from layerkit import errors

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("layerkit", "builders", "autoarch")
README = (ROOT / "README.md").read_text()


def modules() -> Iterator[ModuleType]:
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


# Imports


def test_imports_point_downwards():
    code = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_import_loads_numpy_and_little_else():
    heavy = ["llvmlite", "optuna", "rich", "yaml", "click", "pandas", "jax", "keras", "safetensors", "ml_dtypes"]
    code = (
        f"import sys, layerkit; layerkit.Sequential, layerkit.function; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


# What ships


@pytest.mark.heavy
def test_wheel_holds_the_three_packages_and_their_data(tmp_path):
    clone = tmp_path / "clone"  # setuptools leaves a build folder behind, and takes up what an older one holds
    clone.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path)],
        cwd=clone,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    source = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert source <= set(names), f"not in the wheel: {sorted(source - set(names))}"


def test_version_is_said_once_in_each_place():
    import tomllib

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == layerkit.__version__


# Texts


def test_the_tree_of_errors_agrees_with_the_classes():
    drawn = dict(re.findall(r"[├└]── (\w+)\s+(\w+)", errors.__doc__))
    classes = {c.__name__: c for c in vars(errors).values() if inspect.isclass(c) and c.__module__ == errors.__name__}
    raised = {n: c for n, c in classes.items() if issubclass(c, errors.LayerkitError) and c is not errors.LayerkitError}
    assert set(drawn) == set(raised)
    for name, cls in raised.items():
        assert drawn[name] in {base.__name__ for base in cls.__mro__}, f"{name} is no {drawn[name]}"


def test_every_kind_of_error_has_its_own_code():
    codes: dict[str, set[str]] = {}
    for cls in errors.LayerkitError.__subclasses__():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", vars(cls).get("code", "")), f"{cls.__name__} has no code of its own"
        codes.setdefault(cls.code, set()).add(cls.__name__)
    shared = [names for names in codes.values() if len(names) > 1]
    assert shared in ([], [{"SpecError", "SpecErrors"}])  # one fault of a spec, and all of them


def documented(text: str) -> list[str]:
    """The names that stand under ``Args:`` in a docstring."""
    lines = inspect.cleandoc(text).splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip() in ("Args:", "Arguments:")]
    if not starts:
        return []
    start = starts[0]
    indent = len(lines[start]) - len(lines[start].lstrip())
    body = []
    for line in lines[start + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if line.strip():
            body.append(line)
    depth = min((len(line) - len(line.lstrip()) for line in body), default=0)
    entries = [line[depth:] for line in body if len(line) - len(line.lstrip()) == depth]
    return [n.strip(" *`") for e in entries for n in re.split(r"[,/]", re.sub(r"\(.*?\)", "", e.partition(":")[0]))]


def public_callables() -> dict[str, object]:
    found = {}
    for module in modules():
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != module.__name__ or name.startswith("_"):
                continue
            if inspect.isfunction(thing):
                found[f"{module.__name__}.{name}"] = thing
            elif inspect.isclass(thing):
                found[f"{module.__name__}.{name}"] = thing
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        found[f"{module.__name__}.{name}.{method}"] = function
    return found


def test_documented_arguments_are_the_real_ones():
    checked, wrong = 0, []
    for path, thing in public_callables().items():
        names = documented(thing.__doc__ or "")
        if not names:
            continue
        real = set(inspect.signature(thing).parameters)
        if inspect.isclass(thing):
            real |= {field for cls in thing.__mro__ for field in vars(cls).get("__annotations__", {})}
        checked += 1
        wrong += [f"{path}: {name}" for name in names if name not in real]
    assert checked > 10  # the reader of docstrings finds them
    assert not wrong


def test_readme_and_ci_run_the_same_two_commands():
    install, test = (block.strip() for block in blocks("sh"))
    assert install.startswith("python3 -m venv .venv && ")
    script = (ROOT / ".ci" / "run").read_text()
    # .ci/run keeps its environment in a folder of its own and adds the tools' extra; all else is the README's text.
    assert (
        install.replace("venv .venv", 'venv "$work/.venv"')
        .replace(".venv/bin/pip", '"$bin/pip"')
        .replace(".venv/bin/layerkit", '"$bin/layerkit"')
        in script
    )
    assert test == '.venv/bin/pip install ".[test]" && .venv/bin/pytest -n auto'
    assert '"$bin/pip" install --quiet ".[test,dev]"' in script
    assert re.search(r'^"\$bin/pytest" -n auto ', script, re.MULTILINE)


@pytest.mark.parametrize(
    ("language", "source"),
    [("python", "examples/01_first_model.py"), ("yaml", "examples/specs/digits_cnn.yaml")],
)
def test_code_in_the_readme_is_part_of_a_file_that_tests_run(language, source):
    (code,) = blocks(language)
    assert code in (ROOT / source).read_text()
    assert source in README


def test_links_of_the_readme_lead_somewhere():
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), target


def test_paths_named_in_contributing_exist():
    named = re.findall(r"`((?:layerkit|builders|autoarch|tests)/[\w/.]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
