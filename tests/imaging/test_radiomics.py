import ast
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from npcbook.imaging import radiomics
from npcbook.imaging.volumes import Volume, read_volume, store_volume
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.lasso import select_features
from npcbook.statistics.resampling import stratified_folds
from npcbook.words import STRUCTURES

MRI = Path(__file__).parents[1] / "reference" / "mri"
CLASSES = ("firstorder", "shape", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
# pyradiomics changed its mesh after these four were published (the plain extractor gives our values).
OLD_MESH = {"MeshVolume", "SurfaceArea", "Sphericity", "SurfaceVolumeRatio"}


@cache
def real_mri(case):
    return sitk.ReadImage(str(MRI / f"{case}_image.nrrd")), sitk.ReadImage(str(MRI / f"{case}_label.nrrd"))


def real_volume(case, scale=1.0):
    image, label = real_mri(case)
    array = sitk.GetArrayFromImage(image).astype(np.float32) * np.float32(scale)
    mask = sitk.GetArrayFromImage(label).astype(np.uint8)
    return Volume(array, mask, tuple(reversed(image.GetSpacing())))


def phantom(seed=0, shape=(8, 32, 32), spacing=(10.0, 6.0, 6.0)):
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[tuple(slice(n) for n in shape)]
    mask = (((z - 4) / 2.5) ** 2 + ((y - 14) / 5) ** 2 + ((x - 16) / 4) ** 2 < 1).astype(np.uint8)
    mask[3:5, 20:23, 8:11] = 2
    return Volume(rng.standard_normal(shape).astype(np.float32), mask, spacing)


def write_cases(folder, n_patients=3):
    rows = []
    for number in range(n_patients):
        for offset, sequence in enumerate(("t1w", "t2w")):
            volume = phantom(seed=10 * number + offset)
            row = {"patient_id": f"p{number}", "sequence": sequence}
            for which in ("image", "mask"):
                picture = sitk.GetImageFromArray(getattr(volume, which))
                picture.SetSpacing(volume.spacing[::-1])
                row[f"{which}_path"] = folder / f"p{number}_{sequence}_{which}.nii.gz"
                sitk.WriteImage(picture, str(row[f"{which}_path"]))
            rows.append(row)
    return pd.DataFrame(rows)


def worst_difference(found, expected):
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-12)))


# The count of 1395


def test_paper_has_465_columns_in_the_printed_blocks():
    table = radiomics.feature_table()
    assert len(table) == 465
    assert 3 * len(table) == 1395
    assert table["block"].value_counts().to_dict() == {"first-order": 216, "texture": 207, "shape": 42}
    assert table["column"].is_unique


def test_28_shape_columns_are_marked_as_copies_of_existing_columns():
    table = radiomics.feature_table()
    copies = table[table["copy_of"] != ""]
    assert len(copies) == 28
    assert set(copies["copy_of"]) <= set(table["column"])
    assert set(copies["image"]) == {"log-sigma-5-0-mm-3D", "wavelet-LLL"}


def test_texture_meets_three_images_and_keeps_69_of_75_names():
    texture = radiomics.feature_table().query("block == 'texture'")
    assert texture.groupby("image").size().to_dict() == dict.fromkeys(radiomics.LAST_IMAGES, 69)
    lost = radiomics.lost_names()
    assert len(lost) == 75 - 69
    assert lost["feature"].value_counts().to_dict() == {
        "GrayLevelNonUniformity": 2,
        "GrayLevelVariance": 2,
        "GrayLevelNonUniformityNormalized": 1,
        "Contrast": 1,
    }
    assert set(lost["kept"]) == {"gldm", "glszm", "ngtdm"}


# Equal to pyradiomics


@pytest.mark.parametrize("feature_class", CLASSES)
def test_published_baselines_on_real_mri(feature_class):
    baseline = pd.read_csv(MRI / f"baseline_{feature_class}.csv", index_col=0, dtype=str)
    rows = [row for row in baseline.index if not row.startswith("diagnostics")]
    names = [row.split("_")[2] for row in rows]
    assert baseline.shape[1] >= 6
    for column in baseline:
        case = baseline.loc["diagnostics_Configuration_TestCase", column]
        options = ast.literal_eval(baseline.loc["diagnostics_Configuration_Settings", column])
        values, _ = radiomics.extract_images(*real_mri(case), {"original": {feature_class: names}}, options)
        for row, name in zip(rows, names, strict=True):
            published = complex(baseline.loc[row, column]).real
            old_mesh = feature_class == "shape" and column == "brain1" and name in OLD_MESH
            found = values["original", feature_class, name]
            assert found == pytest.approx(published, rel=1e-3 if old_mesh else 1e-9), f"{column} {name}"


def plain_extraction(volume, settings):
    extractor = RadiomicsFeatureExtractor(**settings.options)
    extractor.enableImageTypes(Original={}, LoG={}, Wavelet={})
    image = sitk.GetImageFromArray(volume.image * np.float32(settings.scale))
    image.SetSpacing([float(size) for size in reversed(volume.spacing)])
    mask = sitk.GetImageFromArray(np.isin(volume.mask, STRUCTURES[settings.mask]).astype(np.uint8))
    mask.CopyInformation(image)
    return extractor.execute(image, mask)


@pytest.mark.parametrize("case", ["brain1", "brain2", "breast1", "phantom"])
def test_equals_the_plain_extractor(case):
    settings = radiomics.Settings(scale=100.0 if case == "phantom" else 1.0)
    volume = phantom() if case == "phantom" else real_volume(case)
    plain = plain_extraction(volume, settings)
    found = radiomics.extract_features(volume, settings=settings).values
    table = radiomics.feature_table()
    assert list(found.index) == list(table["column"])
    names = np.where(table["copy_of"] != "", table["copy_of"], table["column"])
    expected = np.array([float(np.real(plain[name])) for name in names])
    both = np.isfinite(expected) & np.isfinite(found.to_numpy())
    assert (np.isfinite(expected) == np.isfinite(found.to_numpy())).all()
    assert worst_difference(found[both], expected[both]) <= 1e-9


# pyradiomics divides by n, not n - 1, in the covariance of positions, and does not subtract 3 from kurtosis.
IBSI_DIFFERENCES = {"MinorAxisLength", "LeastAxisLength", "Kurtosis"}


def test_ibsi_1_digital_phantom():
    table = radiomics.compare_with_ibsi().set_index("feature")
    assert len(table) == 102
    assert set(table.index[~table["agrees"]]) == IBSI_DIFFERENCES
    assert table["found"]["Kurtosis"] - 3 == pytest.approx(-0.355, abs=5e-4)
    for axis, value in (("MinorAxisLength", 9.31), ("LeastAxisLength", 8.54)):
        assert table["found"][axis] * np.sqrt(74 / 73) == pytest.approx(value, abs=0.06)


def test_nothing_is_said_on_the_terminal(capfd):
    radiomics.extract_features(phantom())
    assert capfd.readouterr() == ("", "")


# By hand and by invariance


def test_masks_choose_labels_and_tumour_and_nodes_add_up():
    volume = phantom()
    voxels = {
        mask: radiomics.extract_features(volume, settings=radiomics.Settings(mask=mask)).n_voxels
        for mask in STRUCTURES
    }
    assert voxels["tumour and nodes"] == voxels["tumour"] + voxels["nodes"]


def test_a_box_has_its_volume_and_mean():
    mask = np.zeros((10, 20, 20), np.uint8)
    mask[3:7, 5:15, 6:16] = 1
    image = np.where(mask == 1, 2.0, 0.0).astype(np.float32)
    found = radiomics.extract_features(Volume(image, mask, (3.0, 3.0, 3.0)))
    assert found.values["original_shape_VoxelVolume"] == pytest.approx(4 * 10 * 10 * 27)
    assert found.values["original_firstorder_Mean"] == pytest.approx(200.0)
    assert found.grey_levels == 1


def test_texture_does_not_change_when_all_intensities_move_by_a_whole_bin():
    volume, settings = phantom(), radiomics.Settings(scale=1.0, bin_width=0.25)
    moved = Volume(volume.image + np.float32(4.0), volume.mask, volume.spacing)
    before, after = (radiomics.extract_features(v, settings=settings).values for v in (volume, moved))
    texture = [c for c in before.index if c.startswith("original_gl")]
    np.testing.assert_allclose(after[texture], before[texture], rtol=1e-9)


def test_bin_width_25_needs_the_scale():
    volume = phantom()
    unscaled = radiomics.extract_features(volume, settings=radiomics.Settings(scale=1.0))
    assert unscaled.grey_levels <= 2
    assert radiomics.extract_features(volume).grey_levels > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": "tumor"}, "tumour and nodes, tumour, nodes"),
        ({"bin_width": 0}, "bin_width is 0"),
        ({"images": ("LoG",)}, "images has .'LoG'."),
    ],
)
def test_settings_without_meaning_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        radiomics.Settings(**change)


def test_a_volume_without_contour_is_refused():
    volume = phantom()
    with pytest.raises(ValueError, match="no mask"):
        radiomics.extract_features(Volume(volume.image, None, volume.spacing))
    only_tumour = Volume(volume.image, np.minimum(volume.mask, 1), volume.spacing)
    with pytest.raises(ValueError, match="'nodes'"):
        radiomics.extract_features(only_tumour, settings=radiomics.Settings(mask="nodes"))


# Batch


def test_a_failed_case_is_a_row_of_nan_with_its_reason(tmp_path):
    cases = write_cases(tmp_path)
    broken = cases["patient_id"].eq("p1") & cases["sequence"].eq("t2w")
    Path(cases.loc[broken, "image_path"].iloc[0]).write_text("not an image")
    found = radiomics.extract_cohort(cases, folder=tmp_path / "store", workers=1)
    assert list(found.features.index) == ["p0", "p1", "p2"]
    assert found.features.shape == (3, 2 * 465)
    assert found.features.loc["p1"].filter(like="t2w_").isna().all()
    assert found.features.loc["p1"].filter(like="t1w_").notna().all()
    failed = found.report.query("status == 'failed'")
    assert failed[["patient_id", "sequence"]].to_numpy().tolist() == [["p1", "t2w"]]
    reason = failed["reason"].iloc[0]
    assert "p1_t2w_image.nii.gz" in reason
    assert "/" not in reason
    assert "\n" not in reason


def test_patients_without_the_asked_label_keep_their_row(tmp_path):
    cases = write_cases(tmp_path, n_patients=1)
    mask = sitk.ReadImage(str(cases["mask_path"].iloc[0]))
    sitk.WriteImage(sitk.Mask(mask, mask == 1), str(cases["mask_path"].iloc[0]))
    settings = radiomics.Settings(mask="nodes")
    found = radiomics.extract_cohort(cases, folder=tmp_path / "store", settings=settings, workers=1)
    assert found.report["status"].tolist() == ["failed", "ok"]
    assert found.features.shape == (1, 2 * 465)


def test_preprocessed_images_are_read_beside_their_mask(tmp_path):
    cases = write_cases(tmp_path, n_patients=1)[:1]
    volume = read_volume(cases["image_path"][0], cases["mask_path"][0])
    store_volume(tmp_path / "image.npz", volume)
    again = read_volume(tmp_path / "image.npz", cases["mask_path"][0])
    np.testing.assert_allclose(again.image, volume.image, atol=2e-3)
    assert (again.mask == volume.mask).all()
    assert again.spacing == pytest.approx(volume.spacing)
    small = replace(volume, image=volume.image[:4])
    store_volume(tmp_path / "image.npz", small)
    with pytest.raises(ValueError, match="has size"):
        read_volume(tmp_path / "image.npz", cases["mask_path"][0])


def test_contours_with_a_label_that_means_nothing_are_refused(tmp_path):
    case = write_cases(tmp_path, n_patients=1).iloc[0]
    store_volume(tmp_path / "image.npz", read_volume(case["image_path"], case["mask_path"]))
    sitk.WriteImage(sitk.ReadImage(str(case["mask_path"])) * 3, str(case["mask_path"]))
    for path in (case["image_path"], tmp_path / "image.npz"):
        with pytest.raises(ValueError, match=r"has labels \[0, 3"):
            read_volume(path, case["mask_path"])


def test_what_is_done_is_read_again_and_changed_input_is_done_again(tmp_path, monkeypatch):
    cases, store = write_cases(tmp_path), tmp_path / "store"
    first = radiomics.extract_cohort(cases, folder=store, workers=1)
    called = []
    one_case = radiomics._case_features
    monkeypatch.setattr(radiomics, "_case_features", lambda row, *a: called.append(row) or one_case(row, *a))
    again = radiomics.extract_cohort(cases, folder=store, workers=1)
    assert called == []
    pd.testing.assert_frame_equal(first.features, again.features, check_exact=True)
    pd.testing.assert_frame_equal(first.report, again.report)
    picture = sitk.ReadImage(str(cases["image_path"].iloc[0]))
    sitk.WriteImage(picture * 1.5, str(cases["image_path"].iloc[0]))
    changed = radiomics.extract_cohort(cases, folder=store, workers=1)
    assert {row["patient_id"] for row in called} == {"p0"}
    assert not changed.features.loc["p0"].equals(first.features.loc["p0"])
    called.clear()
    radiomics.extract_cohort(cases, folder=store, settings=radiomics.Settings(bin_width=20), workers=1)
    assert {row["patient_id"] for row in called} == {"p0", "p1", "p2"}


def test_a_half_written_result_is_never_taken_for_a_whole_one(tmp_path):
    cases, store = write_cases(tmp_path, n_patients=1), tmp_path / "store"
    radiomics.extract_cohort(cases, folder=store, workers=1)
    assert {path.name for path in store.iterdir()} == {"p0.json.gz", "p0.json.gz.key"}
    whole = (store / "p0.json.gz").read_bytes()
    (store / "p0.json.gz").write_bytes(whole[:-100])
    radiomics.extract_cohort(cases, folder=store, workers=1)
    assert (store / "p0.json.gz").read_bytes() == whole


def test_two_workers_give_what_one_gives(tmp_path):
    cases = write_cases(tmp_path)
    one = radiomics.extract_cohort(cases, folder=tmp_path / "one", workers=1)
    two = radiomics.extract_cohort(cases, folder=tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(one.features, two.features, check_exact=True)


def test_the_order_of_cases_changes_nothing_but_the_order_of_rows(tmp_path):
    cases = write_cases(tmp_path)
    forward = radiomics.extract_cohort(cases, folder=tmp_path / "store", workers=1)
    backward = radiomics.extract_cohort(cases[::-1], folder=tmp_path / "other", workers=1)
    pd.testing.assert_frame_equal(
        forward.features.sort_index(axis=1), backward.features[::-1].sort_index(axis=1)
    )


def test_cases_given_twice_or_without_paths_are_refused(tmp_path):
    cases = write_cases(tmp_path, n_patients=1)
    with pytest.raises(ValueError, match="p0 t1w twice"):
        radiomics.extract_cohort(pd.concat([cases, cases]), folder=tmp_path, workers=1)
    with pytest.raises(ValueError, match="mask_path"):
        radiomics.extract_cohort(cases.drop(columns="mask_path"), folder=tmp_path, workers=1)


# Selection sees training patients only


def chapter_scores(features, cohort, time, event):
    """Score everyone as chapter 04 does."""
    training = cohort == "training"
    complete = features.fillna(features[training].mean()).fillna(0.0)
    folds = stratified_folds(event[training], 5, rng=np.random.default_rng(3))
    fit = select_features(complete[training], time[training], event[training], folds=folds)
    return fit, pd.Series(fit.risk(complete), index=features.index)


def test_corrupted_validation_data_do_not_change_the_fit():
    rng = np.random.default_rng(8)
    features = pd.DataFrame(rng.standard_normal((150, 40))).add_prefix("f")
    features.iloc[::17, 3] = np.nan
    cohort = np.where(np.arange(150) < 90, "training", "validation")
    time = rng.exponential(np.exp(-1.5 * features["f0"].to_numpy())) + 0.1
    event = rng.random(150) < 0.5
    fit, scores = chapter_scores(features, cohort, time, event)
    held = cohort == "validation"
    features[held] = 1e6 * rng.standard_normal((held.sum(), 40))
    time[held], event[held] = 1.0, True
    again, after = chapter_scores(features, cohort, time, event)
    assert fit.selected
    pd.testing.assert_series_equal(fit.coef, again.coef, check_exact=True)
    pd.testing.assert_series_equal(fit.mean, again.mean, check_exact=True)
    pd.testing.assert_series_equal(scores[~held], after[~held], check_exact=True)


def test_features_of_no_use_give_a_signature_of_no_use():
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        features = pd.DataFrame(rng.standard_normal((400, 8)) @ rng.standard_normal((8, 60))).add_prefix("f")
        features += 0.5 * rng.standard_normal(features.shape)
        cohort = np.where(np.arange(400) < 200, "training", "validation")
        time, event = rng.exponential(size=400) + 0.1, rng.random(400) < 0.2
        _, scores = chapter_scores(features, cohort, time, event)
        held, risk = cohort == "validation", scores.to_numpy()
        constant = np.ptp(risk[held]) == 0
        found.append(0.5 if constant else harrell_c(time[held], event[held], risk[held]).c)
    assert 0.46 < np.mean(found) < 0.54
    assert 0.42 <= np.median(found) <= 0.58


def test_an_empty_signature_scores_everyone_zero():
    rng = np.random.default_rng(5)
    features = pd.DataFrame(rng.standard_normal((60, 5))).add_prefix("f")
    time, event = rng.exponential(size=60) + 0.1, np.arange(60) % 6 == 0
    folds = stratified_folds(event, 5, rng=rng)
    fit = select_features(features, time, event, folds=folds)
    assert fit.selected == ()
    assert (fit.risk(features) == 0).all()


# Stability


def test_icc_by_hand():
    readings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = radiomics.icc_one_way(readings)
    assert found.icc == pytest.approx(0.17, abs=0.005)  # Shrout and Fleiss (1979), Table 4, ICC(1,1)
    assert found.low < found.icc


def test_icc_is_one_when_readings_agree_and_undefined_without_variance():
    assert radiomics.icc_one_way([[1, 1], [2, 2], [3, 3]]).icc == 1
    assert np.isnan(radiomics.icc_one_way(np.ones((5, 2))).icc)
    with pytest.raises(ValueError, match="at least 2 readings"):
        radiomics.icc_one_way([[1], [2]])


def test_a_redrawn_contour_stays_near_the_old_one_and_grows_with_the_amplitude():
    volume, rng = phantom(shape=(16, 64, 64), spacing=(5.0, 3.0, 3.0)), np.random.default_rng(4)
    dice = {}
    for amplitude in (0.01, 1.0, 3.0):
        moved = radiomics.perturb_mask(volume.mask, volume.spacing, amplitude_mm=amplitude, rng=rng)
        both = np.logical_and(moved > 0, volume.mask > 0).sum()
        dice[amplitude] = 2 * both / ((moved > 0).sum() + (volume.mask > 0).sum())
    assert dice[0.01] == 1
    assert 1 > dice[1.0] > dice[3.0] > 0.4
    with pytest.raises(ValueError, match="mask is empty"):
        radiomics.perturb_mask(volume.mask * 0, volume.spacing, rng=rng)


def test_readings_of_one_case_begin_with_its_own_contour(tmp_path):
    cases = write_cases(tmp_path).query("sequence == 't1w'")
    first, second = (
        radiomics.redrawn_cases(cases, 2, amplitude_mm=5, rng=np.random.default_rng(1)) for _ in range(2)
    )
    found = radiomics.extract_readings(first, folder=tmp_path / "first", workers=1)
    again = radiomics.extract_readings(second, folder=tmp_path / "second", workers=1)
    pd.testing.assert_frame_equal(found, again, check_exact=True)
    own = radiomics.extract_cohort(cases, folder=tmp_path / "store", workers=1).features
    drawn = found.xs(0, level="reading").add_prefix("t1w_")
    pd.testing.assert_frame_equal(drawn, own, check_exact=True)
    volumes = found["original_shape_VoxelVolume"].unstack("reading")
    assert (volumes[0] != volumes[1]).all()


def test_volumes_are_prepared_before_they_are_read_and_other_images_stay_empty(tmp_path):
    cases = write_cases(tmp_path).query("sequence == 't1w'")
    lift = partial(raised, by=2.0)
    settings = radiomics.Settings(images=("original",))
    readings = [cases, cases.assign(prepare=[lift] * len(cases))]
    found = radiomics.extract_readings(readings, folder=tmp_path / "lifted", settings=settings, workers=1)
    means = found["original_firstorder_Mean"].unstack("reading")
    np.testing.assert_allclose(means[1] - means[0], 200, rtol=1e-5)
    computed = found.columns[found.notna().all()]
    assert len(computed) == 18 + 42 + 69
    assert found.drop(columns=computed).isna().all(axis=None)
    table = radiomics.extract_cohort(cases, folder=tmp_path / "store", settings=settings, workers=1)
    assert (table.report["status"] == "ok").all()


def test_a_reading_is_kept_until_its_preparation_its_image_or_the_settings_change(tmp_path, monkeypatch):
    cases = write_cases(tmp_path).query("sequence == 't1w'")
    settings, computed = radiomics.Settings(images=("original",)), []
    extract = radiomics.extract_features
    monkeypatch.setattr(
        radiomics,
        "extract_features",
        lambda volume, settings: computed.append(1) or extract(volume, settings=settings),
    )

    def read(by, settings=settings):
        computed.clear()
        lifted = cases.assign(prepare=[partial(raised, by=by)] * len(cases))
        found = radiomics.extract_readings([lifted], folder=tmp_path / "kept", settings=settings, workers=1)
        return found, len(computed)

    first, n = read(2.0)
    assert n == len(cases)
    again, n = read(2.0)
    assert n == 0
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    other, n = read(3.0)
    assert n == len(cases)
    assert (other["original_firstorder_Mean"] > first["original_firstorder_Mean"]).all()
    assert read(3.0, replace(settings, bin_width=10.0))[1] == len(cases)
    image = sitk.ReadImage(cases["image_path"].iloc[0])
    sitk.WriteImage(image + 1, cases["image_path"].iloc[0])
    assert read(3.0, replace(settings, bin_width=10.0))[1] == 1


def raised(volume, by):
    return replace(volume, image=volume.image + np.float32(by))


def test_icc_of_features_leaves_out_patients_without_all_readings():
    index = pd.MultiIndex.from_product([["a", "b", "c", "d"], [0, 1]], names=["patient_id", "reading"])
    readings = pd.DataFrame({"f": [1, 1.1, 2, 2.1, 3, 3.1, 9, np.nan]}, index=index)
    found = radiomics.feature_icc(readings)
    assert found["n_patients"].tolist() == [3]
    assert found["icc"][0] == pytest.approx(radiomics.icc_one_way([[1, 1.1], [2, 2.1], [3, 3.1]]).icc)
