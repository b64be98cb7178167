"""Reading volumes, bias correction, normalisation and grids."""

from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings, strategies as st

from npcbook.imaging.grids import fit_grid, restore_grid, stack_on_grid
from npcbook.imaging.preprocessing import (
    ORDERS,
    bias_field,
    check_head,
    head_mask,
    intensity_landmarks,
    match_landmarks,
    normalise,
    preprocess,
    preprocess_files,
)
from npcbook.imaging.volumes import (
    Volume,
    load_volume,
    orient,
    read_geometry,
    read_volume,
    rounded,
    store_volume,
    write_mask,
)
from npcbook.store import package_versions

MRI = Path(__file__).parents[1] / "reference" / "mri"


@pytest.fixture(scope="module")
def breast() -> Volume:
    return read_volume(MRI / "breast1_image.nrrd", MRI / "breast1_label.nrrd")


def head(shape=(16, 64, 64), seed=0) -> np.ndarray:
    """Return an ellipsoid of two tissues on dark, noisy air."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (0.3 * z**2 + y**2 + x**2) < 0.7
    tissue = np.where(np.sin(6 * x) * np.cos(5 * y) > 0, 300.0, 380.0)
    return (inside * tissue + rng.normal(15, 4, shape)).astype(np.float32)


def coil(shape) -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return 0.30 * y + 0.20 * x**2 - 0.15 * z


def test_axes_are_z_y_x_and_spacing_goes_with_them(breast):
    stored = sitk.ReadImage(str(MRI / "breast1_image.nrrd"))
    assert breast.image.shape == stored.GetSize()[::-1] == breast.mask.shape
    assert breast.spacing == pytest.approx(stored.GetSpacing()[::-1])
    assert breast.image[3, 40, 20] == stored[20, 40, 3]
    assert breast.image.dtype == np.float32
    assert breast.mask.dtype == np.uint8


def test_a_mask_on_other_voxels_is_refused(tmp_path, breast):
    mask = sitk.ReadImage(str(MRI / "breast1_label.nrrd"))
    mask.SetSpacing((1.0, 1.0, 2.1))
    sitk.WriteImage(mask, tmp_path / "mask.nii.gz")
    with pytest.raises(ValueError, match="spacing"):
        read_volume(MRI / "breast1_image.nrrd", tmp_path / "mask.nii.gz")


def test_unknown_labels_are_refused(tmp_path):
    mask = sitk.ReadImage(str(MRI / "breast1_label.nrrd")) * 7
    sitk.WriteImage(mask, tmp_path / "mask.nii.gz")
    with pytest.raises(ValueError, match=r"labels \[0, 7\]"):
        read_volume(MRI / "breast1_image.nrrd", tmp_path / "mask.nii.gz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_volume(tmp_path / "absent.nii.gz")


def test_a_flat_picture_is_refused(tmp_path):
    sitk.WriteImage(sitk.Image(8, 8, sitk.sitkInt16), tmp_path / "flat.nii.gz")
    with pytest.raises(ValueError, match="2 dimensions"):
        read_volume(tmp_path / "flat.nii.gz")
    with pytest.raises(ValueError, match="shows no head"):
        head_mask(np.zeros((4, 8, 8), np.float32))


def test_voxels_that_are_not_finite_are_refused(tmp_path):
    picture = sitk.GetImageFromArray(np.full((4, 8, 8), np.nan, np.float32))
    sitk.WriteImage(picture, tmp_path / "nan.nrrd")
    with pytest.raises(ValueError, match="not finite"):
        read_volume(tmp_path / "nan.nrrd")


def test_a_written_mask_lies_on_its_image(tmp_path, breast):
    write_mask(tmp_path / "mask.nii.gz", breast)
    back = read_volume(MRI / "breast1_image.nrrd", tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(back.mask, breast.mask)
    with pytest.raises(ValueError, match="labels"):
        write_mask(tmp_path / "m.nii.gz", replace(breast, mask=7 * breast.mask))


def test_a_volume_keeps_its_place_when_it_is_stored_turned_and_put_on_a_grid(tmp_path, breast):
    place = ("spacing", "origin", "direction")
    store_volume(tmp_path / "image.npz", breast)
    stored = load_volume(tmp_path / "image.npz")
    assert [getattr(stored, name) for name in place] == [getattr(breast, name) for name in place]
    np.testing.assert_array_equal(stored.image, rounded(breast).image)
    turned = orient(breast, "SAR")
    assert turned.orientation == "SAR"
    back = orient(turned, breast.orientation)
    np.testing.assert_array_equal(back.image, breast.image)
    np.testing.assert_array_equal(back.mask, breast.mask)
    np.testing.assert_allclose(back.origin, breast.origin)
    # A voxel of the grid lies where SimpleITK would put the same point of the image.
    grid = fit_grid(breast, (8, 20, 10), field_mm=(20.0, 30.0, 15.0))
    picture = sitk.Cast(sitk.ReadImage(str(MRI / "breast1_image.nrrd")), sitk.sitkFloat32)
    value = picture.EvaluateAtPhysicalPoint(grid.origin, sitk.sitkLinear)
    assert grid.image[0, 0, 0] == pytest.approx(value, rel=1e-4)


def test_contours_that_lie_elsewhere_than_a_stored_image_are_refused(tmp_path, breast):
    store_volume(tmp_path / "image.npz", breast)
    x, y, z = breast.origin
    write_mask(tmp_path / "mask.nii.gz", replace(breast, origin=(x + 5.0, y, z)))
    with pytest.raises(ValueError, match="has origin"):
        read_volume(tmp_path / "image.npz", tmp_path / "mask.nii.gz")


def test_a_planted_bias_field_is_recovered():
    image, field = head(), coil((16, 64, 64))
    inside = image > 150
    found = bias_field(image * np.exp(field).astype(np.float32))
    without = bias_field(image)
    difference = (found - without)[inside]
    assert np.corrcoef(difference, field[inside])[0, 1] > 0.95
    assert np.std(field[inside] - found[inside]) < 0.5 * np.std(field[inside])


def test_a_field_planted_on_a_real_image_is_recovered():
    brain = read_volume(MRI / "brain1_image.nrrd")
    field = coil(brain.image.shape).astype(np.float32)
    shaded = bias_field(brain.image * np.exp(field))
    recovered = shaded - bias_field(brain.image)
    inside = head_mask(brain.image)
    assert np.corrcoef(recovered[inside], field[inside])[0, 1] > 0.9


def test_normalised_head_has_mean_zero_and_deviation_one():
    volume = normalise(Volume(head(), None, (5.0, 3.0, 3.0)))
    inside = head_mask(head())
    assert volume.image[inside].mean() == pytest.approx(0, abs=1e-4)
    assert volume.image[inside].std() == pytest.approx(1, abs=1e-4)


@settings(deadline=None, max_examples=10)
@given(gain=st.floats(0.1, 20), order=st.sampled_from(ORDERS))
def test_preprocessing_forgets_the_scanner_s_gain(gain, order):
    image = head((8, 32, 32))
    one = preprocess(Volume(image, None, (10.0, 6.0, 6.0)), order=order)
    other = preprocess(Volume(image * np.float32(gain), None, (10.0, 6.0, 6.0)), order=order)
    # N4's histogram begins at the darkest voxels, so that a gain changes the field in the third digit.
    np.testing.assert_allclose(other.image, one.image, atol=0.02)


def test_the_order_of_the_steps_matters_and_is_checked():
    volume = Volume(head() * np.exp(coil((16, 64, 64))).astype(np.float32), None, (5.0, 3.0, 3.0))
    sensible = preprocess(volume)
    published = preprocess(volume, order="normalise-n4")
    assert np.isfinite(published.image).all()
    assert np.abs(sensible.image - published.image).max() > 0.05
    with pytest.raises(ValueError, match="n4-normalise, normalise-n4"):
        preprocess(volume, order="n4")


def test_a_grid_that_is_the_volume_s_own_changes_nothing(breast):
    same = fit_grid(breast, breast.image.shape)
    np.testing.assert_allclose(same.image, breast.image, rtol=1e-6)
    np.testing.assert_array_equal(same.mask, breast.mask)
    assert same.spacing == pytest.approx(breast.spacing)


def test_a_centred_field_is_a_crop():
    image = np.arange(16 * 64 * 64, dtype=np.float32).reshape(16, 64, 64)
    volume = Volume(image, (image > 1000).astype(np.uint8), (5.0, 3.0, 3.0))
    cropped = fit_grid(volume, (16, 48, 48), field_mm=(80.0, 144.0, 144.0))
    np.testing.assert_allclose(cropped.image, image[:, 8:56, 8:56], rtol=1e-6)
    np.testing.assert_array_equal(cropped.mask, volume.mask[:, 8:56, 8:56])


def test_a_mask_comes_back_to_its_place(breast):
    field = (40.0, 60.0, 30.0)
    grid = fit_grid(breast, (20, 96, 48), field_mm=field)
    back = restore_grid(255 * (grid.mask[None] == 1).astype(np.uint8), breast, field_mm=field).mask
    overlap = 2 * (back & breast.mask).sum() / (back.sum() + breast.mask.sum())
    assert overlap > 0.9


def test_files_are_preprocessed_once_and_failures_reported(tmp_path):
    picture = sitk.GetImageFromArray(head((8, 32, 32)))
    picture.SetSpacing((6.0, 6.0, 10.0))
    sitk.WriteImage(picture, tmp_path / "good.nii.gz")
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    files = [(tmp_path / f"{name}.nii.gz", tmp_path / "out" / f"{name}.npz") for name in ("good", "bad")]
    report = preprocess_files(files, workers=1)
    assert report["problem"].iloc[0] == ""
    assert report["problem"].iloc[1] != ""
    stored = load_volume(files[0][1])
    expected = preprocess(read_volume(files[0][0]))
    np.testing.assert_allclose(stored.image, expected.image, atol=4e-3)
    assert stored.spacing == pytest.approx((10.0, 6.0, 6.0))
    made = files[0][1].stat().st_mtime_ns
    preprocess_files(files[:1], workers=1)
    assert files[0][1].stat().st_mtime_ns == made
    files[0][1].write_bytes(files[0][1].read_bytes()[:-200])
    preprocess_files(files[:1], workers=1)
    np.testing.assert_array_equal(load_volume(files[0][1]).image, stored.image)
    made = files[0][1].stat().st_mtime_ns
    preprocess_files(files[:1], workers=1, order="normalise-n4")
    assert files[0][1].stat().st_mtime_ns > made


def test_an_image_that_is_a_head_only_before_it_is_rounded_is_reported_and_others_go_on(
    tmp_path, monkeypatch
):
    files, seen = [write_head(tmp_path), (tmp_path / "head.nii.gz", tmp_path / "b.npz")], []

    def edge(volume):
        seen.append(volume)
        if len(seen) == 2:  # the first file once more, as it was stored
            raise ValueError("that is no head")
        return check_head(volume)

    monkeypatch.setattr("npcbook.imaging.preprocessing.check_head", edge)
    report = preprocess_files(files, workers=1)
    assert report["problem"].tolist() == ["ValueError: that is no head", ""]
    assert [target.exists() for _, target in files] == [False, True]
    assert report["share"].isna().tolist() == [True, False]


def write_head(folder):
    """Write a head; return it with the place of its preprocessed image."""
    picture = sitk.GetImageFromArray(head((8, 32, 32)))
    picture.SetSpacing((6.0, 6.0, 10.0))
    sitk.WriteImage(picture, folder / "head.nii.gz")
    return folder / "head.nii.gz", folder / "head.npz"


def test_a_mistyped_order_is_refused_at_once_and_nothing_is_removed(tmp_path):
    files = [write_head(tmp_path)]
    preprocess_files(files, workers=1)
    made = files[0][1].stat().st_mtime_ns
    with pytest.raises(ValueError, match="'n4_normalise'; it must be one of n4-normalise, normalise-n4"):
        preprocess_files(files, order="n4_normalise", workers=1)
    assert files[0][1].stat().st_mtime_ns == made


@pytest.mark.parametrize("package", ["SimpleITK", "numpy", "scipy"])
def test_another_version_of_a_library_preprocesses_again(tmp_path, monkeypatch, package):
    files, installed = [write_head(tmp_path)], metadata.version
    preprocess_files(files, workers=1)
    made = files[0][1].stat().st_mtime_ns
    changed = lambda name: "0" if name == package else installed(name)  # noqa: E731
    monkeypatch.setattr("npcbook.store.version", changed)
    package_versions.cache_clear()
    preprocess_files(files, workers=1)
    package_versions.cache_clear()
    assert files[0][1].stat().st_mtime_ns > made


@pytest.fixture
def preprocessed(tmp_path):
    """A preprocessed image, the image as scanned, and contours to break."""
    source, target = write_head(tmp_path)
    preprocess_files([(source, target)], workers=1)
    mask = np.zeros((8, 32, 32), np.uint8)
    mask[3:5, 10:20, 10:20] = 1
    write_mask(tmp_path / "mask.nii.gz", replace(read_volume(source), mask=mask))
    return target, tmp_path / "mask.nii.gz"


def test_contours_come_onto_the_grid_of_their_image(preprocessed):
    pixels, labels = stack_on_grid([preprocessed, (preprocessed[0], None)], (8, 32, 32), plane_mm=None)
    assert pixels.shape == labels.shape == (2, 8, 32, 32)
    assert labels.sum(axis=(1, 2, 3)).tolist() == [200, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda mask: mask[:, :, :-1], r"mask.nii.gz has size \(7, 32, 32\).*head.npz has \(8, 32, 32\)"),
        (
            lambda mask: sitk.Resample(mask, mask.GetSize(), outputSpacing=(5, 6, 10)),
            r"spacing \(10.0, 6.0, 5",
        ),
        (lambda mask: mask * 3, r"mask.nii.gz has labels \[0, 3\]"),
    ],
)
def test_contours_that_do_not_fit_their_image_are_refused(preprocessed, change, words):
    sitk.WriteImage(change(sitk.ReadImage(preprocessed[1])), preprocessed[1])
    with pytest.raises(ValueError, match=words):
        stack_on_grid([preprocessed], (8, 16, 16), plane_mm=None)


def test_the_geometry_of_a_header_follows_the_axes(tmp_path):
    path, _ = write_head(tmp_path)
    assert read_geometry(path) == ("LPS", pytest.approx((80.0, 192.0, 192.0)), (10.0, 6.0, 6.0))
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(path), "SAR"), path)
    assert read_geometry(path) == ("SAR", pytest.approx((192.0, 192.0, 80.0)), (6.0, 6.0, 10.0))


def test_landmarks_of_a_standard_are_met_whatever_the_scanner_s_scale():
    volume = Volume(head(), None, (5.0, 3.0, 3.0))
    standard = intensity_landmarks(volume)
    assert (np.diff(standard) > 0).all()
    np.testing.assert_allclose(match_landmarks(volume, standard).image, volume.image, rtol=1e-4)
    other = Volume(0.3 * volume.image.clip(1) ** 1.2 + 7, None, volume.spacing)
    matched = match_landmarks(other, standard)
    np.testing.assert_allclose(intensity_landmarks(matched), standard, rtol=0.01)
    assert np.corrcoef(matched.image.ravel(), volume.image.ravel())[0, 1] > 0.999
