"""Images are looked at before they are read, and no few voxels decide for a patient."""

import gzip
import os
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from npcbook.imaging import (
    check_head,
    nifti,
    normalise,
    preprocess,
    read_geometry,
    read_mask,
    read_volume,
    without_extremes,
)
from npcbook.imaging.bias import head_mask
from npcbook.imaging.preprocessing import ORDERS, preprocess_files
from npcbook.imaging.volumes import Volume, store_volume
from npcbook.store import LIMITS

SHAPE = (8, 40, 40)


@pytest.fixture
def head():
    """A head of arbitrary units with noise, brighter on one side, in air."""
    rng, (_, y, x) = np.random.default_rng(4), np.indices(SHAPE)
    inside = np.hypot(y - 19.5, x - 19.5) < 15
    tissue = 300 + 60 * np.sin(x / 3) * np.cos(y / 4) + 4 * x
    image = np.hypot(np.where(inside, tissue, 0) + rng.normal(0, 12, SHAPE), rng.normal(0, 12, SHAPE))
    return Volume(image.astype(np.float32), None, (5.0, 4.0, 4.0))


def written(path, array, kind=np.int16):
    """Write an array as NIfTI and return the path."""
    picture = sitk.GetImageFromArray(np.asarray(array).astype(kind))
    picture.SetSpacing((4.0, 4.0, 5.0))
    sitk.WriteImage(picture, str(path))
    return path


def changed(path, at, kind, *values):
    """Change a field of a NIfTI file's header."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into(f"<{kind}", content, at, *values)
    path.write_bytes(gzip.compress(bytes(content)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("value", [1e6, 65535, 32767, -32768, -1e6, 3e38])
@pytest.mark.parametrize("place", [(0, 0, 0), (4, 20, 20)], ids=["in the air", "in the head"])
def test_one_voxel_does_not_decide(head, order, value, place):
    image = head.image.copy()
    image[place] = value
    found, sound = preprocess(replace(head, image=image), order=order), preprocess(head, order=order)
    assert found.extremes == 1
    others = np.ones(SHAPE, bool)
    others[place] = False
    assert np.abs(found.image - sound.image)[others].max() < 0.15
    assert np.isfinite(found.image.astype(np.float16)).all()
    margin = 0.1 * np.ptp(sound.image)
    assert sound.image.min() - margin < found.image[place] < sound.image.max() + margin


@pytest.mark.parametrize("padding", [-32768, -2000, 65535, 32767])
def test_padding_counts_as_air(head, padding):
    padded, around = head.image.copy(), np.zeros(SHAPE, bool)
    around[:, :4] = around[:, :, -5:] = True
    padded[around] = padding
    found = preprocess(replace(head, image=padded))
    share, levels = check_head(found)
    sound_share, sound_levels = check_head(preprocess(head))
    assert share == pytest.approx(sound_share, abs=0.03)
    assert levels == pytest.approx(sound_levels, abs=6)
    assert not head_mask(found.image)[around].any()


def test_an_ordinary_image_is_left_as_it_is(head):
    assert without_extremes(head) is head
    assert without_extremes(without_extremes(replace(head, image=head.image - 100))).extremes == 0


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda image: np.where(np.indices(SHAPE)[2] == 3, 40 * image.max(), image), "no head"),
        (lambda image: (image > 200).astype(float), "no head"),
        (lambda image: np.full(SHAPE, 7.0), "no head"),
        (lambda image: np.where(np.arange(40) < 3, 100.0, 0.0) * np.ones(SHAPE), "no head"),
    ],
    ids=["a line outshines all", "contours for an image", "nothing", "a bar"],
)
def test_what_is_no_head_is_refused(head, make, word):
    volume = replace(head, image=make(head.image).astype(np.float32))
    with pytest.raises(ValueError, match=word):
        preprocess(volume)


def test_what_cannot_be_stored_is_refused(head, tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        store_volume(tmp_path / "image.npz", replace(head, image=head.image * 1000))
    with pytest.raises(ValueError, match="no finite result"):
        check_head(replace(head, image=np.full(SHAPE, np.nan, np.float32)))


def test_the_report_says_how_many_voxels_were_set_aside_and_what_the_head_is(head, tmp_path):
    image = head.image.copy()
    image[0, 0, :3] = 30000
    source = written(tmp_path / "a.nii.gz", image)
    small = written(tmp_path / "b.nii.gz", np.zeros(SHAPE))
    report = preprocess_files([(source, tmp_path / "a.npz"), (small, tmp_path / "b.npz")], workers=1)
    assert report["extremes"].tolist() == [3, 0]
    assert 0.2 < report["share"][0] < 0.6
    assert report["levels"][0] > 16
    assert "no head" in report["problem"][1]
    assert not (tmp_path / "b.npz").exists()


HEADERS = {
    "a size of 0": (80, "f", 0.0),
    "a size that is no number": (84, "f", np.nan),
    "a size of 1e30": (88, "f", 1e30),
    "another size than the transform": (80, "f", 2.0),
    "no orientation": (252, "2h", 0, 0),
    "a quaternion of no rotation": (256, "f", 5.0),
    "a transform that is skewed": (284, "f", 2.0),
    "two orientations": (256, "f", 0.6),
    "metres": (123, "B", 1),
    "more voxels": (42, "h", 41),
    "fewer voxels": (42, "h", 39),
    "another type": (70, "h", 512 + 256),
    "another width": (72, "h", 32),
    "complex numbers": (70, "2h", 32, 64),
    "voxels that begin elsewhere": (108, "f", 368.0),
    "voxels that begin nowhere": (108, "f", np.nan),
    "a scale that turns the picture over": (112, "f", -1.0),
    "another magic word": (344, "4s", b"ni1\0"),
    "a claim of terabytes": (42, "3h", 32767, 32767, 32767),
    "a single slice": (46, "h", 1),
    "four dimensions": (40, "5h", 4, 40, 40, 4, 2),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_cannot_be_right_is_refused_in_one_line_by_every_reader(tmp_path, head, name):
    path = written(tmp_path / "image.nii.gz", head.image)
    changed(path, *HEADERS[name])
    for read in (read_volume, read_geometry, read_mask):
        with pytest.raises(ValueError, match="image") as refused:
            read(path)
        assert len(str(refused.value)) < 400
        assert len(str(refused.value).splitlines()) == 1


def test_voxels_as_stored_are_looked_at(tmp_path, head):
    rng = np.random.default_rng(0)
    for value in (np.nan, np.inf):
        image = head.image.copy()
        image[rng.random(SHAPE) < 0.5] = value
        with pytest.raises(ValueError, match="not finite"):
            read_volume(written(tmp_path / "image.nii.gz", image, np.float32))
    for kind, code in ((np.float32, 8), (np.int32, 16), (np.uint16, 4), (np.int16, 512), (np.uint8, 256)):
        image = head.image - (head.image.mean() if kind is np.int16 else 0)
        image = image * (60000 / image.max() if kind is np.uint16 else 0.4 if kind is np.uint8 else 1)
        path = written(tmp_path / f"{code}.nii.gz", image, kind)
        read_volume(path)
        changed(path, 70, "h", code)
        with pytest.raises(ValueError, match="none of an image"):
            read_volume(path)


def test_a_file_that_is_short_or_long_is_refused(tmp_path, head):
    path = written(tmp_path / "image.nii.gz", head.image)
    packed, content = path.read_bytes(), gzip.decompress(path.read_bytes())
    for damaged in (
        packed[:-5],
        gzip.compress(content[:-2]),
        gzip.compress(content + b"\0"),
        content[:-2],
        b"",
        packed[:40],
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="copy it again"):
            read_volume(path)
    path.write_bytes(content)
    assert read_volume(path).image.shape == SHAPE


class Counted(gzip.GzipFile):
    """A packed file that notes how much of it was asked for."""

    asked = 0

    def read(self, size=-1):
        found = super().read(size)
        Counted.asked += len(found)
        return found


@pytest.mark.parametrize("claimed", [None, (32767, 32767, 32767)], ids=["a long tail", "a large claim"])
def test_no_more_is_unpacked_than_the_header_asks_for_and_may(tmp_path, head, monkeypatch, claimed):
    path = written(tmp_path / "image.nii.gz", head.image)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(1 << 20)))
    if claimed:
        changed(path, 42, "3h", *claimed)
    monkeypatch.setattr(nifti.gzip, "open", Counted)
    monkeypatch.setattr(Counted, "asked", 0)
    with pytest.raises(ValueError, match="at most" if claimed else "holds more: copy it again"):
        read_volume(path)
    assert Counted.asked == 352 + (0 if claimed else 2 * head.image.size + 1)


def test_an_image_that_may_not_be_read_is_one_sentence(tmp_path, head, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    path = written(tmp_path / "image.nii.gz", head.image)
    monkeypatch.setattr(nifti, "open", refuse, raising=False)
    with pytest.raises(ValueError, match=r"image\.nii\.gz cannot be read \(Permission denied\)"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_file_of_another_format_proves_its_voxels_and_tells_sides(tmp_path, head, suffix):
    path = written(tmp_path / f"plain{suffix}", head.image)
    packed = tmp_path / f"packed{suffix}"
    sitk.WriteImage(sitk.ReadImage(path), packed, useCompression=True)
    assert (read_volume(packed).image == read_volume(path).image).all()
    plain, content = path.read_bytes(), packed.read_bytes()
    middle = len(content) - len(content) // 3
    turned = plain.replace(b"left-posterior-superior", b"scanner-xyz").replace(b"TransformMatrix", b"Remark")
    for damaged, word in (
        (plain[:-2], "should hold 25,600 bytes"),
        (plain[: len(plain) // 2], "should hold 25,600 bytes"),
        (content[:-10], "should hold 25,600 bytes"),
        (
            content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :],
            "should hold 25,600 bytes",
        ),
        (turned, "left from right"),
        (plain[:150], "cannot be read as an image"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=word) as refused:
            read_volume(path)
        assert len(str(refused.value).splitlines()) == 1


def test_voxels_in_a_file_of_their_own_are_read_and_looked_at_too(tmp_path, head):
    path = written(tmp_path / "image.mhd", head.image)
    assert read_volume(path).image.shape == SHAPE
    for name in ("/dev/zero", "absent.raw", "LIST"):
        path.write_text(re.sub("(?<=DataFile = ).*", name, path.read_text()))
        with pytest.raises(ValueError, match=r"should hold 25,600 bytes|cannot be read"):
            read_volume(path)


@pytest.mark.parametrize("name", ["image.tif", "image", "image.nii.gz.bak", "image.hdr", "image.gipl"])
def test_a_format_that_tells_no_place_in_the_patient_is_refused(tmp_path, head, name):
    path = written(tmp_path / ("x.tif" if name == "image.tif" else "x.nii"), head.image, np.uint16)
    with pytest.raises(ValueError, match=r"is none of \.nii\.gz"):
        read_volume(path.rename(tmp_path / name))


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "device.nii.gz").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "device"):
        with pytest.raises(ValueError, match="no file but a folder, pipe or device"):
            read_volume(tmp_path / f"{name}.nii.gz")
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(ValueError, match="cannot be read as an image") as refused:
        read_volume(tmp_path / "text.nrrd")
    assert "/ITK/" not in str(refused.value)


def test_the_limit_of_voxels_can_be_raised(tmp_path, head, monkeypatch):
    monkeypatch.setitem(LIMITS, "voxels", 1000)
    path = written(tmp_path / "image.nrrd", head.image)
    with pytest.raises(ValueError, match=r"12,800 voxels, and at most 1,000 .* NPCBOOK_LIMITS=13"):
        read_volume(path)
    monkeypatch.setenv("NPCBOOK_LIMITS", "13")
    assert read_volume(path).image.shape == SHAPE
    monkeypatch.setenv("NPCBOOK_LIMITS", "many")
    with pytest.raises(ValueError, match="whole number"):
        read_volume(path)


def test_the_middle_of_the_head_decides_its_scale(head):
    inside = head_mask(head.image)
    scaled = normalise(head).image[inside]
    assert scaled.mean() == pytest.approx(0, abs=1e-5)
    assert scaled.std() == pytest.approx(1, abs=1e-5)
