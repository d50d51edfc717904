"""What is installed is what was tried: versions agree, .ci/run runs the README's commands, the wheel is whole."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pyproject import pyproject

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"
RUN_COMMAND = "pip install -c constraints.txt -e . && panel serve app/ --show"
TEST_COMMAND = 'pip install -c constraints.txt -e ".[test]" && pytest'
PYTHONS = ["3.10", "3.11", "3.12"]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def valid(wanted: list[Requirement], python: str) -> list[Requirement]:
    """Those whose marker holds for a version of Python, like 3.10."""
    where = {"python_version": python, "python_full_version": f"{python}.0"}
    return [r for r in wanted if r.marker is None or r.marker.evaluate(where)]


def pins(lines: list[str], python: str) -> dict[str, str]:
    """name -> version of lines like numpy==2.4.6 ; python_version >= "3.11"; no name may have two."""
    wanted = valid([Requirement(line) for line in lines if line and not line.startswith(("#", "-"))], python)
    names = [canonicalize_name(r.name) for r in wanted]
    exact = [re.fullmatch(r"==([^,*@/+]+)", str(r.specifier)) for r in wanted]
    assert len(set(names)) == len(names) and all(exact), f"not one plain version for each name on {python}"
    return {name: match[1] for name, match in zip(names, exact, strict=True) if match}


def constraints(python: str) -> dict[str, str]:
    return pins(read("constraints.txt").splitlines(), python)


def project() -> dict:
    return pyproject()["project"]


def requirements(*extras: str) -> list[Requirement]:
    lists = [project()["dependencies"], *(project()["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for lines in lists for line in lines if not line.startswith("mtm-explorer")]


def unmet(wanted: list[Requirement], have: dict[str, str]) -> list[str]:
    versions = {r: have.get(canonicalize_name(r.name)) for r in wanted}
    return [str(r) for r, version in versions.items() if version is None or not r.specifier.contains(version)]


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_every_dependency_within_its_bounds(python):
    assert unmet(valid(requirements("test", "dev"), python), constraints(python)) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_are_plain_versions(python):
    assert "mtm-explorer" not in constraints(python)
    assert all(Version(version) for version in constraints(python).values())


def test_the_oldest_python_is_the_one_that_is_linted_for_and_has_pins():
    assert project()["requires-python"] == f">={PYTHONS[0]}"
    assert pyproject()["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert f"Programming Language :: Python :: {PYTHONS[0]}" in project()["classifiers"]


def test_lower_bounds_are_the_oldest_pins():
    """What has one pin for 3.10 and one for 3.11 was tried with both, and with nothing older."""
    old, new = constraints("3.10"), constraints("3.11")
    bounds = {canonicalize_name(r.name): str(r.specifier) for r in requirements("test", "dev")}
    split = {name: f">={old[name]}" for name in bounds if old.get(name) != new.get(name)}
    assert split and split == {name: bounds[name] for name in split}


def test_markers_choose_the_pin():
    lines = ['numpy==2.4.6 ; python_version >= "3.11"', 'numpy==2.2.6 ; python_version < "3.11"', "six==1.17.0", "# x"]
    assert pins(lines, "3.10") == {"numpy": "2.2.6", "six": "1.17.0"}
    assert pins(lines, "3.11") == pins(lines, "3.12") == {"numpy": "2.4.6", "six": "1.17.0"}


@pytest.mark.parametrize("lines", [["a==1", "A==2"], ["a>=1"], ["a==1.*"], ["a==1+cpu"], ["a @ https://example.org/a"]])
def test_unclear_pins_are_found(lines):
    with pytest.raises(AssertionError, match="not one plain version"):
        pins(lines, "3.11")


def test_every_dependency_has_a_lower_bound():
    assert [str(r) for r in requirements("test", "dev") if ">=" not in str(r.specifier)] == []


def test_a_missing_or_old_pin_is_found():
    assert unmet([Requirement("numpy>=2.4"), Requirement("scipy")], {"numpy": "2.3.9"}) == ["numpy>=2.4", "scipy"]


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load(read("environment.yml"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip[0] == "-c constraints.txt" and pip[-1] == "-e .[test]"
    entry = next(entry for entry in environment["dependencies"] if str(entry).startswith("python="))
    python = entry.removeprefix("python=")
    assert SpecifierSet(project()["requires-python"]).contains(python)
    names = {canonicalize_name(r.name) for r in valid(requirements(), python)}
    assert pins(pip, python) == {name: constraints(python)[name] for name in names}


def test_the_readme_has_the_two_commands_and_ci_runs_them():
    lines = read("README.md").splitlines()
    assert RUN_COMMAND in lines and TEST_COMMAND in lines
    install, test = TEST_COMMAND.split(" && ")
    ci = read(".ci/run").splitlines()
    assert ci[-1] == test
    assert any(line.replace(" --quiet", "") == install.replace("[test]", "[test,dev]") for line in ci)
    assert RUN_COMMAND.startswith(install.replace('".[test]"', "."))


def test_the_changelog_knows_this_version():
    assert f"## [{project()['version']}]" in read("CHANGELOG.md")


def test_the_library_gives_the_version_of_the_project():
    given = re.findall(r'^__version__ = "(.+)"$', read("mtm_core/__init__.py"), re.MULTILINE)
    assert set(given) <= {project()["version"]}  # or read from the installed package's metadata


# --- the wheel --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """Names of the files in a wheel built from a copy of the sources."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip('pip install -e ".[test]" for hatchling')
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("mtm_core", "app", "assets"):
        shutil.copytree(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built], cwd=source, check=True)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return archive.namelist()


def below(folder: Path, prefix: str) -> set[str]:
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.name != ".DS_Store"]
    return {prefix + p.relative_to(folder).as_posix() for p in files}


def test_the_wheel_carries_app_and_assets_inside_the_package(wheel):
    expected = below(ROOT / "app", "mtm_core/_bundle/app/") | below(ASSETS, "mtm_core/_bundle/assets/")
    assert expected and expected <= set(wheel)


def test_the_wheel_installs_one_top_level_package(wheel):
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"mtm_core"}
    assert not [name for name in wheel if "__pycache__" in name]


def test_the_wheel_carries_the_licence(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


# --- origin of the assets ---------------------------------------------------------------------------------------------


def listed(text: str) -> dict[str, str]:
    """path -> sha256 of the rows | path | origin | licence | sha256 |; every cell must be filled."""
    rows = [[cell.strip().strip("`") for cell in line.strip("| \n").split("|")] for line in text.splitlines()]
    return {row[0]: row[3] for row in rows if len(row) == 4 and all(row) and re.fullmatch(r"[0-9a-f]{64}", row[3])}


def asset_problems(folder: Path) -> list[str]:
    rows = listed((folder / "SOURCES.md").read_text("utf-8"))
    files = {name: folder / name for name in below(folder, "") - {"SOURCES.md"}}
    hashes = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    wrong = [
        f"| {name} | origin | licence | {h} | is not in SOURCES.md" for name, h in hashes.items() if rows.get(name) != h
    ]
    return wrong + [f"{name} is listed but does not exist" for name in rows if name not in files]


def test_every_asset_is_listed_with_its_checksum():
    problems = asset_problems(ASSETS)
    assert not problems, "\n".join(problems)


def test_unlisted_changed_and_missing_assets_are_found(tmp_path):
    rows = f"| a | made by hand | MIT | {'0' * 64} |\n| gone | x | MIT | {'0' * 64} |\n| b | | MIT | {'0' * 64} |\n"
    (tmp_path / "SOURCES.md").write_text(rows, "utf-8")
    (tmp_path / "a").write_bytes(b"changed")
    (tmp_path / "b").write_bytes(b"no origin given")
    assert len(asset_problems(tmp_path)) == 3
