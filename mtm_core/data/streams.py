"""Behaviors of an ALF session as streams: name -> (times in s, values)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import butter, sosfiltfilt

from .alf import Folder, UnreadableFile

Stream = tuple[ndarray, ndarray]

WHEEL_RATE = 1000.0  # Hz; the wheel is an event stream, one sample per tick, so it is put on a regular grid first
WHEEL_CUTOFF = 20.0  # Hz
WHEEL_ORDER = 8
LONGEST_WHEEL_S = 86400.0  # one wrong time of 1e9 s would ask for a grid of 8 TB
CAMERAS = ("leftCamera", "rightCamera")  # the left one films at 60 Hz in IBL rigs and comes first


def wheel_speed(times: Float[ndarray, " S"], position: Float[ndarray, " S"]) -> Stream:
    """Speed of the wheel, |velocity| in rad/s at 1 kHz, from its position in rad at irregular times in s.

    As the IBL does it (brainbox.behavior.wheel, `interpolate_position` and `velocity_filtered`): linear interpolation,
    8th-order Butterworth low-pass at 20 Hz forward and backward, difference. Samples that are not finite are skipped.
    A gap between samples means that the wheel stood still, because a wheel reports only movement.
    """
    known = np.isfinite(times) & np.isfinite(position)
    times, position = times[known], position[known]
    if len(times) < 2 or np.any(np.diff(times) < 0) or not 1 < times[-1] - times[0] < LONGEST_WHEEL_S:
        raise ValueError(
            f"wheel: {len(times)} usable samples; a speed needs times in s that do not go back and cover 1 s to 1 day"
        )
    grid = np.arange(times[0], times[-1], 1 / WHEEL_RATE)
    low_pass = butter(WHEEL_ORDER, WHEEL_CUTOFF, fs=WHEEL_RATE, output="sos")
    smooth = sosfiltfilt(low_pass, np.interp(grid, times, position))
    return grid, np.abs(np.diff(smooth, prepend=smooth[0]) * WHEEL_RATE).astype(np.float32)


def read_behaviors(folder: Folder) -> tuple[dict[str, Stream], list[str]]:
    """wheel_speed, whisker_motion_energy, pupil and paw_speed as far as files exist, and one sentence per problem."""
    behaviors: dict[str, Stream] = {}
    problems: list[str] = []
    for read in (_read_wheel, _read_cameras):
        try:
            found, notes = read(folder)
        except (UnreadableFile, ValueError) as error:
            found, notes = {}, [f"a behavior was left out: {error}"]
        behaviors |= found
        problems += notes
    for name in ("wheel_speed", "whisker_motion_energy", "pupil"):
        if name not in behaviors:
            problems.append(f"behavior {name} is missing: its files are not there or not usable")
    return behaviors, problems


def outside_windows(times: ndarray, events: ndarray, start: float, end: float) -> ndarray:
    """True for times (S,) that lie in no [event + start, event + end], in s; times are sorted."""
    events = np.sort(events[np.isfinite(events)])
    # Windows have one length, so the last window that began is the last one to end.
    last = np.searchsorted(events + start, times, side="right") - 1
    return (last < 0) | (times > events[np.maximum(last, 0)] + end) if len(events) else np.ones(len(times), bool)


def _read_wheel(folder: Folder) -> tuple[dict[str, Stream], list[str]]:
    names = [folder.find(f"_ibl_wheel.{attribute}.npy") for attribute in ("timestamps", "position")]
    if None in names:
        return {}, []
    times, position = (folder.array(name).astype(np.float64) for name in names)
    if len(times) != len(position):
        return {}, [f"wheel: {len(times)} times but {len(position)} positions; the wheel was left out"]
    n_unknown = int(np.count_nonzero(~np.isfinite(times) | ~np.isfinite(position)))
    notes = [f"wheel: {n_unknown} samples are not finite and were skipped"] if n_unknown else []
    return {"wheel_speed": wheel_speed(times, position)}, notes


def _read_cameras(folder: Folder) -> tuple[dict[str, Stream], list[str]]:
    """Each behavior from the first camera that has it."""
    behaviors: dict[str, Stream] = {}
    notes: list[str] = []
    for camera in CAMERAS:
        clock = folder.find(f"_ibl_{camera}.times.npy")
        if clock is None:
            continue
        times = folder.array(clock)
        for name, values in _camera_values(folder, camera).items():
            if name in behaviors:
                continue
            if len(times) < len(values):
                notes.append(f"{camera}: {len(times)} times but {len(values)} values of {name}; it was left out")
                continue
            # A camera starts before its first frame is kept, so it is the first times that have no frame.
            behaviors[name] = (times[len(times) - len(values) :], values)
    return behaviors, notes


def _camera_values(folder: Folder, camera: str) -> dict[str, ndarray]:
    values: dict[str, ndarray] = {}
    if energy := folder.find(f"{camera}.ROIMotionEnergy.npy"):
        values["whisker_motion_energy"] = folder.array(energy)
    if features := folder.find(f"_ibl_{camera}.features.pqt"):
        table = folder.table(features)
        # The smoothed trace where there is one: the raw diameter is noisy and has gaps.
        pupils = sorted((c for c in table.columns if "pupil" in c.lower()), key=lambda c: "smooth" not in c.lower())
        if pupils:
            values["pupil"] = table[pupils[0]].to_numpy()
        if "pawSpeed" in table.columns:
            values["paw_speed"] = table["pawSpeed"].to_numpy()
    return values
