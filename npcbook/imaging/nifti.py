"""A NIfTI file looked at before it is read.

SimpleITK fills what a cut-off file lacks with zeros, takes a size of 0 or NaN for 1 mm, zeroes voxels that
are not numbers and ignores a transform that it does not like, all without an error. Here each is one.
"""

import gzip
import os
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from npcbook.store import check_limit

_FIELDS = {
    "sizeof_hdr": ("i4", 0),
    "dim": ("8i2", 40),
    "datatype": ("i2", 70),
    "bitpix": ("i2", 72),
    "pixdim": ("8f4", 76),
    "vox_offset": ("f4", 108),
    "slope": ("f4", 112),
    "intercept": ("f4", 116),
    "qform_code": ("i2", 252),
    "sform_code": ("i2", 254),
    "quaternion": ("3f4", 256),
    "offset": ("3f4", 268),
    "sform": ("(3,4)f4", 280),
    "magic": ("S4", 344),
}
#: The numbers that NIfTI-1 knows and an image or contours can hold.
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"}
_TYPES |= {256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_HEADER_BYTES, _FIRST_VOXEL = 348, 352
TOLERANCE = 0.01  # of a size, or of a direction cosine
SIZES_MM = (0.01, 100.0)
FARTHEST_MM = 1e5
EXACT = 2**24  # integers beyond are not exact in single precision; no scanner writes them


def check_nifti(path: str | os.PathLike) -> None:
    """Hold a NIfTI file's header against itself and against what follows it.

    Parameters
    ----------
    path : str or path
        NIfTI-1 file, compressed or not.

    Raises
    ------
    ValueError
        If the file is cut off, longer than its header says, larger than the limit of voxels, not three-
        dimensional, of an unusual type; if sizes, qform and sform disagree or leave open how the image lies
        in the patient; or if stored values are not finite, or of another type than the header says.
    """
    state = Path(path).stat()
    _check(os.fspath(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)  # an image and its contours are often read twice in a row
def _check(path: str, *_state: int) -> None:
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            header = _read_header(path, file.read(_FIRST_VOXEL))
            kind = np.dtype(_TYPES[int(header["datatype"])]).newbyteorder(header.dtype["dim"].base.byteorder)
            wanted = int(np.prod(header["dim"][1:4], dtype=np.int64)) * kind.itemsize
            skipped = int(header["vox_offset"]) - _FIRST_VOXEL
            # No more than the header asks for: a small file can unpack to a thousand times its size.
            stored = file.read(skipped + wanted)
            longer = bool(file.read(1))
    except (OSError, EOFError, zlib.error) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" 0x")[0]
        raise ValueError(f"{path} cannot be read ({reason}): copy it again.") from error
    if longer or len(stored) < skipped + wanted:
        there = "more" if longer else f"{max(0, len(stored) - skipped):,}"
        raise ValueError(f"{path} should hold {wanted:,} bytes of voxels and holds {there}: copy it again.")
    if said := _implausible(np.frombuffer(stored, kind, offset=skipped)):
        raise ValueError(f"{path} {said}")


def _read_header(path: str, raw: bytes) -> np.void:
    for order in "<>":
        names, (formats, offsets) = list(_FIELDS), zip(*_FIELDS.values(), strict=True)
        formats = [text.replace("i", f"{order}i").replace("f", f"{order}f") for text in formats]
        layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": _HEADER_BYTES}
        if len(raw) < _FIRST_VOXEL:
            raise ValueError(f"{path} ends within its header: copy it again.")
        header = np.frombuffer(raw[:_HEADER_BYTES], np.dtype(layout))[0]
        if header["sizeof_hdr"] == _HEADER_BYTES and header["magic"] == b"n+1":
            break
    else:
        raise ValueError(f"{path} is no NIfTI-1 file in one piece: convert it, with dcm2niix for instance.")
    problems = [*_content_problems(header, path)] or [*_geometry_problems(header)]
    if problems:
        raise ValueError(f"{path} has a header that cannot be right: {problems[0]}; convert the image again.")
    return header


def _content_problems(header: np.void, path: str):
    """Yield what is wrong with shape, type and scale."""
    dims, code = header["dim"], int(header["datatype"])
    if not (3 <= dims[0] <= 7 and (dims[4 : dims[0] + 1] == 1).all() and (dims[1:4] > 1).all()):
        yield f"it has {dims[0]} dimensions, {dims[1:].tolist()}, and three above 1 are needed"
        return
    check_limit("voxels", int(np.prod(dims[1:4], dtype=np.int64)), path)
    if code not in _TYPES:
        yield f"its type of number is {code}, which is none of a single grey value"
    elif 8 * np.dtype(_TYPES[code]).itemsize != header["bitpix"]:
        yield f"its type of number is {_TYPES[code]}, with {header['bitpix']} bits"
    if not (_FIRST_VOXEL <= header["vox_offset"] < 1 << 20 and header["vox_offset"] % 1 == 0):
        yield f"its voxels begin at byte {header['vox_offset']:g}"
    slope, intercept = header["slope"], header["intercept"]
    # 0 and NaN stand for no scale at all.
    if slope < 0 or np.isinf(slope) or np.isinf(intercept):
        yield f"its values are to be scaled by {slope:g} and {intercept:g}"


def _geometry_problems(header: np.void):
    """Yield where sizes and transforms contradict one another; sizes in the unit of the header."""
    sizes, codes = header["pixdim"][1:4].astype(float), (header["qform_code"], header["sform_code"])
    if not all(0 <= code <= 5 for code in codes) or not any(codes):
        yield f"it does not tell left from right (qform_code and sform_code are {codes[0]} and {codes[1]})"
    if not ((sizes >= SIZES_MM[0]) & (sizes <= SIZES_MM[1])).all():
        yield f"its voxels measure {' × '.join(f'{size:g}' for size in sizes)} mm"
        return
    found = {"qform": _qform(header, sizes), "sform": header["sform"].astype(float)}
    used = {name: found[name] for name, code in zip(found, codes, strict=True) if code}
    for name, transform in used.items():
        lengths = np.linalg.norm(transform[:, :3], axis=0)
        if not np.allclose(lengths, sizes, rtol=TOLERANCE):
            yield f"its {name} has voxels of {lengths.tolist()} mm, and its sizes are {sizes.tolist()}"
            return
        turn = transform[:, :3] / sizes
        if np.abs(turn.T @ turn - np.eye(3)).max() > TOLERANCE:
            yield f"the axes of its {name} are not at right angles"
        if not (np.abs(transform[:, 3]) < FARTHEST_MM).all():
            yield f"its {name} puts the first voxel at {transform[:, 3].tolist()} mm"
    if len(used) == 2 and np.abs((found["qform"] - found["sform"]) / [*sizes, 5]).max() > 2 * TOLERANCE:
        yield "its qform and its sform say different things of how it lies in the patient"


def _qform(header: np.void, sizes: np.ndarray) -> np.ndarray:
    """Return the transform (3, 4) that the quaternion stands for; NaN if it stands for none."""
    b, c, d = header["quaternion"].astype(float)
    rest = 1 - b * b - c * c - d * d
    a = np.sqrt(max(rest, 0)) if rest > -TOLERANCE else np.nan
    turn = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
    handed = header["pixdim"][0]
    flip = -1 if handed == -1 else 1 if handed in (0, 1) else np.nan
    return np.column_stack([np.array(turn) * sizes * [1, 1, flip], header["offset"].astype(float)])


def _implausible(values: np.ndarray) -> str:
    """Return why stored values cannot be those of an image; empty if they can."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "has voxels that are not finite numbers: replace them before use."
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        # Integers that are read as fractions become vanishingly small.
        wrong = 0 < max(abs(low), abs(high)) < 1e-30
    elif values.dtype.itemsize > 2:
        wrong = max(abs(int(low)), int(high)) > EXACT and (values[values != 0] > EXACT).mean() > 0.5
    elif values.dtype.kind == "i":
        edge = np.iinfo(values.dtype).min // (1 if values.dtype.itemsize == 1 else 2)
        wrong = (values.dtype.itemsize == 1 and low < 0) or (low < edge and _many(values[values < edge]))
    else:
        wrong = high >= 0xC000 and _many(values[values >= 0xC000]) and not _any_between(values)
    said = f"holds values from {low} to {high}, which are none of an image stored as {values.dtype.name}"
    return f"{said}: convert it again, or rescale it." if wrong else ""


def _many(values: np.ndarray) -> bool:
    """Return whether there are more different values than padding and a few stray voxels have."""
    return len(np.unique(values)) > 4


def _any_between(values: np.ndarray) -> bool:
    return bool(((values >= 0x8000) & (values < 0xC000)).any())
