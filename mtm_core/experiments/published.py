"""Numbers of the MtM paper, to be printed beside one's own: Zhang, Wang et al., NeurIPS 2024, arXiv 2407.14668 v1.

They come from one other recording (about 670 units, 2 s around the stimulus) at a thousand epochs: what can be compared
is the order of the rows and the pattern of the columns, not a number. Bits per spike are means over neurons; choice is
plain accuracy; the whisker's motion energy R2.
"""

from __future__ import annotations

COLUMNS = ("co_smoothing", "forward_prediction", "intra_region", "inter_region", "choice", "motion_energy")
SOURCE = {"ndt1": "arXiv 2407.14668, tables 1 and 3 (NDT1)", "ndt2": "arXiv 2407.14668, table 4 (NDT2)"}
NDT1 = {
    "temporal": (0.84, 0.42, -0.20, 0.57, 0.66, 0.56),
    "neuron": (1.04, -0.21, -0.22, 0.78, 0.68, 0.60),
    "causal": (0.44, 0.48, -0.36, 0.23, 0.75, 0.59),
    "intra_region": (-9.86, -2.97, 0.32, -9.06, 0.55, 0.38),
    "inter_region": (0.92, 0.01, -0.58, 0.90, 0.52, 0.59),
    "mtm_not_prompted": (0.99, 0.54, 0.42, 0.83, 0.69, 0.61),
    "mtm_prompted": (0.98, 0.57, 0.43, 0.84, 0.63, 0.61),
}
NDT2 = {
    "random_token": (-6.94, 0.50, -0.43, -6.95, 0.74, 0.58),
    "neuron": (0.91, 0.18, -0.26, 0.62, 0.65, 0.62),
    "causal": (0.02, 0.52, -0.42, -0.20, 0.69, 0.59),
    "intra_region": (-10.10, -1.30, 0.21, -8.17, 0.65, 0.43),
    "inter_region": (0.63, 0.18, -0.63, 0.66, 0.75, 0.39),
    "mtm_not_prompted": (0.90, 0.56, 0.47, 0.80, 0.68, 0.62),
    "mtm_prompted": (0.92, 0.54, 0.46, 0.81, 0.69, 0.62),
}
TABLES = {"ndt1": NDT1, "ndt2": NDT2}


def published(tokens: str, row: str, column: str) -> float | None:
    """One cell; None where the paper has no such row."""
    values = TABLES[tokens].get(row)
    return None if values is None else values[COLUMNS.index(column)]
