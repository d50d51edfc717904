"""What a visitor takes home: scripts and notebooks that print the numbers of the screen, a report, and links."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import compute
from app.analyses import neuron_scores, notebook, score_report, scripts, single_neuron, translation_scores
from app.analyses.scripts import SCRIPTS, lines, script_of
from app.contents import PAGES
from app.pages import take_home
from app.pages.explore import hidden_scores, neuron
from app.pages.take_home import Asked
from app.pages.translate import scores as translate_scores
from app.recordings import recording
from app.spec import HAND, Box, Hide, Spec, decode, encode, part
from app.translation import Translation
from mtm_core import open_model
from mtm_core.paths import assets_dir

ROOT = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"-?\d+\.\d+")
BY_HAND = Hide(HAND, neurons=(3, 4, 9), regions=("CA1",), window=(10, 20), boxes=(Box("rate", 1, 8, 3, 9),))
EXPLORE = {
    "scheme": Spec(),
    "prompt": Spec(hide=Hide("neuron", prompt="causal", ratio=40, seed=3)),
    "by hand": Spec(hide=BY_HAND, neuron=4),
}
NEURON = Spec(page="neuron", neuron=12)
TRANSLATE = Spec(page="translate", translation=Translation(("spikes", "choice", "wheel_speed"), (10, 25)))
NOTEBOOKS = {"neuron": NEURON, "translate": TRANSLATE, "one trial": Spec(trial=5)}
# Runs files one after another in a process that has never seen the app, each with names of its own.
RUNNER = """
import contextlib, io, json, runpy, sys
found = {}
for path in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runpy.run_path(path)
    found[path] = said.getvalue()
assert "app" not in sys.modules
print(json.dumps(found))
"""


def run_all(programs: dict[str, str], folder: Path) -> dict[str, str]:
    """What each program prints in a fresh process, outside the project and without a screen."""
    paths = {name: folder / f"{i}.py" for i, name in enumerate(programs)}
    for name, path in paths.items():
        path.write_text(programs[name], "utf-8")
    environment = {**os.environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(folder)}
    command = [sys.executable, "-c", RUNNER, *map(str, paths.values())]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[str(path)] for name, path in paths.items()}


def cells(text: str) -> str:
    """All code of a notebook, in order."""
    return "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code")


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """Three scripts as they are copied, and those of other pages as the code of their notebooks."""
    found = {name: script_of(spec).numbers for name, spec in EXPLORE.items()}
    for name, spec in NOTEBOOKS.items():
        found[name] = cells(notebook.notebook_text(spec, script_of(spec), "Title", "http://localhost/app"))
    return found


@pytest.fixture(scope="module")
def printed(programs, tmp_path_factory) -> dict[str, str]:
    return run_all(programs, tmp_path_factory.mktemp("scripts"))


def on_screen(text: object) -> list[str]:
    """The numbers of a text of the app, with the minus sign of programs."""
    return NUMBER.findall(str(text).replace("−", "-"))


def line_of(printed: str, start: str) -> list[str]:
    """The numbers of the line that begins so."""
    (line,) = [line for line in printed.splitlines() if line.startswith(start)]
    return re.findall(r"-?\d+\.?\d*", line.removeprefix(start))


# --- the numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPLORE)
def test_the_script_of_explore_prints_its_tables_to_the_last_digit(name, printed):
    *_, shown = compute.scores(part(EXPLORE[name], ("session", "model", "hide")))
    assert shown.n_done == shown.n_trials
    for title, *values in hidden_scores.null_rows(shown):
        assert line_of(printed[name], title) == on_screen(values)
    rows = hidden_scores.region_rows(hidden_scores.region_lines(shown))
    assert rows
    for region, mean, median, n, *_ in rows:
        assert line_of(printed[name], region) == [*on_screen([mean, median]), str(n)]


@pytest.mark.parametrize("name", EXPLORE)
def test_the_script_of_explore_prints_the_score_of_the_neuron_that_is_looked_at(name, printed):
    spec = EXPLORE[name]
    picture = compute.picture(part(spec, ("session", "model", "trial", "sort", "hide")))
    *_, shown = compute.scores(part(spec, ("session", "model", "hide")))
    sentence = neuron.describe(picture, shown, compute.looked_at(picture, spec.neuron))
    who, score = re.fullmatch(r"(Neuron \d+ of \w+): .*; (\S+) bits per spike\.", sentence).groups()
    assert f"{who}: {score.replace('−', '-')} bits per spike" in printed[name]


def test_the_script_of_a_neuron_prints_its_scores_intervals_and_ceilings(printed):
    rows = neuron_scores.score_rows(single_neuron.one_neuron(NEURON).judged)
    for name, row in zip(neuron_scores.NAMES, rows, strict=False):
        assert line_of(printed["neuron"], f"{name}:") == on_screen([row.value, row.ceiling, row.if_poisson])
    assert line_of(printed["neuron"], "calibration slope:") == on_screen([row.value for row in rows[-2:]])


def test_the_script_of_translate_prints_the_scores_of_the_test_trials(printed):
    opened = recording("simulated-1", "simulated-neds")
    *_, found = translation_scores.score_steps(opened, TRANSLATE.translation)
    said = [
        (modality, kind, translate_scores._over_test(found, modality, kind))
        for modality, kinds in (
            ("spikes", translate_scores.SPIKES),
            ("choice", translate_scores.CLASSES),
            ("wheel_speed", translate_scores.TRACES),
        )
        for kind in kinds
    ]
    assert len(said) == 6
    for modality, kind, cell in said:
        assert line_of(printed["translate"], f"{modality}, {kind}:") == on_screen(cell)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_the_script_and_then_draws(name, programs, printed):
    made = script_of(NOTEBOOKS[name])
    assert programs[name].startswith(made.numbers) and programs[name].endswith(made.picture.strip())
    assert "plt.show()" in made.picture and printed[name]


# --- what a script is -------------------------------------------------------------------------------------------------


def test_a_script_names_what_is_bundled_and_no_path_of_this_computer(programs):
    for text in programs.values():
        assert str(assets_dir()) not in text and str(ROOT) not in text and str(Path.home()) not in text
        assert "open_model(" in text and "open_session(" in text


def test_a_script_imports_what_it_uses_and_nothing_else(programs):
    for name, text in programs.items():
        tree = ast.parse(text)
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if not alias.name.startswith("matplotlib")
        }
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert imported <= used, name


def test_every_page_has_a_script_or_says_that_it_has_none():
    for page in PAGES:
        if page.name not in SCRIPTS:
            assert script_of(Spec(page=page.name)).why == scripts.NONE
    assert {"explore", "scores", "neuron", "decoding", "map", "embeddings", "translate"} <= set(SCRIPTS)


def test_without_hidden_entries_there_is_no_script_but_a_sentence():
    found = script_of(Spec(hide=Hide(HAND)))
    assert not found.numbers and "nothing is hidden" in found.why.lower()


@given(st.text(max_size=80))
def test_a_name_is_written_as_python_reads_it(name):
    assert ast.literal_eval(lines.literal(name)) == name and "\n" not in lines.literal(name)


@given(st.lists(st.integers(0, 300), max_size=40))
def test_numbers_are_written_in_runs_that_say_the_same(numbers):
    assert eval(lines.runs(numbers)) == sorted(set(numbers))  # noqa: S307 (our own text)


# --- notebook and report ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook_json() -> dict:
    link = "http://localhost:5006/app?page=neuron&neuron=12"
    return json.loads(notebook.notebook_text(NEURON, script_of(NEURON), "Neuron", link))


def test_a_notebook_follows_the_schema_of_nbformat(notebook_json):
    try:
        import nbformat
    except ImportError:
        pass
    else:
        nbformat.validate(notebook_json)
    assert set(notebook_json) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook_json["nbformat"], notebook_json["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook_json["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    for cell in notebook_json["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
        assert all(isinstance(line, str) for line in cell["source"])


def test_a_notebook_says_protocol_link_and_versions(notebook_json):
    said = "".join(notebook_json["cells"][0]["source"])
    assert "<http://localhost:5006/app?page=neuron&neuron=12>" in said
    for fact in ("simulated-1", "simulated-mtm", "20 ms", "-0.5 to 1.5 s", "torch", "numpy", "test"):
        assert fact in said


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://a/<script>", "http://a b", "", "http://a/`x`"])
def test_what_is_no_link_is_left_out_of_a_notebook(link):
    assert "The view in the app: <" not in notebook.notebook_text(NEURON, script_of(NEURON), "Neuron", link)


def test_a_page_without_a_script_makes_no_notebook():
    said = take_home._made(Spec(page="about"), Asked("notebook", ""), "About")
    assert not said["name"] and scripts.NONE.rstrip(".") in said["said"]


def test_there_is_no_report_before_the_scores_are_complete():
    spec = Spec(page="scores", session="simulated-2")
    said = take_home._made(spec, Asked("report", ""), "Scores")
    assert not score_report.has_report(spec) and not said["name"] and "press Score" in said["said"]


# --- messages and links -----------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["what", "link", "x"]), inner),
)


@given(anything)
def test_any_message_of_a_browser_is_understood_as_a_question(data):
    asked = Asked.of(data)
    assert isinstance(asked.what, str) and isinstance(asked.link, str) and len(asked.link) <= 10_000


def test_a_strange_message_does_nothing():
    asked = []
    state = SimpleNamespace(spec=Spec(), dark=False, ask=lambda *_: asked.append(1), fail=asked.append)
    state.param = SimpleNamespace(watch=lambda *_: None)
    shown = take_home.view(state, {"explore": "Explore"})
    for data in (None, 3, {"what": "rm"}, {"what": ["open"]}, "open"):
        for callback in shown._msg__callbacks:
            callback(SimpleNamespace(data=data))
    assert asked == []
    for callback in shown._msg__callbacks:
        callback(SimpleNamespace(data={"what": "open", "link": ""}))
    assert asked == [1]


keys = st.sampled_from(
    [f.name for group in (Spec, Hide) for f in group.__dataclass_fields__.values()] + ["tasks", "task"]
)
fragment = st.text(max_size=20) | st.from_regex(r"[-.\w~%,_]{0,30}", fullmatch=True)
queries = st.text(max_size=200) | st.lists(st.tuples(keys, fragment), max_size=8).map(urlencode)
good = st.sampled_from([encode(spec) for spec in (*EXPLORE.values(), NEURON, TRANSLATE)])


@st.composite
def mutated(draw) -> str:
    """A good address with a piece cut out, doubled or exchanged."""
    text = draw(good)
    at, n = draw(st.integers(0, len(text))), draw(st.integers(0, 12))
    return text[:at] + draw(st.text(max_size=8) | st.just(text[at : at + n] * 2)) + text[at + n :]


@settings(max_examples=2000, deadline=None)
@given(queries | mutated())
def test_no_tampered_link_raises_and_what_it_opens_has_a_link_of_its_own(query):
    spec, understood = decode(query)
    assert isinstance(understood, bool) and decode(encode(spec)) == (spec, True)


# --- the library's short calls ----------------------------------------------------------------------------------------


def test_a_model_is_opened_by_its_name_and_another_name_says_what_there_is(tmp_path, monkeypatch, untrained_model):
    assert open_model("simulated-mtm", "cpu").path.name == "simulated-mtm"
    with pytest.raises(FileNotFoundError, match="no model named 'untrained' here, only .*simulated-mtm"):
        open_model("untrained")
    monkeypatch.setenv("MTM_CHECKPOINTS", str(untrained_model.parent))
    assert open_model("untrained", "cpu").path == untrained_model


def test_the_mask_of_one_trial_is_repeated_and_that_of_two_is_not():
    one = compute.mask("simulated-1", "simulated-mtm", BY_HAND)
    three = one.repeat(3)
    assert three.hidden.shape[0] == 3 and all(bool((three.target[k] == one.target[0]).all()) for k in range(3))
    with pytest.raises(ValueError, match="3 trials cannot be repeated"):
        three.repeat(2)


def test_no_script_prints_what_is_no_number(printed):
    assert not any("nan" in text for text in printed.values())
