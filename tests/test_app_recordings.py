"""The page "Recordings": its catalogue, its forms and its reports, without a browser."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
from import_folders import N_SPIKES, N_TRIALS, N_UNITS, npz, nwb, phy

pn.extension("tabulator")

from app import recordings as opened  # noqa: E402
from app.analyses import catalogue, catalogue_errands  # noqa: E402
from app.analyses.catalogue_errands import Choices, Errand, Looked, look  # noqa: E402
from app.pages import recordings  # noqa: E402
from app.pages.controls import offer_sessions, session_labels  # noqa: E402
from app.pages.parts import guarded  # noqa: E402
from app.pages.recordings import Adding, Listing, said  # noqa: E402
from app.spec import Spec, decode, encode  # noqa: E402
from app.state import State  # noqa: E402
from app.work import Work  # noqa: E402


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MTM_IMPORTS", str(tmp_path / "kept"))
    monkeypatch.delenv("MTM_CACHE_DIR", raising=False)
    monkeypatch.setenv("MTM_ALLOW_IMPORT", "1")


class Quiet(State):
    """Nothing is computed: the page reads no result."""

    def start(self) -> None:
        pass


@pytest.fixture
def state() -> State:
    pages = ("explore", "recordings", "train")
    return Quiet(Work(lambda spec: None, lambda spec: iter(())), spec=Spec(page="recordings"), pages=pages)


@pytest.fixture
def adding(state) -> Adding:
    made = Adding(state, Listing(state))
    made.view()
    return made


def settle(adding: Adding) -> None:
    for _ in range(200):
        if adding.errand is None:
            return
        adding.errand.wait(0.1)
        adding.poll()
    raise AssertionError("the errand did not end")


def tell(listing: Listing, data: object) -> None:
    """A message of the browser, as the table hands it on."""
    guarded(listing.state, listing.act)(SimpleNamespace(data=data))


def test_the_page_is_in_the_address():
    assert decode(encode(Spec(page="recordings"))) == (Spec(page="recordings"), True)


def test_the_catalogue_lists_the_bundled_recordings_and_who_knows_them():
    rows = catalogue.rows()
    assert [row.id for row in rows] == list(opened.catalogue())
    first = next(row for row in rows if row.id == "simulated-1")
    assert (first.n_units, first.n_trials, first.kind) == (260, 320, "bundled")
    assert "simulated-mtm" in first.models and 1500 < first.duration < 1800


def test_a_click_opens_a_recording_in_explore(state):
    listing = Listing(state)
    assert [row["id"] for row in listing.table.rows if row["state"] == "here"] == ["simulated-1"]
    tell(listing, {"act": "open", "id": "simulated-3"})
    assert (state.spec.session, state.spec.page) == ("simulated-3", "explore")


@pytest.mark.parametrize(
    "data",
    [
        None,
        "open",
        {},
        {"act": "remove", "id": "simulated-1"},
        {"act": "open", "id": "../x"},
        {"act": ["open"], "id": 3},
    ],
)
def test_a_forged_message_does_nothing_but_a_sentence(data, state):
    listing = Listing(state)
    before = state.spec
    tell(listing, data)
    assert state.spec == before and "no such recording" in state.message


def test_a_folder_becomes_a_report_and_then_a_recording_of_every_list(adding, state, tmp_path):
    adding.begin(look(str(npz(tmp_path / "mine")), ""))
    settle(adding)
    assert adding.said.text.startswith("This recording can be kept") and not adding.report.keep.disabled
    assert f"{N_SPIKES:,} in" in adding.report.facts.object and f"{N_TRIALS}; {N_TRIALS}" in adding.report.facts.object
    assert opened.catalogue().keys() == {f"simulated-{i}" for i in range(1, 5)}
    adding.report.keep_it()
    settle(adding)
    session = adding.kept
    assert session in opened.catalogue() and session in session_labels().values()
    assert [row["id"] for row in adding.listing.table.rows][0] == session
    assert adding.open.visible and not adding.report.box.visible
    adding.open_kept()
    assert (state.spec.session, state.spec.page) == (session, "explore")


def test_choices_change_the_report(adding, tmp_path):
    adding.begin(look(str(phy(tmp_path / "mine")), ""))
    settle(adding)
    assert f"{N_UNITS - 1}; " in adding.report.facts.object
    adding.report.good.value = True
    settle(adding)
    assert f"{N_UNITS - 2}; " in adding.report.facts.object
    assert adding.report.looked.report.choices.good_only
    adding.report.rate.value = 15_000.0
    settle(adding)
    assert adding.report.looked.report.duration == pytest.approx(400, rel=0.01)


def test_another_event_and_other_regions_are_offered(adding, tmp_path):
    adding.begin(look(str(nwb(tmp_path / "mine")), ""))
    settle(adding)
    assert list(adding.report.event.options.values()) == ["stimOn_times", "intervals_0"]
    adding.report.event.value = "intervals_0"
    settle(adding)
    assert "time 0 of every trial is intervals_0" in adding.report.problems.object.replace("Time", "time")


def test_what_cannot_be_read_is_one_sentence_and_the_form_goes_on(adding, tmp_path):
    folder = npz(tmp_path / "mine")
    whole = (folder / "session.npz").read_bytes()
    (folder / "session.npz").write_bytes(whole[: len(whole) // 2])
    adding.begin(look(str(folder), ""))
    settle(adding)
    assert adding.said.text == "session.npz is not an .npz archive or is damaged; save or copy it again."
    (folder / "session.npz").write_bytes(whole)
    adding.begin(look(str(folder), ""))
    settle(adding)
    assert not adding.report.keep.disabled


def test_what_forbids_keeping_disables_the_button(adding, tmp_path):
    adding.begin(look(str(npz(tmp_path / "mine", spike_units=np.full(N_SPIKES, -1))), ""))
    settle(adding)
    assert adding.report.keep.disabled and "negative ids" in adding.said.text
    adding.report.keep_it()
    assert adding.errand is None


def test_the_same_spikes_are_replaced_only_on_request(adding, tmp_path):
    folder = str(npz(tmp_path / "mine"))
    for good, session in ((False, True), (True, False)):
        adding.begin(look(folder, ""))
        settle(adding)
        adding.report.good.value = good
        settle(adding)
        adding.report.keep_it()
        settle(adding)
        assert bool(adding.kept) == session
    assert "with other choices" in adding.said.text and adding.report.replace.visible
    adding.report.replace_it()
    settle(adding)
    assert adding.kept and sum(row.kind == "imported" for row in catalogue.rows()) == 1


def test_names_from_files_reach_the_page_as_text(adding, tmp_path):
    names = np.array(["<img src=x onerror=alert(1)>"] * N_UNITS)
    adding.begin(look(str(npz(tmp_path / "a<b>&c", unit_regions=names)), ""))
    settle(adding)
    for html in (adding.report.facts.object, adding.report.problems.object):
        assert "<img" not in html and "<b>" not in html
    adding.report.keep_it()
    settle(adding)
    assert "<" not in "".join("".join(row["cells"]) for row in adding.listing.table.rows)


def test_removing_takes_the_recording_from_the_list_and_from_the_screen(adding, state, tmp_path):
    adding.begin(look(str(npz(tmp_path / "mine")), ""))
    settle(adding)
    adding.report.keep_it()
    settle(adding)
    adding.open_kept()
    tell(adding.listing, {"act": "remove", "id": adding.kept})
    assert adding.kept not in opened.catalogue() and state.spec.session == Spec().session
    assert (tmp_path / "mine/session.npz").is_file()


def test_an_open_list_of_recordings_follows_the_catalogue(adding, state, tmp_path):
    import panel_material_ui as pmui

    select = pmui.Select(options=session_labels(), value=state.spec.session)
    offer_sessions(state, select, session_labels)
    adding.begin(look(str(npz(tmp_path / "mine")), ""))
    settle(adding)
    adding.report.keep_it()
    settle(adding)
    assert adding.kept in select.options.values() and select.value == "simulated-1"


@pytest.mark.parametrize("way", ["class", "server"])
def test_nothing_can_be_added_where_others_are_served(way, state, adding, tmp_path, monkeypatch):
    monkeypatch.setenv("MTM_ALLOW_IMPORT", "0")
    if way == "class":
        monkeypatch.setattr(recordings, "CLASS", True)
        monkeypatch.setenv("MTM_ALLOW_IMPORT", "1")
    built = recordings.page(state)
    assert not built.select(lambda part: getattr(part, "label", "") in ("Look at it", "Fetch", "Keep this recording"))
    assert built.select(recordings.RecordingTable)
    with pytest.raises(ValueError, match="cannot be added"):
        adding.begin(look(str(npz(tmp_path / "mine")), ""))


def test_imports_are_off_where_the_server_can_be_reached(monkeypatch):
    monkeypatch.delenv("MTM_ALLOW_IMPORT")
    monkeypatch.setenv("MTM_ALLOW_TRAINING", "1")  # is another right
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "lab.example.org")
    assert not catalogue_errands.allowed()
    monkeypatch.setenv("MTM_ALLOW_IMPORT", "1")
    assert catalogue_errands.allowed()


# --- errands ----------------------------------------------------------------------------------------------------------


def test_a_cancelled_errand_ends_and_keeps_nothing(adding):
    going = threading.Event()

    def endless(tell):
        while True:
            tell(0.5, "Still reading")
            going.set()
            time.sleep(0.01)

    adding.begin(endless)
    assert going.wait(5) and not adding.errand.done
    adding.poll()
    assert adding.strip.visible and adding.bar.value == 50 and "Still reading" in adding.said.text
    with pytest.raises(ValueError, match="one thing at a time"):
        adding.begin(endless)
    adding.cancel()
    settle(adding)
    assert "Cancelled" in adding.said.text and not adding.strip.visible and adding.report.looked is None


def test_an_unexpected_error_is_a_sentence_too():
    def bad(tell):
        raise IndexError("list index out of range")

    errand = Errand(bad)
    errand.wait(5)
    assert errand.done and "could not be read (IndexError)" in errand.error and "list index" not in errand.error


def test_a_connection_check_shows_its_steps(adding, monkeypatch):
    from mtm_core.data.importing import Step

    steps = [Step("ONE-api", True, "It is installed."), Step("Network", False, "Not online; check the <cable>.")]
    monkeypatch.setattr(catalogue_errands, "check", lambda: iter(steps))
    _, form = adding.way("one")
    adding.begin(catalogue_errands.connection_check())
    settle(adding)
    assert any("‹cable›" in pane.object for pane in form.select(pn.pane.HTML))


def test_known_public_sessions_have_addresses():
    from mtm_core.data.importing import bench_url

    for session, regime in catalogue_errands.known_sessions().items():
        assert bench_url(session, regime).endswith(f"/{regime}/{session}.h5")


@pytest.mark.parametrize(
    ("text", "says"),
    [("x.npy is cut; copy it", "x.npy is cut; copy it."), ("no trials", "No trials."), ("a <b>", "A ‹b›."), ("", "")],
)
def test_sentences_begin_large_and_end_with_a_stop(text, says):
    assert said.sentence(text) == says


def test_a_looked_at_recording_keeps_its_choices(tmp_path):
    errand = Errand(look(str(npz(tmp_path / "mine")), "npz"))
    errand.wait(20)
    assert isinstance(errand.result, Looked)
    again = Errand(catalogue_errands.choose(errand.result, Choices(good_only=True, subject="Ada")))
    again.wait(20)
    assert again.result.report.session.subject == "Ada" and again.result.report.n_units == N_UNITS - 2
