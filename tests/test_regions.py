import numpy as np
import pytest

from mtm_core.regions import acronyms_from_ids, map_regions, region_color, sort_regions, unknown_acronyms


@pytest.mark.parametrize(
    ("acronym", "beryl", "cosmos"),
    [
        ("VISa2/3", "VISa", "Isocortex"),
        ("DG-mo", "DG", "HPF"),
        ("CA1", "CA1", "HPF"),
        ("PO", "PO", "TH"),
        ("root", "root", "root"),
        ("void", "void", "void"),
    ],
)
def test_regions_map_to_their_parents(acronym, beryl, cosmos):
    assert map_regions([acronym], "allen").tolist() == [acronym]
    assert map_regions([acronym], "beryl").tolist() == [beryl]
    assert map_regions([acronym], "cosmos").tolist() == [cosmos]


def test_a_label_coarser_than_the_level_stays():
    coarse = ["ACA", "AUD", "LS", "MB", "OLF", "ORB", "RSP", "SSp", "TH", "VIS"]
    known = [name for name in coarse if not unknown_acronyms([name])]
    assert map_regions(known, "beryl").tolist() == known
    assert map_regions(["grey", "BS"], "cosmos").tolist() == ["grey", "BS"]


def test_fibre_tracts_become_root():
    assert map_regions(["cc", "VL"], "beryl").tolist() == ["root", "root"]


def test_unknown_acronyms_stay_in_place_and_are_listed():
    labels = np.array(["CA1", "nowhere", "PO", "<b>x</b>"])
    labels.setflags(write=False)
    assert map_regions(labels, "beryl").tolist() == ["CA1", "nowhere", "PO", "<b>x</b>"]
    assert unknown_acronyms(labels) == ("<b>x</b>", "nowhere")


def test_mapping_agrees_with_iblatlas_wherever_it_has_an_answer():
    from iblatlas.regions import BrainRegions

    atlas = BrainRegions()
    for level in ("beryl", "cosmos"):
        theirs = atlas.acronym[atlas.mappings[level.capitalize()]]
        ours = map_regions(atlas.acronym, level)
        answered = theirs != "root"
        np.testing.assert_array_equal(ours[answered], theirs[answered])
        assert all(atlas.acronym[~answered][ours[~answered] != "root"] == ours[~answered][ours[~answered] != "root"])


def test_ids_of_both_hemispheres_give_one_acronym():
    assert acronyms_from_ids([382, -382, 997, 0]).tolist() == ["CA1", "CA1", "root", "void"]


def test_an_id_outside_the_atlas_is_reported_as_unknown():
    assert unknown_acronyms(acronyms_from_ids([382, 123456789])) == ("ccf-123456789",)


def test_colors_are_those_of_the_allen_atlas():
    assert region_color("Isocortex").lower() == "#70ff71"
    assert region_color("TH").lower() == "#ff7080"
    assert region_color("root") == region_color("void") == region_color("nowhere")


def test_regions_sort_in_allen_order_with_unplaced_labels_last():
    assert sort_regions(["PO", "zz", "CA1", "root", "VISa", "LP", "DG", "CA1"]) == (
        "VISa", "CA1", "DG", "LP", "PO", "root", "zz",
    )  # fmt: skip


def test_unknown_level_names_the_choices():
    with pytest.raises(ValueError, match="choose one of allen, beryl, cosmos"):
        map_regions(["CA1"], "swanson")
