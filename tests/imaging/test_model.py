"""Use of a trained run: the stored score comes back, masks fit their images, and refusals are clear."""

import gzip
import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from npcbook.__main__ import main
from npcbook.cohort.importing.contours import dicom_segments, place_labels
from npcbook.cohort.reading import image_path
from npcbook.imaging import model as predict
from npcbook.imaging.features import extract_features, features_table
from npcbook.imaging.grids import stack_on_grid
from npcbook.imaging.heads import FARTHEST, fit_scaling, fit_softmax_head, load_head, save_head
from npcbook.imaging.network import NetworkSettings
from npcbook.imaging.novelty import LEVELS, intensity_levels, measure_distance, summarise
from npcbook.imaging.preprocessing import preprocess_files, preprocessed_path
from npcbook.imaging.trained import network_path
from npcbook.imaging.training import TrainingSettings, train_segmentation
from npcbook.imaging.volumes import orient, read_volume
from npcbook.statistics.ridge import fit_ridge_cox
from npcbook.words import SEQUENCES, SYNTHETIC_LABEL

fit_ridge = partial(fit_ridge_cox, fit_scaling=fit_scaling)

GRID, PLANE_MM, N = (8, 16, 16), 144.0, 24
SCORES = {**{s: (s,) for s in SEQUENCES}, "combined": tuple(SEQUENCES)}


def write_image(path, rng, brightness):
    """Write a noisy head of 8 x 24 x 24 voxels (40 x 160 x 160 mm) with a bright tumour."""
    y, x = np.mgrid[:24, :24] - 11.5
    picture = np.where(np.hypot(y, x) < 11, 400.0, 20.0)[None].repeat(8, axis=0)
    corner = 7 + rng.integers(0, 4, 2)
    picture[2:6, corner[0] : corner[0] + 5, corner[1] : corner[1] + 5] += brightness
    image = sitk.GetImageFromArray((picture + rng.normal(0, 15, picture.shape)).astype(np.int16))
    image.SetSpacing((160 / 24, 160 / 24, 5.0))
    image.SetOrigin((-80, -75, 12))
    sitk.WriteImage(image, path)


def make_heads(tables, time, event):
    """Fit and store both heads; return the scores of every patient by track."""
    inputs, heads, columns, scores = {}, {}, {}, {}
    for track, pooled in (("as published", True), ("recommended", False)):
        kept = {s: [c for c in t.columns if c.startswith("bottleneck") == pooled] for s, t in tables.items()}
        columns[track] = {name: [f"{s}/{c}" for s in of for c in kept[s]] for name, of in SCORES.items()}
        inputs[track] = {
            name: np.hstack([tables[s][kept[s]].to_numpy(float) for s in of]) for name, of in SCORES.items()
        }
    heads["as published"] = {
        name: fit_softmax_head(x, event, epochs=20, learning_rate=1e-3)
        for name, x in inputs["as published"].items()
    }
    heads["recommended"] = {
        name: fit_ridge(x, time, event, n_folds=2, rng=np.random.default_rng(1))
        for name, x in inputs["recommended"].items()
    }
    for track, fitted in heads.items():
        scores[track] = pd.DataFrame({n: head.risk(inputs[track][n]) for n, head in fitted.items()})
    return heads, columns, scores


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a run on a few tiny heads; return its folder, the images' folder and the stored scores."""
    folder, rng = tmp_path_factory.mktemp("predict"), np.random.default_rng(0)
    cohort, run_folder = folder / "cohort", folder / "run"
    cohort.mkdir()
    event, time = np.arange(N) % 3 == 0, rng.uniform(10, 60, N)
    given = {s: [cohort / f"{number}_{s}.nii.gz" for number in range(N)] for s in SEQUENCES}
    source, target, groups = (run_folder / name for name in ("networks", "heads", "groups"))
    settings = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-2)
    tables, typical = {}, {}
    for sequence, paths in given.items():
        stored = [preprocessed_path(source, str(n), sequence) for n in range(N)]
        for path, worse in zip(paths, event, strict=True):
            write_image(path, rng, 250 + 150 * worse)
        problems = preprocess_files(list(zip(paths, stored, strict=True)), workers=1)["problem"]
        assert (problems == "").all()
        pixels, _ = stack_on_grid([(path, None) for path in stored], GRID, plane_mm=PLANE_MM)
        trained = train_segmentation(
            pixels,
            (pixels > 1.0).astype(np.uint8),
            network_settings=NetworkSettings(width="tiny", grid=GRID),
            settings=settings,
            path=network_path(source, sequence),
        )
        tables[sequence] = features_table(extract_features(trained.network, pixels))
        levels = intensity_levels(pixels)
        typical[sequence] = {"intensities": summarise(levels), "features": summarise(tables[sequence])}
    heads, columns, scores = make_heads(tables, time, event)
    files = {
        track: {name: groups / f"{name} {track}.csv" for name in ("cutoffs", "groups", "scores")}
        for track in predict.TRACKS
    }
    predict.store_model(
        target / "model",
        heads={(t, n): (head, columns[t][n]) for t, fitted in heads.items() for n, head in fitted.items()},
        networks={s: network_path(source, s) for s in SEQUENCES},
        seen={"order": "n4-normalise", "grid": GRID, "plane_mm": PLANE_MM},
        training_images=given,
        cutoffs=files,
        typical=typical,
        label=SYNTHETIC_LABEL,
        synthetic=True,
        run="run",
    )
    groups.mkdir()
    for track, paths in files.items():
        score = scores[track]["combined"]
        table = pd.DataFrame({"patient_id": map(str, range(N)), "dl_combined": score})
        high = np.where(score > score.median(), "high", "low")
        cutoff = pd.DataFrame({"model": ["dl_combined"], "cutoff": [score.median()]})
        written = {"scores": table, "groups": table.assign(dl_combined=high), "cutoffs": cutoff}
        for name, content in written.items():
            content.to_csv(paths[name], index=False)
    return run_folder, cohort, scores


def files_of(cohort, number):
    return {sequence: cohort / f"{number}_{sequence}.nii.gz" for sequence in SEQUENCES}


def command(run_folder, files, out):
    given = [part for sequence, path in files.items() for part in (f"--{sequence}", str(path))]
    return ["predict", "--run", str(run_folder), "--out", str(out), *given]


@pytest.mark.parametrize("number", [0, 7])
def test_a_patient_of_the_run_gets_the_stored_scores(run, number):
    run_folder, cohort, scores = run
    found = predict.predict(predict.read_model(run_folder), files_of(cohort, number)).scores
    for track, table in scores.items():
        value = found[found["track"] == track].set_index("score")["value"]
        np.testing.assert_allclose(value[table.columns], table.loc[number], rtol=1e-3, atol=1e-4)
        group = found[(found["track"] == track) & (found["score"] == "combined")]["risk_group"].item()
        assert group == ("high" if table["combined"][number] > table["combined"].median() else "low")


@pytest.mark.parametrize("orientation", ["RAI", "SAR"])
def test_an_image_stored_another_way_round_gives_the_same(run, tmp_path, orientation):
    run_folder, cohort, _ = run
    model, straight = predict.read_model(run_folder), files_of(cohort, 3)
    turned = {sequence: tmp_path / path.name for sequence, path in straight.items()}
    for sequence, path in straight.items():
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(path), orientation), turned[sequence])
    ours, theirs = predict.predict(model, straight), predict.predict(model, turned)
    np.testing.assert_allclose(theirs.scores["value"], ours.scores["value"], rtol=1e-6)
    for sequence, path in turned.items():
        given, image = theirs.sequences[sequence].given, read_volume(path)
        np.testing.assert_array_equal(given.image, image.image)
        np.testing.assert_allclose(given.direction, image.direction, atol=1e-6)
        back = orient(given, "LPS").mask
        np.testing.assert_array_equal(back, ours.sequences[sequence].volume.mask)
        assert back.any()


@pytest.fixture
def no_network(monkeypatch):
    """Let nothing be asked of any other computer, or of this one by its address."""

    def refuse(*arguments):
        raise AssertionError(f"asks the network: {arguments}")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_the_command_writes_everything_and_says_where_it_comes_from(run, tmp_path, capsys):
    run_folder, cohort, scores = run
    out, files = tmp_path / "deep" / "patient", files_of(cohort, 5)
    assert main(command(run_folder, files, out)) == 0
    assert {path.name for path in out.iterdir()} == {
        *(f"{sequence}_dseg.nii.gz" for sequence in SEQUENCES), "scores.csv", "prediction.json", "check.png",
    }  # fmt: skip
    assert [path.name for path in out.parent.iterdir()] == ["patient"]
    for sequence, path in files.items():
        mask, image = sitk.ReadImage(out / f"{sequence}_dseg.nii.gz"), sitk.ReadImage(path)
        for name in ("Size", "Spacing", "Origin", "Direction"):
            np.testing.assert_allclose(getattr(mask, f"Get{name}")(), getattr(image, f"Get{name}")())
    written = json.loads((out / "prediction.json").read_text())
    assert written["images"]["t1w"] == "5_t1w.nii.gz"
    assert SYNTHETIC_LABEL in written["notes"]
    assert predict.NOTICE in written["notes"]
    table = pd.read_csv(out / "scores.csv").set_index(["track", "score"])
    assert table.loc[("as published", "combined"), "value"] == pytest.approx(
        scores["as published"]["combined"][5], rel=1e-3
    )
    said = capsys.readouterr().out
    assert SYNTHETIC_LABEL in said
    for words in ("softmax probability", "log hazard ratio", "Higher = worse", "this run's own"):
        assert words in said
        assert words in " ".join(written["how_to_read"])
    assert str(tmp_path) not in (out / "prediction.json").read_text()


def as_series(path, folder, **more):
    """Write an image as DICOM slices, without a patient's name."""
    import pydicom
    from pydicom.dataset import FileMetaDataset

    picture = sitk.ReadImage(path)
    across, down, thick = picture.GetSpacing()
    folder.mkdir(parents=True)
    uids = {name: pydicom.uid.generate_uid() for name in ("Study", "Series")}
    frame = pydicom.uid.generate_uid()
    for k, slice_ in enumerate(sitk.GetArrayFromImage(picture)):
        data, meta = pydicom.Dataset(), FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
        data.file_meta, data.Modality, data.PatientID = meta, "MR", "7"
        data.StudyInstanceUID, data.SeriesInstanceUID = uids["Study"], uids["Series"]
        for name in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            setattr(data, name, "")
        data.StudyDate, data.StudyTime, data.ReferringPhysicianName = "20240101", "120000", ""
        data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = "T1", 1, 40 - k
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame, ""
        data.ImagePositionPatient = list(picture.TransformIndexToPhysicalPoint((0, 0, k)))
        data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [f"{down:.9f}", f"{across:.9f}"]
        data.SliceThickness, (data.Rows, data.Columns) = thick, slice_.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.PixelData = slice_.astype(np.int16).tobytes()
        data.update(more)
        data.save_as(folder / f"{40 - k}.dcm", enforce_file_format=True)
    return folder


def test_a_series_of_dicom_files_gives_what_its_file_gives_and_masks_in_each_format(run, tmp_path):
    import highdicom

    run_folder, cohort, _ = run
    straight = files_of(cohort, 3)
    folders = {s: as_series(path, tmp_path / "dicom" / s) for s, path in straight.items()}
    model = predict.read_model(run_folder)
    ours, theirs = predict.predict(model, straight), predict.predict(model, folders)
    np.testing.assert_allclose(theirs.scores["value"], ours.scores["value"], rtol=1e-5)
    assert not [note for note in theirs.notes if "outside what the network saw" in note]
    for mask_format in predict.MASK_FORMATS:
        predict.write_prediction(tmp_path / mask_format, theirs, model, folders, mask_format=mask_format)
    wanted = ours.sequences["t2w"].given.mask
    assert wanted.any()
    slicer = sitk.ReadImage(tmp_path / "seg.nrrd" / "t2w_dseg.seg.nrrd")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(slicer), wanted)
    assert slicer.GetMetaData("Segment0_Name") == "primary tumour"
    assert slicer.GetMetaData("Segment1_LabelValue") == "2"
    seg = highdicom.seg.segread(tmp_path / "dicom-seg" / "t2w_dseg.dcm")
    assert seg.PatientID == "7"
    assert [seg.get_segment_description(n).segment_label for n in (1, 2)] == ["primary tumour", "lymph node"]
    for label, stored in enumerate(dicom_segments(tmp_path / "dicom-seg" / "t2w_dseg.dcm").values(), start=1):
        placed, _ = place_labels(stored, sitk.ReadImage(straight["t2w"]))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(placed) > 0, wanted == label)


def test_one_or_two_sequences_are_scored_by_their_own_heads(run, tmp_path, capsys):
    run_folder, cohort, scores = run
    files = {s: path for s, path in files_of(cohort, 5).items() if s != "t2w"}
    assert main(command(run_folder, files, tmp_path / "out")) == 0
    assert "Given is only T1W and CET1W: there is no combined score" in (said := capsys.readouterr().out)
    assert "None" not in said
    found = pd.read_csv(tmp_path / "out" / "scores.csv").set_index(["track", "score"])["value"]
    assert sorted(found.index.get_level_values("score").unique()) == ["cet1w", "t1w"]
    for track, table in scores.items():
        for sequence in files:
            assert found[track, sequence] == pytest.approx(table.loc[5, sequence], rel=1e-3, abs=1e-4)
    assert (tmp_path / "out" / "check.png").exists()
    assert main(command(run_folder, {}, tmp_path / "none")) == 2
    assert "give one or more of t1w, t2w, cet1w" in capsys.readouterr().err


def test_dicom_seg_of_a_file_and_a_folder_of_several_series_are_refused(run, tmp_path, capsys):
    run_folder, cohort, _ = run
    files = files_of(cohort, 3)
    assert main([*command(run_folder, files, tmp_path / "out"), "--mask-format", "dicom-seg"]) == 2
    assert "DICOM SEG refers to the slices of a DICOM series" in capsys.readouterr().err
    for sequence in ("t1w", "t2w"):
        as_series(files[sequence], tmp_path / "both" / sequence)
    assert main(command(run_folder, {"t1w": tmp_path / "both"}, tmp_path / "out")) == 2
    assert "holds 2 image series" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_patient_unlike_those_of_the_training_is_said_to_be_so(run, tmp_path):
    model, files = predict.read_model(run[0]), files_of(run[1], 3)
    assert not [
        note for note in predict.predict(model, files).notes if "outside what the network saw" in note
    ]
    picture = sitk.ReadImage(files["t1w"])
    array = sitk.GetArrayFromImage(picture).astype(float)
    array[:, ::2] = 40 + 0.02 * np.abs(array[:, ::2]) ** 1.4  # every second row from another scanner
    strange = sitk.GetImageFromArray(array.astype(np.float32))
    strange.CopyInformation(picture)
    sitk.WriteImage(strange, tmp_path / "strange.nii.gz")
    notes = predict.predict(model, {"t1w": tmp_path / "strange.nii.gz"}).notes
    assert [note for note in notes if "T1W lies outside what the network saw: its features" in note]
    coarse = sitk.Shrink(picture, (2, 2, 1))
    sitk.WriteImage(coarse, tmp_path / "coarse.nii.gz")
    notes = predict.predict(model, {"t1w": tmp_path / "coarse.nii.gz"}).notes
    assert [note for note in notes if "T1W has voxels of 5 × 13 × 13 mm" in note]


def test_voxels_that_are_set_aside_are_said(run, tmp_path):
    model, file = predict.read_model(run[0]), files_of(run[1], 3)["t1w"]
    picture = sitk.ReadImage(file)
    array = sitk.GetArrayFromImage(picture).astype(np.float32)
    array[0, 0, :2] = 1e6
    stray = sitk.GetImageFromArray(array)
    stray.CopyInformation(picture)
    sitk.WriteImage(stray, tmp_path / "stray.nii.gz")
    said = "2 voxels of T1W are padding or lie far outside all others"
    notes = [predict.predict(model, {"t1w": path}).notes for path in (file, tmp_path / "stray.nii.gz")]
    assert [sum(note.startswith(said) for note in found) for found in notes] == [0, 1]


def test_the_distance_to_the_training_patients_is_robust_and_about_one_for_an_ordinary_one():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(5, [1, 10, 1e-9], (400, 3)), columns=list("abc")).assign(silent=0.0)
    table.iloc[:20, 0] = 1e6  # a few broken ones do not widen what counts as ordinary
    summary = summarise(table)
    assert summary["scale"][0] == pytest.approx(1, rel=0.2)
    assert measure_distance(table.median(), summary) == 0
    ordinary = [measure_distance(row, summary) for _, row in table.iloc[20:].iterrows()]
    assert 0.5 < np.mean(ordinary) < 1
    assert max(ordinary) < summary["limit"]
    assert measure_distance(table.median().add([0, 300, 0, 0]), summary) == pytest.approx(5)  # counts as 10
    assert list(intensity_levels(np.zeros((2, 3, 4, 5))).columns) == [
        f"percentile_{level}" for level in LEVELS
    ]


def test_a_disagreement_of_the_tracks_is_said_and_which_to_read():
    scores = pd.DataFrame({"track": predict.TRACKS, "score": "combined", "risk_group": ["high", "low"]})
    said = predict._reading(scores)[-1]
    assert "disagree: high risk as published, low risk recommended. Read the recommended" in said
    for groups in (["low", "low"], ["", "low"]):
        assert "disagree" not in " ".join(predict._reading(scores.assign(risk_group=groups)))


def test_the_picture_shows_the_largest_nodes_too_and_the_patient_s_sides(run):
    model = predict.read_model(run[0])
    found = predict.predict(model, files_of(run[1], 3))
    volume = found.sequences["t1w"].volume
    mask = np.zeros_like(volume.mask)
    mask[2, 8:12, 8:12], mask[5, 3:9, 3:9] = 1, 2
    result = replace(found.sequences["t1w"], volume=replace(volume, mask=mask))
    axes = predict.plot_check(replace(found, sequences=found.sequences | {"t1w": result}), model).axes
    assert [ax.get_title() for ax in axes[::3]] == [
        "T1W: largest tumour, slice 3 of 8",
        "T1W: largest nodes, slice 6 of 8",
    ]
    assert [text.get_text() for text in axes[0].texts] == ["R", "L"]  # x runs to the patient's left
    result = replace(result, volume=replace(volume, mask=np.zeros_like(mask)))
    axes = predict.plot_check(replace(found, sequences=found.sequences | {"t1w": result}), model).axes
    assert [ax.get_title() for ax in axes[::3]] == ["T1W: no tumour found", "T1W: no nodes found"]


def test_a_wrong_run_loads_no_heavy_library(tmp_path):
    code = "import sys\nfrom npcbook.__main__ import main\nstatus = main(sys.argv[1:])\n"
    code += "print(status, {'torch', 'SimpleITK', 'jupytext'} & set(sys.modules))"
    given = command("no-such-run", files_of(tmp_path, 0), tmp_path / "out")
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 set()"
    assert "no run" in done.stderr


def spoil(path, how):
    """Replace an image by one that cannot be used."""
    if how == "missing":
        path.unlink()
    elif how == "text":
        path.write_text("patient,score\n")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == "cut within":
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-2000]))
    elif how == "slices":
        folder = as_series(path, path.parent / "series", RescaleSlope="1e300", RescaleIntercept="0")
        path.unlink()
        folder.rename(path)
    else:
        image = sitk.ReadImage(path)
        if how == "series":
            image = sitk.JoinSeries(image, image)
        elif how == "thick":
            image.SetSpacing((160 / 24, 160 / 24, 15.0))
        elif how == "half":
            image = sitk.Cast(image, sitk.sitkFloat32)
            image[:12] = float("nan")
        else:
            image = image * 0
        sitk.WriteImage(image, path)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "no image file"),
        ("text", "NIfTI"),
        ("cut", "copy it again"),
        ("cut within", "copy it again"),
        ("half", "voxels that are not finite"),
        ("slices", "voxels that are not finite"),
        ("series", "4 dimensions"),
        ("zero", "shows no head"),
        ("thick", "covers 120 × 160 × 160 mm"),
    ],
)
def test_an_image_that_cannot_be_used_is_named_and_nothing_is_written(run, tmp_path, capfd, how, words):
    run_folder, cohort, _ = run
    files = {s: tmp_path / path.name for s, path in files_of(cohort, 2).items()}
    for sequence, path in files_of(cohort, 2).items():
        files[sequence].write_bytes(path.read_bytes())
    spoil(files["t2w"], how)
    assert main(command(run_folder, files, tmp_path / "out")) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert words in said[0]
    assert "2_t2w.nii.gz" in said[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_makes_no_group(run, tmp_path, capsys, monkeypatch, value):
    run_folder, cohort, _ = run
    monkeypatch.setattr(predict.SoftmaxHead, "risk", lambda head, features: np.full(len(features), value))
    assert main(command(run_folder, files_of(cohort, 2), tmp_path / "out")) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"The score t1w, as published, is not a number ({value})" in said
    assert list(tmp_path.iterdir()) == []


def test_other_misuse_is_refused(run, tmp_path, capsys):
    run_folder, cohort, _ = run
    files = files_of(cohort, 1)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("keep")
    (tmp_path / "empty").mkdir()
    attempts = [
        command(run_folder, files, tmp_path / "used"),
        command(tmp_path / "empty", files, tmp_path / "out"),
        command("no-such-run", files, tmp_path / "out"),
        command(run_folder, files | {"t1w": files["t2w"]}, tmp_path / "out"),
        command(run_folder, files | {"t1w": shutil.copy(files["t2w"], tmp_path)}, tmp_path / "out"),
    ]
    assert [main(arguments) for arguments in attempts] == [2, 2, 2, 2, 2]
    said = capsys.readouterr().err.strip().splitlines()
    wanted = ("not empty", "no trained networks", "no run", "same file", "same file")
    for line, words in zip(said, wanted, strict=True):
        assert words in line
    assert (tmp_path / "used" / "notes.txt").read_text() == "keep"
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_being_written_is_waited_for(tmp_path, capsys):
    files = {s: tmp_path / f"{s}.nii.gz" for s in SEQUENCES}
    for path in files.values():
        path.touch()
    (tmp_path / "run").mkdir()
    hold = f"""
import time
from npcbook.store import locked
with locked({str(tmp_path / "run")!r}):
    print(flush=True)
    time.sleep(2)
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert main(command(tmp_path / "run", files, tmp_path / "out")) == 2
    waiting, refused = capsys.readouterr().err.splitlines()
    assert waiting.startswith("waiting for another process that uses")
    assert "no trained networks" in refused


def test_heads_of_other_networks_are_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run[0], copy)
    shutil.copy(*(network_path(copy / "networks", sequence) for sequence in ("t1w", "t2w")))
    with pytest.raises(ValueError, match="fit the heads again"):
        predict.read_model(copy)


def test_without_cutoffs_of_these_heads_there_is_a_score_and_no_group(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run[0], copy, ignore=shutil.ignore_patterns("cutoffs as published.csv", "preprocessed"))
    scores = pd.read_csv(copy / "groups" / "scores recommended.csv")
    scores["dl_combined"] = scores["dl_combined"] + 1  # as if the heads had been fitted anew
    scores.to_csv(copy / "groups" / "scores recommended.csv")
    found = predict.predict(predict.read_model(copy), files_of(run[1], 0))
    assert (found.scores["risk_group"] == "").all()
    assert found.scores["value"].notna().all()
    assert any("no cut-off as published or recommended" in note for note in found.notes)


def test_a_head_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(4)
    features, event, time = rng.normal(size=(40, 6)), np.arange(40) % 4 == 0, rng.uniform(5, 60, 40)
    names = [f"t1w/{name}" for name in "abcdef"]
    for head in (fit_softmax_head(features, event, epochs=5), fit_ridge(features, time, event, rng=rng)):
        save_head(tmp_path / "head.safetensors", head, names)
        again, columns = load_head(tmp_path / "head.safetensors")
        np.testing.assert_array_equal(again.risk(features), head.risk(features))
        assert columns == names
        with pytest.raises(ValueError, match="5 names"):
            save_head(tmp_path / "head.safetensors", head, names[:5])


def test_a_tie_of_orientations_is_decided_the_same_way_every_time(monkeypatch):
    sides = [letters for axes in permutations(("AP", "IS", "LR")) for letters in product(*axes)]
    turns = ["".join(letters) for letters in sides]  # all 48, so that chance cannot pick the first
    monkeypatch.setattr(
        predict.volumes, "read_geometry", lambda path: (path, (40.0, 160.0, 160.0), (5.0, 1.0, 1.0))
    )
    assert predict._common_geometry(turns)["orientation"] == "AIL"
    assert predict._common_geometry(turns[::-1])["orientation"] == "AIL"
    assert predict._common_geometry([*turns, "RPS"])["orientation"] == "RPS"


def test_far_features_are_counted_beyond_the_bound_that_the_heads_use(run, monkeypatch):
    model = predict.read_model(run[0])
    found = predict.predict(model, files_of(run[1], 3))
    head, columns = model.heads["recommended", "combined"]
    features = pd.Series(head.scaling.mean.astype(float), index=columns)
    far = int(np.argmax(head.scaling.sd))
    features.iloc[far] += (FARTHEST + 0.1) * head.scaling.sd[far]
    (note,) = [n for n in predict._notes(model, found.sequences, features) if "features lie" in n]
    assert f"1 of {len(columns)} features lie more than {FARTHEST:g} standard deviations" in note
    monkeypatch.setattr(predict, "FARTHEST", FARTHEST + 1)
    assert not [n for n in predict._notes(model, found.sequences, features) if "features lie" in n]


@pytest.mark.book
def test_a_held_out_patient_of_the_book_gets_the_book_s_scores(smoke_run, smoke_cohort, tmp_path):
    cohort = pd.read_csv(smoke_run / "01_cohorts" / "cohort.csv", dtype={"patient_id": str})
    patient = cohort.loc[cohort["cohort"] == "validation", "patient_id"].iloc[0]
    files = {sequence: image_path(smoke_cohort, patient, sequence) for sequence in SEQUENCES}
    assert main(command(smoke_run, files, tmp_path / "out")) == 0
    found = pd.read_csv(tmp_path / "out" / "scores.csv").set_index(["track", "score"])
    for track, name in (("as published", "scores"), ("recommended", "scores_recommended")):
        table = pd.read_csv(smoke_run / "03_dl_training" / f"{name}.csv", dtype={"patient_id": str})
        stored = table.set_index("patient_id").loc[patient]
        for score in SCORES:
            value = found.loc[(track, score), "value"]
            assert value == pytest.approx(stored[f"dl_{score}"], rel=1e-2, abs=1e-3)
        assert found.loc[(track, "combined"), "risk_group"] in ("high", "low")
    card = (smoke_run / "03_dl_training" / "model_card.md").read_text()
    for words in (
        SYNTHETIC_LABEL,
        predict.NOTICE,
        "Dice overlap, T1W, validation, centre 2",
        "C-index, Combined",
    ):
        assert words in card
    assert "Planted" not in card
    assert "held-out" not in card  # a centre of the validation cohort may have trained, too
