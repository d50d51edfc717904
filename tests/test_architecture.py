"""Who may import whom, how large things may grow, and what shipped code never does. Read from the sources with `ast`.

A module without a row in the tables below fails the tests: decide where it belongs, then add the row.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyproject import pyproject

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for top in ("mtm_core", "app") for p in (ROOT / top).rglob("*.py"))

# unit -> units it may import. A unit is the first name below mtm_core or app: mtm_core/data/ibl.py belongs to "data".
LEAVES = {"session", "regions", "atomic", "device", "paths"}
MODEL = {"models", "masking", "masking_modalities", "modality", "session", "regions"}
CALCULATION = {"training", "evaluation", "predict", "translate", "checkpoint", "compat"}
CORE = {
    **{leaf: set() for leaf in LEAVES},
    "desktop": set(),
    "serve": {"desktop", "paths"},
    "data": {"session", "regions", "atomic"},
    "masking": {"session", "regions", "modality"},
    "modality": {"session", "regions"},
    "masking_modalities": {"modality"},
    "models": MODEL,
    "tensorfolder": {"atomic"},
    **{unit: CALCULATION | MODEL | {"atomic", "device", "tensorfolder"} for unit in CALCULATION},
    "runs": {"paths", "atomic", "__main__", "checkpoint", "tensorfolder", "data"},
    "experiments": CALCULATION | MODEL | {"data", "atomic", "device", "report", "experiments"},
    "jobs": CALCULATION | MODEL | {"data", "atomic", "device"},
    "installed": {"checkpoint", "device", "paths", "runs", "tensorfolder"},
    "report": {"atomic", "regions"},
    "commands": {"report", "experiments"} | CALCULATION | MODEL | LEAVES | {"data", "jobs"},
    "__main__": {"commands", "serve", "__init__"},
    "__init__": CALCULATION | MODEL | {"data", "installed"},
}
# `Session.align` looks its function up when called: data imports session, not the other way round.
LATE = {("mtm_core/session.py", "mtm_core.data")}
WORDS = {"mtm_core.masking", "mtm_core.modality", "mtm_core.session"}  # enums and names for app/state and app/spec
APP = {
    "__init__": set(),
    "theme": set(),
    "translation": WORDS,
    "chain": set(),
    "comparison": WORDS,
    "teaching": set(),
    "lessons": {"app.teaching"},
    "spec": {"app.chain", "app.comparison", "app.teaching", "app.translation"} | WORDS,
    "gate": {"app.limits"},
    "arrival": set(),
    "garbage": set(),
    "serving": {"app.arrival", "app.garbage", "app.gate", "app.limits", "app.pace"},
    "work": {"app.spec"},
    "pace": set(),
    "state": {"app.gate", "app.limits", "app.pace", "app.spec", "app.work"} | WORDS,
    "words": set(),
    "limits": set(),
    "sentences": {"app.compute", "app.recordings", "app.spec", "app.words"},
    "recordings": {"app.limits", "app.spec", "app.words", "mtm_core"},
    "compute": {"app.recordings", "app.spec", "app.words", "mtm_core"},
    "analyses": {
        *("app.compute", "app.recordings", "app.spec", "app.words", "mtm_core"),
        *("app.comparison", "app.teaching", "app.translation"),
    },
    "plots": {"app.theme"},
    "pages": {
        f"app.{u}"
        for u in (
            *("analyses", "compute", "recordings", "plots", "state", "work", "limits"),
            *("chain", "comparison", "spec", "sentences", "theme", "translation", "words"),
            *("garbage", "lessons", "teaching"),
        )
    },
    # the table of pages hands compute and analyses to state, which knows neither torch nor the library
    "contents": {f"app.{u}" for u in ("pages", "analyses", "compute", "state", "work", "spec", "limits")},
    "main": {f"app.{u}" for u in ("arrival", "contents", "pages", "recordings", "state", "spec", "theme", "limits")},
    "app_hooks": {"app.compute", "app.garbage", "app.recordings", "app.serving", "app.spec"},
}
DRAWING = {"panel", "panel_material_ui", "bokeh", "holoviews", "datashader", "param"}
FORBIDDEN = {  # third-party packages by unit of app, or for all of mtm_core
    "mtm_core": DRAWING | {"app", "matplotlib"},
    "app.spec": DRAWING | {"torch"},
    "app.state": (DRAWING - {"param"}) | {"torch"},
    **{each: DRAWING - {"param", "datashader"} for each in ("app.compute", "app.analyses", "app.recordings")},
}
PLOTS_MAY = {"numpy", "pandas", "bokeh", "holoviews", "datashader", "panel", "colorcet"} | set(sys.stdlib_module_names)
UNSAFE_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CONVERTER = "mtm_core/commands/pickle_worker.py"  # the one place, in a process without rights
FILE_LINES, FUNCTION_LINES, PARAMETERS = 300, 40, 5


# --- reading ----------------------------------------------------------------------------------------------------------


def imports(source: str, path: str) -> Iterator[tuple[str, bool]]:
    """(absolute dotted name, written as a relative import) of everything a file at `path` imports."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import regions` and `from mtm_core import regions` name the module last
            names = [f"{name}.{alias.name}" for alias in node.names] if name in ("mtm_core", "app") else [name]
            yield from ((each, node.level > 0) for each in names)


def unit(name: str) -> str:
    """mtm_core.data.ibl -> mtm_core.data"""
    return ".".join(name.split(".")[:2])


def home(path: str) -> str:
    """mtm_core/data/ibl.py -> mtm_core.data"""
    return unit(path.removesuffix(".py").replace("/", "."))


def core_problems(source: str, path: str) -> Iterator[str]:
    here = home(path).split(".")[1]
    if here not in CORE:
        yield f"{path}: give {here!r} a row in CORE"
        return
    units = {f"mtm_core.{u}" for u in CORE[here] | {here}}
    for name, _ in imports(source, path):
        if name.split(".")[0] in FORBIDDEN["mtm_core"]:
            yield f"{path}: mtm_core must not import {name}"
        is_module = unit(name).removeprefix("mtm_core.") in CORE
        if is_module and unit(name) not in units and (path, unit(name)) not in LATE:
            yield f"{path}: {here} must not import {name}"
        if name.startswith("mtm_core") and not is_module and name != "mtm_core.__version__":
            yield f"{path}: import {name} from its own module, not from the package"
        if path == "mtm_core/evaluation/metrics.py" and name.startswith("mtm_core"):
            yield f"{path}: metrics imports nothing of ours, not {name}"


def app_problems(source: str, path: str) -> Iterator[str]:
    here = home(path)
    if here.split(".")[1] not in APP:
        yield f"{path}: give {here} a row in APP"
        return
    allowed = APP[here.split(".")[1]] | {here}
    for name, relative in imports(source, path):
        top = name.split(".")[0]
        if top == "app" and not relative:
            yield f"{path}: {name}: the app imports itself relatively, or it breaks when served"
        if top in ("app", "mtm_core") and not {top, unit(name)} & allowed:
            yield f"{path}: {here} must not import {name}"
        if top in FORBIDDEN.get(here, ()):
            yield f"{path}: {here} must not import {name}"
        if here == "app.plots" and top != "app" and top not in PLOTS_MAY:
            yield f"{path}: plots draw arrays with {name}? Not in PLOTS_MAY"


def import_problems(source: str, path: str) -> list[str]:
    return list((app_problems if path.startswith("app/") else core_problems)(source, path))


def size_problems(source: str, path: str) -> Iterator[str]:
    n_lines = len(source.splitlines())
    if n_lines > FILE_LINES:
        yield f"{path}: {n_lines} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = node.end_lineno - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"
        a = node.args
        given = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.arg not in ("self", "cls")]
        if len(given) > PARAMETERS:
            yield f"{path}:{node.lineno}: {node.name} has {len(given)} parameters, at most {PARAMETERS}"
        if a.kwarg and path.startswith("mtm_core"):  # app/state changes a Spec by field name
            yield f"{path}:{node.lineno}: {node.name} takes **{a.kwarg.arg}; name what it takes"


def unsafe_call(node: ast.Call) -> bool:
    """eval, exec, torch.load, pandas' pickles and eval, yaml.load, and numpy.load of objects."""
    called = ast.unparse(node.func)
    last = called.split(".")[-1]
    if called in ("eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "yaml.unsafe_load"):
        return True
    if last in ("read_pickle", "to_pickle") or (last == "eval" and node.args):  # model.eval() takes none
        return True
    return any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)


def unsafe_problems(source: str, path: str) -> Iterator[str]:
    for name, _ in imports(source, path):
        if name.split(".")[0] in UNSAFE_IMPORTS and path != CONVERTER:
            yield f"{path}: imports {name}; files of others must not run code"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and unsafe_call(node):
            yield f"{path}:{node.lineno}: {ast.unparse(node)[:60]}"
    # torch.load and friends can also be had by name
    if re.search(r"from torch\b.* import .*\bload\b|from yaml import .*\bload\b", source):
        yield f"{path}: imports load by name"
    if re.search(r"noqa:.*(C901|PLR0913)", source):
        yield f"{path}: a size budget is switched off"


# --- the sources ------------------------------------------------------------------------------------------------------


def every_source(check) -> list[str]:
    return [p for path in SOURCES for p in check(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())]


def test_there_are_sources_to_check():
    assert {p.relative_to(ROOT).parts[0] for p in SOURCES} == {"mtm_core", "app"}


@pytest.mark.parametrize("check", [import_problems, size_problems, unsafe_problems], ids=lambda c: c.__name__)
def test_sources_keep_the_rules(check):
    problems = every_source(check)
    assert not problems, "\n".join(problems)


def test_ruff_keeps_complexity_and_parameters():
    lint = pyproject()["tool"]["ruff"]["lint"]
    assert {"C90", "PLR0913", "S"} <= set(lint["select"])
    assert lint["mccabe"]["max-complexity"] <= 8 and lint["pylint"]["max-args"] <= PARAMETERS
    assert "ruff check" in (ROOT / ".ci" / "run").read_text("utf-8")


# --- each check can fail ----------------------------------------------------------------------------------------------

BAD_IMPORTS = [
    ("mtm_core/predict.py", "import panel as pn"),
    ("mtm_core/predict.py", "from app.spec import Spec"),
    ("mtm_core/masking.py", "from .models.mtm import MtM"),
    ("mtm_core/models/mtm.py", "from ..data.ibl import read_session"),
    ("mtm_core/data/ibl.py", "from .. import masking"),
    ("mtm_core/session.py", "def f():\n    from .checkpoint import load_checkpoint"),
    ("mtm_core/evaluation/metrics.py", "from ..session import Trials"),
    ("mtm_core/predict.py", "from . import open_session"),
    ("mtm_core/paths.py", "from .serve import serve_app"),
    ("mtm_core/helpers.py", ""),
    ("app/main.py", "from mtm_core.predict import predict"),
    ("app/pages/explore.py", "import mtm_core"),
    ("app/pages/explore.py", "from app.state import State"),
    ("app/plots/raster.py", "from ..state import State"),
    ("app/plots/raster.py", "import torch"),
    ("app/state.py", "import panel"),
    ("app/state.py", "from mtm_core.predict import predict"),
    ("app/state.py", "from torch import nn"),
    ("app/compute.py", "from bokeh.plotting import figure"),
    ("app/analyses/scores.py", "import panel"),
    ("app/analyses/scores.py", "from ..state import State"),
    ("app/pages/explore/leak.py", "from mtm_core.predict import predict"),
    ("app/utils.py", ""),
]
GOOD_IMPORTS = [
    ("mtm_core/session.py", "def f():\n    from .data.alignment import align"),
    ("mtm_core/predict.py", "from .models.mtm import MtM\nfrom .masking import Mask\nimport torch"),
    ("mtm_core/evaluation/tasks.py", "from ..predict import predict\nfrom .metrics import SpikeSums"),
    ("app/compute.py", "import mtm_core\nfrom mtm_core.predict import predict\nfrom .spec import Spec"),
    ("app/plots/raster.py", "from bokeh.plotting import figure\nfrom .. import theme\nfrom .axes import label"),
    ("app/pages/explore.py", "import panel as pn\nfrom ..compute import reconstruct\nfrom ..plots.raster import draw"),
    ("app/main.py", "from .pages import explore\nfrom . import theme"),
]
BAD_SIZES = [
    "x = 1\n" * (FILE_LINES + 1),
    "def f():\n" + "    x = 1\n" * FUNCTION_LINES,
    "def f(a, b, c, d, *, e, g): ...",
    "class A:\n    async def f(self, a, b, c, d, e, g): ...",
    "def f(**options): ...",
]
BAD_CALLS = [
    "import pickle",
    "from joblib import load",
    "eval('1')",
    "torch.load(path, weights_only=True)",
    "from torch import load",
    "yaml.load(text, Loader=yaml.SafeLoader)",
    "numpy.load(path, allow_pickle=True)",
    "np.load(path, mmap_mode=None, allow_pickle=flag)",
    "pd.read_pickle(path)",
    "frame.eval('a + b')",
    "def f(): ...  # noqa: C901",
]


@pytest.mark.parametrize(("path", "source"), BAD_IMPORTS)
def test_a_forbidden_import_is_found(path, source):
    assert import_problems(source, path)


@pytest.mark.parametrize(("path", "source"), GOOD_IMPORTS)
def test_an_allowed_import_is_not_reported(path, source):
    assert import_problems(source, path) == []


@pytest.mark.parametrize("source", BAD_SIZES)
def test_an_oversized_source_is_found(source):
    assert list(size_problems(source, "mtm_core/x.py"))


@pytest.mark.parametrize("source", BAD_CALLS)
def test_an_unsafe_source_is_found(source):
    assert list(unsafe_problems(source, "mtm_core/x.py"))


def test_harmless_sources_are_not_reported():
    source = "model.eval()\nre.compile('a')\nyaml.safe_load(t)\nnp.load(p, allow_pickle=False)\n"
    source += "def f(self, a, b, c, d, e): ..."
    assert list(unsafe_problems(source, "mtm_core/x.py")) == []
    assert list(size_problems(source, "mtm_core/x.py")) == []


@pytest.mark.skipif(
    not shutil.which("ruff", path=Path(sys.executable).parent), reason='pip install -e ".[dev]" for ruff'
)
def test_ruff_finds_a_complex_function(tmp_path):
    branches = "".join(f"    if x == {i}:\n        x += 1\n" for i in range(8))
    (tmp_path / "bad.py").write_text(f"def f(x):\n{branches}    return x\n", "utf-8")
    command = [Path(sys.executable).parent / "ruff", "check", "--no-cache", "--config", ROOT / "pyproject.toml"]
    found = subprocess.run([*command, "--select", "C901", tmp_path], capture_output=True, text=True)
    assert found.returncode == 1 and "C901" in found.stdout
