"""A physical phantom of head-and-neck MRI at the level of the nasopharynx, with stage II tumours in it.

Labelled anatomy becomes tissue fractions, tissue fractions become spin-echo signal at a centre's field
strength, TR and TE, and the signal passes through contrast uptake, partial volume, receive coil and
noise. Three latent variables of the tumour show in the picture: its size, the heterogeneity inside its
contour, and the infiltration of the tissue outside it.

Coordinates are millimetres, x to the patient's left, y to the back, z to the head, from the middle of the
field of view; arrays are ``(Z, Y, X)`` with every axis ascending, so that an identity direction in
SimpleITK (LPS) is right.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.imaging import Volume

EXTENT_MM = (80.0, 200.0, 200.0)


@dataclass(frozen=True)
class Traits:
    """What is known of a patient before the picture is made.

    Attributes
    ----------
    center : str
        Key of the centre's protocols.
    t_stage : {"T1", "T2"}
        T1 stays in the nasopharynx, T2 reaches the parapharyngeal space.
    n_stage : {"N0", "N1"}
        N1 has lymph nodes.
    rene : {0, 1, 2}
        Radiologic extranodal extension: none, coalescent nodes, adjacent structures infiltrated.
    size, heterogeneity, infiltration : float
        Latent variables on the scale of a standard normal; higher = larger, coarser, more infiltrating.
    """

    center: str
    t_stage: str
    n_stage: str
    rene: int
    size: float
    heterogeneity: float
    infiltration: float


@dataclass(frozen=True)
class Tissue:
    """Magnetic properties of one tissue.

    Attributes
    ----------
    name : str
        Key used by `Structure.tissue`.
    proton_density : float
        Relative to water.
    t1_ms, t2_ms : tuple of float
        Relaxation times at 1.5 T and at 3 T, in ms; the T2 of fat is the longer, effective one that trains
        of spin echoes show.
    uptake_mmol_l : float
        Gadolinium in the tissue while CET1W is acquired.
    texture : float
        Standard deviation of the fine structure, as a fraction of the signal.
    """

    name: str
    proton_density: float
    t1_ms: tuple[float, float]
    t2_ms: tuple[float, float]
    uptake_mmol_l: float
    texture: float


def _rows(name: str) -> Iterator[dict]:
    """Yield the rows of a table that lies beside this module; columns ``centre.x, centre.y`` make a tuple."""
    words = {"true_values": ["yes"], "false_values": ["no"]}
    table = pd.read_csv(Path(__file__).with_name(name), dtype={"center": str}, **words)
    for values in table.itertuples(index=False):
        row = {}
        for column, value in zip(table.columns, values, strict=True):
            field, part, _ = column.partition(".")
            row[field] = (*row.get(field, ()), value) if part else value
        yield row


# Rounded values within the range of published relaxometry at 1.5 T and 3 T; uptake is set by the enhancement
# that a radiologist expects, about 4 minutes after 0.1 mmol/kg.
TISSUES = {row["name"]: Tissue(**row) for row in _rows("tissues.csv")}
TISSUE_NAMES = tuple(TISSUES)


@dataclass(frozen=True)
class Structure:
    """One part of the anatomy: an ellipsoid, or a rounded box, filled with a tissue.

    Attributes
    ----------
    name, tissue : str
        What it is, and the key of its tissue.
    centre, radii : tuple of float
        (x, y, z) in mm before the patient's own deformation.
    angle : float
        Turn about z in degrees, mirrored on the other side.
    tilt : tuple of float
        Change of the centre's (x, y) per mm of z.
    shape : {"ellipsoid", "cylinder", "box"}
        A cylinder has flat ends and stands along z before it is tilted; all edges are rounded.
    paired : bool
        Whether the mirror image about the midline exists too.
    variation : float
        Standard deviation of the logarithm of the patient's own factor on the radii.
    opaque : float
        Probability that a side holds fluid instead, as an inflamed sinus does.
    wall_mm : float
        Above 0 for a wall: the structure of this name, grown by so much, beneath itself.
    """

    name: str
    tissue: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    shape: str = "ellipsoid"
    paired: bool = False
    variation: float = 0.06
    opaque: float = 0.0
    wall_mm: float = 0.0


def _read_anatomy() -> tuple[Structure, ...]:
    """Return the structures, from what lies on top to what lies beneath; walls stand below what they line."""
    solid, structures = {}, []
    for row in _rows("anatomy.csv"):
        del row["part"]
        if wall := row["wall_mm"]:
            lined = solid[row["name"]]
            radii = tuple(radius + wall for radius in lined.radii)
            structures.append(replace(lined, tissue=row["tissue"], radii=radii, opaque=0.0, wall_mm=wall))
        else:
            structures.append(solid.setdefault(row["name"], Structure(**row)))
    return tuple(structures)


ANATOMY = _read_anatomy()  # each is painted only where nothing before it was


@dataclass(frozen=True)
class Protocol:
    """How one centre acquires one sequence.

    Attributes
    ----------
    field_t : float
        Field strength in tesla, 1.5 or 3.
    tr_ms, te_ms : float
        Repetition and (effective) echo time.
    contrast : bool
        Whether gadolinium was given before.
    resolution_mm : tuple of float
        Acquired (slice thickness, in-plane) resolution in mm; the coarser of it and the voxel counts.
    extent_scale : float
        Field of view relative to `EXTENT_MM`.
    snr : float
        Signal of muscle in this sequence over the standard deviation of the noise.
    gain : float
        Mean receiver gain: signal 1 is stored as this number.
    coil : float
        Standard deviation of the logarithm of the receive-coil profile.
    fat_suppression : float
        Fraction of the fat signal removed.
    """

    field_t: float
    tr_ms: float
    te_ms: float
    contrast: bool = False
    resolution_mm: tuple[float, float] = (5.0, 0.9)
    extent_scale: float = 1.0
    snr: float = 18.0
    gain: float = 1000.0
    coil: float = 0.15
    fat_suppression: float = 0.0


def _read_protocols() -> dict[str, dict[str, Protocol]]:
    """Return the protocols by centre and sequence."""
    protocols = {}
    for row in _rows("protocols.csv"):
        center, sequence = row.pop("center"), row.pop("sequence")
        protocols.setdefault(center, {})[sequence] = Protocol(**row)
    return protocols


def _exchanged(sequence: str, protocol: Protocol) -> Protocol:
    """Return how another, noisier scanner of 3 T would acquire a sequence, with fat suppressed."""
    return replace(
        protocol,
        field_t=3.0,
        tr_ms=protocol.tr_ms * 1.25,
        snr=protocol.snr * 0.6,
        gain=protocol.gain * 0.35,
        coil=0.32,
        fat_suppression=0.0 if sequence == "t1w" else 0.8,
    )


PROTOCOLS = _read_protocols()
SHIFTED_PROTOCOLS = {
    center: {sequence: _exchanged(sequence, protocol) for sequence, protocol in sequences.items()}
    for center, sequences in PROTOCOLS.items()
}


@dataclass(frozen=True)
class Effects:
    """How strongly disease shows in the picture, and what blurs it.

    Attributes
    ----------
    volume_ml : dict
        Median tumour volume by T stage.
    size_log_sd : float
        Change of log volume per unit of the size latent.
    necrosis_mean : float
        Mean fraction of poorly perfused tissue within the tumour.
    necrosis_amplitude : float
        Standard deviation of that fraction within the tumour, at a heterogeneity of 0.
    heterogeneity_log_sd : float
        Change of the log amplitude per unit of the heterogeneity latent.
    infiltration_fraction : float
        Fraction of infiltrated tissue at the tumour's edge, at an infiltration of 0.
    infiltration_reach_mm : float
        Distance from the edge at which that fraction has fallen to 1/e, at an infiltration of 0.
    infiltration_log_sd : float
        Change of the log fraction, and by half as much of the log reach, per unit of the infiltration.
    nuisance_log_sd : float
        Standard deviation of what, besides the latent variable, changes each of these in a patient.
    node_fat_mm : float
        Distance from a node's edge at which the fat around it has thinned to 1/e.
    contour_error_mm : float
        Standard deviation of a reader's contour about the true edge.
    motion_mm : float
        Standard deviation of a patient's displacement between sequences, along each axis.
    """

    volume_ml: Mapping[str, float]
    size_log_sd: float = 0.40
    necrosis_mean: float = 0.16
    necrosis_amplitude: float = 0.16
    heterogeneity_log_sd: float = 0.65
    infiltration_fraction: float = 0.34
    infiltration_reach_mm: float = 10.0
    infiltration_log_sd: float = 0.75
    nuisance_log_sd: float = 0.10
    node_fat_mm: float = 3.0
    contour_error_mm: float = 0.9
    motion_mm: float = 0.7


EFFECTS = Effects(volume_ml={"T1": 8.0, "T2": 18.0})


@dataclass(frozen=True)
class Anatomy:
    """A patient before acquisition.

    Attributes
    ----------
    fractions : numpy.ndarray, shape (K, Z, Y, X), float32
        Fraction of each tissue in each voxel, in the order of `TISSUES`; they sum to one.
    tumour_mm, node_mm : numpy.ndarray, shape (Z, Y, X), float32
        Signed distance to the edge of the primary tumour and of the nodes, negative inside.
    infiltration : numpy.ndarray, shape (Z, Y, X), float32
        Fraction of infiltrated tissue, all of it outside the tumour's edge.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    """

    fractions: np.ndarray
    tumour_mm: np.ndarray
    node_mm: np.ndarray
    infiltration: np.ndarray
    spacing: tuple[float, float, float]


def _axes(grid, spacing) -> list[np.ndarray]:
    """Return the millimetres of the voxels along z, y and x."""
    return [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(grid, spacing, strict=True)]


def _along_axes(operators, array: np.ndarray) -> np.ndarray:
    """Apply a matrix along each axis (z, y, x) of an array."""
    z, y, x = operators
    return y @ np.tensordot(z, array, axes=(1, 0)) @ x.T


def _smooth_field(axes: list[np.ndarray], step: float, rng: np.random.Generator) -> np.ndarray:
    """Return a random field of mean 0 and standard deviation 1 that varies over about `step` mm.

    It is drawn over millimetres, so that the same draw looks alike on every grid.
    """
    bases = [_cubic_basis(axis, extent * 1.2, step) for axis, extent in zip(axes, EXTENT_MM, strict=True)]
    white = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    return _along_axes(bases, white)


def _cubic_basis(points: np.ndarray, extent: float, step: float) -> np.ndarray:
    """Return cubic B-splines at points, scaled so that white coefficients give a variance of 1."""
    knots = np.arange(-extent / 2 - step, extent / 2 + 2 * step, step)
    distance = np.abs(points[:, None] - knots[None, :]) / step
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return (np.where(distance < 1, near, far) / np.sqrt(151 / 315)).astype(np.float32)


class _Space:
    """The patient's own coordinates at every voxel, and boxes of voxels within them."""

    def __init__(self, grid, spacing, rng: np.random.Generator):
        self.spacing, self.rng = spacing, rng
        self.axes = [axis.astype(np.float32) for axis in _axes(grid, spacing)]
        z, y, x = np.meshgrid(*self.axes, indexing="ij", sparse=True)
        roll, yaw = np.radians(rng.normal(0, (1.5, 2.5)))
        scale = np.exp(rng.normal(0, 0.03, 3))
        shift = rng.normal(0, (2.5, 3.0, 2.5))
        x, y = x * np.cos(yaw) - y * np.sin(yaw), x * np.sin(yaw) + y * np.cos(yaw)
        x, z = x - roll * z, z + roll * x
        bend = [self.field(45.0) * sd for sd in (2.0, 2.2, 2.2)]
        self.z, self.y, self.x = (
            ((value - offset) / factor + warp).astype(np.float32)
            for value, offset, factor, warp in zip((z, y, x), shift, scale, bend, strict=True)
        )

    def field(self, step: float) -> np.ndarray:
        """Return a smooth random field that varies over about `step` mm."""
        return _smooth_field(self.axes, step, self.rng)

    def share(self, distance_mm: np.ndarray) -> np.ndarray:
        """Return the fraction of each voxel that lies inside an edge, to which the distance is given."""
        return np.clip(0.5 - distance_mm / self.spacing[1], 0, 1)

    def distance(self, centre, stretch) -> np.ndarray:
        """Return the distance to (x, y, z) `centre`, in mm of axes that are stretched."""
        (cx, cy, cz), (sx, sy, sz) = centre, stretch
        return np.sqrt(((self.x - cx) / sx) ** 2 + ((self.y - cy) / sy) ** 2 + ((self.z - cz) / sz) ** 2)

    def box(self, centre, radii) -> tuple[slice, slice, slice]:
        """Return the voxels that can lie within `radii` mm of (x, y, z) `centre` after deformation."""
        limits = []
        for axis, middle, reach in zip(self.axes, centre[::-1], radii[::-1], strict=True):
            reach = reach * 1.08 + abs(middle) * 0.12 + 14.0
            limits.append(slice(*np.searchsorted(axis, (middle - reach, middle + reach))))
        return tuple(limits)

    def cover(self, structure: Structure) -> tuple[tuple, np.ndarray]:
        """Return a box of voxels and the fraction of each that the structure covers."""
        centre, radii, tilt = (
            np.float32(part) for part in (structure.centre, structure.radii, structure.tilt)
        )
        reach = [max(structure.radii[:2])] * 2 if structure.angle else structure.radii[:2]
        reach = [r + abs(t) * structure.radii[2] for r, t in zip(reach, structure.tilt, strict=True)]
        box = self.box(structure.centre, (*reach, structure.radii[2]))
        angle = np.radians(structure.angle)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        z = self.z[box] - centre[2]
        x = self.x[box] - centre[0] - tilt[0] * z
        y = self.y[box] - centre[1] - tilt[1] * z
        relative = z / radii[2], (cos * y - sin * x) / radii[1], (cos * x + sin * y) / radii[0]
        return box, _ellipsoid_fraction(relative, structure.radii[::-1], self.spacing, structure.shape)


def _ellipsoid_fraction(relative, radii, spacing, shape: str) -> np.ndarray:
    """Return the fraction of each voxel that a shape covers, to first order in the voxel's size.

    The level ``k`` is 1 on the surface; across a voxel it changes by about ``sum |dk/dx_i| h_i``.
    """
    squares = [value * value for value in relative]
    if shape == "ellipsoid":
        level = np.sqrt(squares[0] + squares[1] + squares[2])
        slopes = (1.0, 1.0, 1.0)
    else:
        plane = squares[1] + squares[2]
        slopes = (squares[0], plane, plane) if shape == "cylinder" else squares
        total = squares[0] * squares[0] + squares[1] * slopes[1] + squares[2] * slopes[2]
        level = np.sqrt(np.sqrt(total))
    level = np.maximum(level, np.float32(1e-3))
    change = 0.0
    for value, slope, radius, step in zip(relative, slopes, radii, spacing, strict=True):
        change = change + np.abs(value) * slope * np.float32(step / radius)
    change /= level if shape == "ellipsoid" else level * level * level
    return np.clip(np.float32(0.5) - (level - 1) / np.maximum(change, np.float32(1e-3)), 0, 1)


def _paint_structures(space: _Space, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return tissue fractions of the structures, painted front to back, and what remains uncovered."""
    fractions = np.zeros((len(TISSUES), *space.x.shape), np.float32)
    free = np.ones(space.x.shape, np.float32)
    own = {}
    for structure in ANATOMY:
        for side in (-1, 1) if structure.paired else (1,):
            key = structure.name, side
            if key not in own:
                # A structure and its walls vary together, so they share what is drawn for them.
                own[key] = rng.lognormal(0, structure.variation), rng.normal(0, 0.7, 3), rng.random()
            factor, offset, chance = own[key]
            radii = tuple(radius * factor for radius in structure.radii)
            centre = tuple(np.array(structure.centre) * (side, 1, 1) + offset)
            tilt, angle = (structure.tilt[0] * side, structure.tilt[1]), structure.angle * side
            box, cover = space.cover(replace(structure, centre=centre, radii=radii, angle=angle, tilt=tilt))
            cover *= free[box]
            tissue = "fluid" if chance < structure.opaque else structure.tissue
            fractions[TISSUE_NAMES.index(tissue)][box] += cover
            free[box] -= cover
    return fractions, free


def _head_mm(space: _Space) -> np.ndarray:
    """Return the distance to the skin in mm, negative inside: skull, face, neck and nose joined smoothly."""
    level = sum(np.exp(-(space.distance(centre, radii) - 1) * min(radii[:2]) / 4) for centre, radii in HEAD)
    return -4 * np.log(np.maximum(level, 1e-9))


# Centres and radii (x, y, z) in mm of skull, face, neck, nose and ears.
HEAD = (
    ((0, 14, 46), (74, 80, 62)),
    ((0, -28, 6), (65, 56, 66)),
    ((0, 22, -50), (66, 68, 90)),
    ((0, -83, 5), (13, 11, 15)),
    ((65, 29, 14), (9, 11, 20)),
    ((-65, 29, 14), (9, 11, 20)),
)


def _paint_head(space: _Space, fractions: np.ndarray, free: np.ndarray) -> None:
    """Add skin, the fat that fills what is left of the head, and the air around it, in place."""
    depth = _head_mm(space)
    inside, beneath = space.share(depth), space.share(depth + 2.2)
    fractions *= inside
    for name, part in (("skin", (inside - beneath) * free), ("fat", beneath * free), ("air", 1 - inside)):
        fractions[TISSUE_NAMES.index(name)] += part


def _tumour_mm(space: _Space, traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """Return the distance to the tumour's edge: a growth front from the pharyngeal recess, cut at its volume.

    Bone and the other side's lateral wall hold it back; in T1 the fascia of its own side does too.
    """
    side = rng.choice((-1.0, 1.0))
    centre = np.array((side * 11.0, -7.0, 5.0)) + rng.normal(0, (1.5, 1.0, 3.0))
    front = space.distance(centre, (1.0, 0.85, 1.15))
    lateral = space.x * np.float32(side)
    reach = 20.0
    if traits.t_stage == "T2":
        reach = 40.0
        lobe = space.distance((side * 25.0, -9.0, centre[2] - 3.0), (0.9, 1.1, 1.2)) + 1.0
        front = -4 * np.log(np.exp(-front / 4) + np.exp(-lobe / 4))
    front += space.field(14.0) * 1.6 + space.field(7.0) * 0.5
    front += 2.0 * np.clip(lateral - reach, 0, None) + 1.2 * np.clip(-lateral - 8, 0, None)
    front += 2.0 * np.clip(space.y - 3, 0, None) + 1.0 * np.clip(np.abs(space.z - 4) - 17, 0, None)
    volume = EFFECTS.volume_ml[traits.t_stage] * 1000 * np.exp(EFFECTS.size_log_sd * traits.size)
    voxels = volume / np.prod(space.spacing)
    count = int(np.ceil(voxels)) + 1
    nearest = np.sort(np.partition(front, count, axis=None)[: count + 1])
    front -= np.interp(voxels, np.arange(count + 1) + 0.5, nearest)
    # Where a barrier slows the front, the same value lies nearer to the edge: the slope makes it millimetres.
    slope = np.sqrt(sum(np.square(part) for part in np.gradient(front, *space.spacing)))
    return (front / np.maximum(slope, 0.5)).astype(np.float32)


def _node_mm(space: _Space, traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """Return the distance to the edge of the nodes: beneath the sternocleidomastoid, or retropharyngeal."""
    distance = np.full(space.x.shape, 99.0, np.float32)
    side = rng.choice((-1.0, 1.0))
    wobble = space.field(8.0) * (0.6 if traits.rene < 2 else 2.6)
    places = _node_places(traits.rene, side, rng)
    if traits.n_stage == "N0":
        return distance
    for centre, radius in places:
        away = space.distance(centre, (0.85, 1.0, 1.35)) - radius
        # Coalescent nodes lose the plane of fat between them: their surfaces join.
        if traits.rene:
            near = [np.exp(-np.clip(mm, -40, 40) / 2) for mm in (distance, away)]
            distance = -2 * np.log(near[0] + near[1])
        else:
            distance = np.minimum(distance, away)
    return distance + wobble


def _node_places(rene: int, side: float, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """Return centres and radii in mm of one to three nodes."""
    first = np.array((side * 42.0, 22.0, -22.0)) + rng.normal(0, (1.5, 2.0, 4.0))
    radius = float(np.clip(rng.normal(8.5, 1.0), 6.5, 12))
    extra = rng.random() < 0.5
    retropharyngeal = rng.random() < 0.5
    steps = rng.normal(0, 1.0, (2, 3))
    radius += float(rene)
    places = [(first, radius)]
    if rene:
        places.append((first + (side * 2.0, 11.0, -6.0) + steps[0], radius * 0.9))
        places.append((first + (side * -1.0, -7.0, -12.0) + steps[1], radius * 0.75))
    elif extra:
        places.append((first + (side * 4.0, 20.0, -10.0) + steps[0], radius * 0.8))
    if retropharyngeal:
        places.append((np.array((side * 19.0, 2.5, -2.0)) + steps[1], radius * 0.65))
    return places


def _replace_tissue(fractions: np.ndarray, share: np.ndarray, tissue: str, *, spare=()) -> None:
    """Turn a share of each voxel's tissues into another tissue, in place, sparing some of them."""
    kept = [TISSUE_NAMES.index(name) for name in spare]
    moved = share * (1 - fractions[kept].sum(0))
    fractions[np.delete(np.arange(len(fractions)), kept)] *= 1 - share
    fractions[TISSUE_NAMES.index(tissue)] += moved


def _infiltration(space, traits, tumour_mm, rng) -> np.ndarray:
    """Return the share of tissue infiltrated beyond the tumour's edge: strands that thin out."""
    push = EFFECTS.infiltration_log_sd * traits.infiltration + rng.normal(0, EFFECTS.nuisance_log_sd)
    reach = EFFECTS.infiltration_reach_mm * np.exp(0.5 * push)
    strands = np.exp(0.6 * space.field(7.0) - 0.18)
    decay = np.exp(-np.square(np.clip(tumour_mm, 0, None) / reach))
    share = EFFECTS.infiltration_fraction * np.exp(push) * strands * decay
    return np.minimum(share, 0.95) * space.share(-tumour_mm)


def _add_disease(space, fractions, traits, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the disease into the tissue fractions; return distances and infiltrated share."""
    rigid = ("air", "cortical bone", "marrow", "csf", "cord", "grey matter", "white matter", "arterial blood")
    tumour_mm = _tumour_mm(space, traits, rng)
    node_mm = _node_mm(space, traits, rng)
    infiltrated = _infiltration(space, traits, tumour_mm, rng)
    before = fractions[[TISSUE_NAMES.index(name) for name in rigid]].sum(0)
    _replace_tissue(fractions, infiltrated, "infiltrated tissue", spare=rigid)
    # A node lies in fat, except where it has grown beyond its capsule into what is around it.
    fat = np.exp(-np.square(np.clip(node_mm, 0, None) / EFFECTS.node_fat_mm)) * space.share(-node_mm)
    _replace_tissue(fractions, fat, "fat", spare=rigid)
    if traits.rene == 2:
        haze = 0.8 * np.exp(-np.square(np.clip(node_mm, 0, None) / 6)) * space.share(-node_mm)
        _replace_tissue(fractions, haze, "infiltrated tissue", spare=rigid)
    _replace_tissue(fractions, space.share(node_mm), "node")
    tumour = space.share(tumour_mm)
    _replace_tissue(fractions, tumour, "tumour")
    push = EFFECTS.heterogeneity_log_sd * traits.heterogeneity + rng.normal(0, EFFECTS.nuisance_log_sd)
    # Standardised within the tumour: a small one holds few patches, whose chance is no heterogeneity.
    patches = space.field(7.0)
    patches -= np.average(patches, weights=tumour)
    patches /= np.sqrt(np.average(np.square(patches), weights=tumour))
    spread = EFFECTS.necrosis_amplitude * np.exp(push) * patches
    poor = np.clip(EFFECTS.necrosis_mean + spread, 0, 0.95) * tumour
    core = np.clip((-node_mm - rng.uniform(3, 9)) / 3, 0, 0.9)
    for tissue, share in (("tumour", poor), ("node", core)):
        moved = np.minimum(share, fractions[TISSUE_NAMES.index(tissue)])
        fractions[TISSUE_NAMES.index(tissue)] -= moved
        fractions[TISSUE_NAMES.index("poorly perfused tumour")] += moved
    return tumour_mm, node_mm, infiltrated * (1 - before)


def build_anatomy(
    traits: Traits, grid: tuple[int, int, int], rng: np.random.Generator, *, extent_scale: float = 1.0
) -> Anatomy:
    """Return a patient's tissues: anatomy of the head and neck with the disease that the traits ask for.

    Parameters
    ----------
    traits : Traits
        Stage and latent variables.
    grid : tuple of int
        Voxels (Z, Y, X). The same draw on a finer grid gives the same patient in more detail.
    rng : numpy.random.Generator
        Source of all variation.
    extent_scale : float
        Field of view relative to `EXTENT_MM`.

    Returns
    -------
    Anatomy
        Tissue fractions, distances to the disease, infiltration and voxel size.
    """
    _check_traits(traits)
    spacing = tuple(extent * extent_scale / n for extent, n in zip(EXTENT_MM, grid, strict=True))
    space = _Space(grid, spacing, rng)
    fractions, free = _paint_structures(space, rng)
    _paint_head(space, fractions, free)
    tumour_mm, node_mm, infiltration = _add_disease(space, fractions, traits, rng)
    return Anatomy(fractions, tumour_mm, node_mm, infiltration, spacing)


def _check_traits(traits: Traits) -> None:
    if traits.t_stage not in EFFECTS.volume_ml:
        raise ValueError(f"t_stage is {traits.t_stage!r}; allowed are {', '.join(EFFECTS.volume_ml)}.")
    if traits.n_stage not in ("N0", "N1"):
        raise ValueError(f"n_stage is {traits.n_stage!r}; allowed are N0, N1.")
    if traits.rene not in (0, 1, 2) or (traits.rene and traits.n_stage == "N0"):
        raise ValueError(f"rene is {traits.rene!r} with {traits.n_stage}; allowed are 0, and 1 or 2 with N1.")


def spin_echo_signal(tissue: Tissue, protocol: Protocol, *, uptake_scale: float = 1.0) -> float:
    r"""Return the signal of a tissue in a spin-echo sequence, relative to fully relaxed water.

    Parameters
    ----------
    tissue : Tissue
        Proton density, T1, T2 and contrast uptake.
    protocol : Protocol
        Field strength, TR, TE, whether contrast was given, fat suppression.
    uptake_scale : float
        The patient's own factor on the contrast uptake.

    Returns
    -------
    float
        Signal, 0 to 1.

    Notes
    -----
    :math:`S = \rho\,(1 - e^{-TR/T_1})\,e^{-TE/T_2}` with :math:`1/T_i = 1/T_{i0} + r_i C`, C the gadolinium
    concentration and the relaxivities :math:`r_i` those of `RELAXIVITY`.
    """
    high = protocol.field_t > 2
    uptake = tissue.uptake_mmol_l * uptake_scale if protocol.contrast else 0.0
    relax_1, relax_2 = RELAXIVITY[3.0 if high else 1.5]
    rate_1 = 1 / tissue.t1_ms[high] + relax_1 * uptake / 1000
    rate_2 = 1 / tissue.t2_ms[high] + relax_2 * uptake / 1000
    signal = tissue.proton_density * (1 - np.exp(-protocol.tr_ms * rate_1)) * np.exp(-protocol.te_ms * rate_2)
    if tissue.name in ("fat", "marrow"):
        signal *= 1 - protocol.fat_suppression
    return float(signal)


# (r1, r2) of an extracellular gadolinium chelate in l / (mmol s), by field strength.
RELAXIVITY = {1.5: (4.2, 5.0), 3.0: (3.8, 5.2)}


def _signal(anatomy, protocol, texture, enhancement, shift, rng) -> np.ndarray:
    """Return the noise-free image that a protocol gives of an anatomy, relative to fully relaxed water."""
    signals, spread = [], []
    for name, tissue in TISSUES.items():
        scale = enhancement if name in ("tumour", "node", "infiltrated tissue", "mucosa") else 1.0
        signal = spin_echo_signal(tissue, protocol, uptake_scale=scale)
        signals.append(signal)
        spread.append(signal * tissue.texture)
    flat = anatomy.fractions.reshape(len(TISSUES), -1)
    weights = np.array([signals, spread], np.float32)
    smooth, grain = (weights @ flat).reshape(2, *anatomy.tumour_mm.shape)
    signal = _resample(smooth + grain * texture, anatomy.spacing, protocol, shift)
    return signal * _coil_profile(signal.shape, protocol, rng)


def _magnitude(signal: np.ndarray, protocol: Protocol, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Return the image as stored: noise in both receiver channels, their magnitude, and the gain."""
    sigma = spin_echo_signal(TISSUES["muscle"], protocol) / protocol.snr
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return (gain * np.hypot(real, imaginary)).astype(np.float32)


def _resample(array: np.ndarray, spacing, protocol: Protocol | None, shift) -> np.ndarray:
    """Return an array displaced by `shift` mm (z, y, x) and blurred to the protocol's resolution."""
    widths = spacing
    if protocol is not None:
        slice_mm, plane_mm = protocol.resolution_mm
        widths = tuple(np.maximum(spacing, (slice_mm, plane_mm, plane_mm)))
    lines = zip(array.shape, spacing, widths, shift, strict=True)
    return _along_axes([_line_operator(*line) for line in lines], array)


def _line_operator(n: int, step: float, width: float, shift: float) -> np.ndarray:
    """Return the matrix that displaces a line of voxels and blurs it with a triangle of the given width."""
    position = np.arange(n) * step
    source = np.clip(position - shift, 0, position[-1])
    weight = np.clip(1 - np.abs(source[:, None] - position[None, :]) / width, 0, None)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def _coil_profile(shape, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth receive profile with a median of 1."""
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    a = rng.normal(0, 1, 6).astype(np.float32)
    surface = (a[0] * z + 0.5 * a[1] * z * z)[:, None, None]
    # A head-and-neck array is most sensitive at the back and the sides.
    surface = surface + ((0.6 + 0.6 * a[2]) * y + 0.5 * a[3] * y * y)[:, None]
    surface = surface + (0.6 * a[4] * x + (0.8 + 0.4 * a[5]) * x * x)
    return np.exp(protocol.coil * (surface - np.median(surface)))


def _contour(anatomy: Anatomy, shift, errors) -> np.ndarray:
    """Return the mask that a reader draws: the true edges, displaced with the sequence, and not quite met."""
    mask = np.zeros(anatomy.tumour_mm.shape, np.uint8)
    for label, distance in ((2, anatomy.node_mm), (1, anatomy.tumour_mm)):
        moved = _resample(np.clip(distance, -60, 60), anatomy.spacing, None, shift)
        mask[moved + EFFECTS.contour_error_mm * errors < 0] = label
    return mask


def render_patient(
    traits: Traits,
    grid: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    protocols: Mapping[str, Mapping[str, Protocol]] = PROTOCOLS,
) -> dict[str, Volume]:
    """Return a patient's three sequences with contours, as the patient's centre would acquire them.

    Parameters
    ----------
    traits : Traits
        Centre, stage and latent variables.
    grid : tuple of int
        Voxels (Z, Y, X); the field of view stays, so that more voxels are smaller ones.
    rng : numpy.random.Generator
        Source of all variation; the same state gives the same volumes.
    protocols : mapping
        Protocols by centre and sequence (``t1w``, ``t2w``, ``cet1w``).

    Returns
    -------
    dict of str to Volume
        Image (float32, arbitrary units of the scanner), mask and spacing per sequence.

    Raises
    ------
    ValueError
        If the centre has no protocol, or stage and rENE do not go together.
    """
    if traits.center not in protocols:
        raise ValueError(f"center is {traits.center!r}; protocols exist for {', '.join(protocols)}.")
    sequences = protocols[traits.center]
    anatomy = build_anatomy(traits, grid, rng, extent_scale=sequences["t1w"].extent_scale)
    axes = _axes(grid, anatomy.spacing)
    texture = (_smooth_field(axes, 4.0, rng) + _smooth_field(axes, 11.0, rng)) / np.sqrt(2)
    habit = _smooth_field(axes, 25.0, rng)
    enhancement = np.exp(rng.normal(0, 0.18))
    scans = []
    for protocol in sequences.values():
        shift = rng.normal(0, EFFECTS.motion_mm, 3)
        mask = _contour(anatomy, shift, 0.6 * habit + 0.8 * _smooth_field(axes, 15.0, rng))
        signal = _signal(anatomy, protocol, texture, enhancement, shift, rng)
        scans.append((signal, protocol, protocol.gain * np.exp(rng.normal(0, 0.12)), mask))
    # Noise comes last, because only it depends on the number of voxels: the patient is the same on any grid.
    return {
        name: Volume(_magnitude(*scan, rng), mask, anatomy.spacing)
        for name, (*scan, mask) in zip(sequences, scans, strict=True)
    }
