"""What hospitals export comes back as the voxels, contours and voxel sizes that it was made from."""

import json
from dataclasses import dataclass

import contourpy
import highdicom as hd
import nrrd
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from npcbook.__main__ import main
from npcbook.cohort.importing.contours import fill_contours, place_labels, rasterise
from npcbook.cohort.importing.series import guess_patient, guess_series, guess_structure, split_path
from npcbook.cohort.reading import image_path, mask_path
from npcbook.synthetic.writer import write_cohort
from npcbook.words import SEQUENCES

GRID = (7, 26, 26)
NAME, BIRTH = "Zhang^Xiaoming", "19610517"
DESCRIPTIONS = {"t1w": "T1 TSE tra", "t2w": "T2WI 横断位", "cet1w": "T1 TSE tra +C"}
#: A patient lying askew: nothing is along the scanner's axes, nothing is square.
AXES = np.linalg.qr(np.array([[1.0, 0.12, 0.05], [-0.1, 1.0, -0.2], [0.02, 0.21, 1.0]]))[0]
OBLIQUE = (AXES * np.sign(np.diag(AXES))).ravel().tolist()


@dataclass
class Patient:
    """What all exports are made from: images and label maps by sequence."""

    id: str
    images: dict
    masks: dict

    def one_mask(self):
        return Patient(self.id, self.images, {s: self.masks["t1w"] for s in SEQUENCES})


def place(array, like=None):
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing((4.5, 6.25, 7.0))
    picture.SetOrigin((-61.25, -70.5, 33.0))
    picture.SetDirection(OBLIQUE)
    return picture


@pytest.fixture(scope="session")
def patients(tmp_path_factory):
    """Three synthetic patients, cut to a field that is not square and laid askew."""
    folder = write_cohort(tmp_path_factory.mktemp("cohort") / "small", patients=30, grid=GRID, workers=1)
    ids = sorted(path.name.removeprefix("sub-") for path in folder.glob("sub-*"))[:3]

    def read(path):
        return place(sitk.GetArrayFromImage(sitk.ReadImage(path))[:, 1:25, 2:])

    return [
        Patient(
            patient,
            {s: read(image_path(folder, patient, s)) for s in SEQUENCES},
            {s: read(mask_path(folder, patient, s)) for s in SEQUENCES},
        )
        for patient in ids
    ]


@pytest.fixture
def out(tmp_path, patients):
    """A cohort with a table and nothing else; sex and age are not known."""
    table = pd.DataFrame(
        {"patient_id": [p.id for p in patients], "center": "1", "sex": "", "age": ["", "", "70"]}
    )
    (tmp_path / "cohort").mkdir()
    table.to_csv(tmp_path / "cohort" / "participants.tsv", sep="\t", index=False)
    return tmp_path / "cohort"


def take(source, out, edits=(), status=0):
    """Import with the two commands that it takes, and no more than ten edited lines between them."""
    assert main(["import", "images", str(source), "--out", str(out)]) == 0
    assert not list(out.glob("sub-*"))
    assert len(edits) <= 10
    text = (out / "map.yml").read_text("utf-8")
    for old, new in edits:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    (out / "map.yml").write_text(text, "utf-8")
    assert main(["import", "images", str(source), "--out", str(out)]) == status


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def check(out, patients, *, least=1.0, without=()):
    """Compare a cohort with what it was made from."""
    for patient in patients:
        for sequence in SEQUENCES:
            image, wanted = sitk.ReadImage(image_path(out, patient.id, sequence)), patient.images[sequence]
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(wanted))
            for name in ("Spacing", "Origin", "Direction"):
                got, want = (getattr(picture, f"Get{name}")() for picture in (image, wanted))
                np.testing.assert_allclose(got, want, atol=1e-4)
            if sequence in without:
                assert not mask_path(out, patient.id, sequence).exists()
                continue
            mask = sitk.ReadImage(mask_path(out, patient.id, sequence))
            assert mask.GetSize() == image.GetSize()
            assert mask.GetOrigin() == image.GetOrigin()
            got, want = (sitk.GetArrayFromImage(picture) for picture in (mask, patient.masks[sequence]))
            assert set(np.unique(got)) == set(np.unique(want))
            for label in set(np.unique(want)) - {0}:
                assert dice(got == label, want == label) >= least


# ---- exports


def write_series(folder, picture, uids, *, patient, description, number, **more):
    """Write an image as a series of DICOM slices, in an order that is not that of space."""
    folder.mkdir(parents=True, exist_ok=True)
    array, turn = sitk.GetArrayFromImage(picture).astype(np.int16), np.reshape(picture.GetDirection(), (3, 3))
    across, down, _ = picture.GetSpacing()
    series, written = generate_uid(), []
    for k, slice_ in enumerate(array):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
            ExplicitVRLittleEndian,
            "1.2.840.10008.5.1.4.1.1.4",
        )
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = Dataset()
        data.file_meta, data.SpecificCharacterSet = meta, "GB18030"
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.PatientID, data.PatientName, data.PatientBirthDate = patient, NAME, BIRTH
        data.PatientSex, data.PatientAge, data.Modality = "M", "", "MR"
        data.StudyDate, data.StudyTime, data.SeriesTime = "20210402", "101500", f"1015{number:02d}"
        data.AccessionNumber = data.ReferringPhysicianName = data.StudyID = ""
        data.StudyInstanceUID, data.FrameOfReferenceUID = uids["study"], uids["frame"]
        data.SeriesInstanceUID, data.SeriesNumber, data.SeriesDescription = series, number, description
        data.Manufacturer, data.ManufacturerModelName, data.MagneticFieldStrength = "SIEMENS", "Skyra", 30000
        data.PositionReferenceIndicator, data.InstanceNumber = "", (k * 5) % len(array) + 1
        data.ImagePositionPatient = [f"{x:.6f}" for x in picture.TransformIndexToPhysicalPoint((0, 0, k))]
        data.ImageOrientationPatient = [f"{x:.7f}" for x in (*turn[:, 0], *turn[:, 1])]
        data.PixelSpacing, data.SliceThickness = [down, across], picture.GetSpacing()[2]
        data.Rows, data.Columns = slice_.shape
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 1
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelData = slice_.tobytes()
        for keyword, value in more.items():
            setattr(data, keyword, value)
        path = folder / f"IM{data.InstanceNumber:04d}"
        data.save_as(path, enforce_file_format=True)
        written.append(data)
    return written


def write_dicom(folder, patients, **descriptions):
    """Write all sequences of all patients; return the slices by patient and sequence."""
    written = {}
    for patient in patients:
        uids = {"study": generate_uid(), "frame": generate_uid()}
        for number, (sequence, description) in enumerate((DESCRIPTIONS | descriptions).items(), start=3):
            place, said = folder / patient.id / sequence, {"description": description, "number": number}
            written[patient.id, sequence] = write_series(
                place, patient.images[sequence], uids, patient=patient.id, **said
            )
    return written


def trace(mask, picture):
    """Return the contours of a mask in mm: half way between the centres of voxels in and out."""
    padded, lines = np.pad(mask.astype(float), ((0, 0), (1, 1), (1, 1))), []
    for k, slice_ in enumerate(padded):
        for line in contourpy.contour_generator(z=slice_).lines(0.5):
            points = [(x - 1, y - 1, k) for x, y in line[:-1]]
            lines.append([picture.TransformContinuousIndexToPhysicalPoint(point) for point in points])
    return lines


def write_rtstruct(path, slices, structures, **more):
    """Write contours (mm) by name as RTSTRUCT on a series."""
    first, data = slices[0], Dataset()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
        ExplicitVRLittleEndian,
        "1.2.840.10008.5.1.4.1.1.481.3",
    )
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data.file_meta, data.Modality = meta, "RTSTRUCT"
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate"):
        setattr(data, keyword, getattr(first, keyword))
    data.SeriesInstanceUID, data.SeriesNumber, data.StructureSetLabel = generate_uid(), 20, "RS Zhang"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, study.RTReferencedSeriesSequence = first.SeriesInstanceUID, [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = first.FrameOfReferenceUID, [study]
    data.ReferencedFrameOfReferenceSequence = [frame]
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, lines) in enumerate(structures.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = (
            number,
            name,
            first.FrameOfReferenceUID,
        )
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for line in lines:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(line)
            contour.ContourData = [f"{x:.3f}" for point in line for x in point]
            drawn.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
    for keyword, value in more.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def traced(patient, sequence="t1w"):
    picture, mask = patient.images[sequence], sitk.GetArrayFromImage(patient.masks[sequence])
    return {"GTVnx": trace(mask == 1, picture), "GTVnd_L": trace(mask == 2, picture)}


def write_seg(path, slices, mask):
    made = hd.AlgorithmIdentificationSequence(name="x", version="1", family=codes.DCM.ArtificialIntelligence)
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="AUTOMATIC",
            algorithm_identification=made,
        )
        for number, label in ((1, "lymph nodes"), (2, "Primary tumor"))
    ]
    array = sitk.GetArrayFromImage(mask)
    hd.seg.Segmentation(
        source_images=slices,
        pixel_array=np.choose(array, [0, 2, 1]).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=30,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        series_description="AI segmentation",
    ).save_as(path)


def nrrd_header(picture, start=(0, 0, 0)):
    steps = np.reshape(picture.GetDirection(), (3, 3)) * picture.GetSpacing()
    origin = picture.TransformIndexToPhysicalPoint([int(x) for x in start])
    return {"space": "left-posterior-superior", "space directions": steps.T, "space origin": np.array(origin)}


def write_slicer(folder, patient):
    """Write .nrrd images and a .seg.nrrd as Slicer does: cropped, in two layers, values in no order."""
    folder.mkdir(parents=True)
    for name, sequence in (("T1", "t1w"), ("T2", "t2w"), ("T1 post", "cet1w")):
        picture = patient.images[sequence]
        array = sitk.GetArrayFromImage(picture).transpose(2, 1, 0)
        nrrd.write(str(folder / f"{name}.nrrd"), array, nrrd_header(picture))
    mask = sitk.GetArrayFromImage(patient.masks["t1w"])
    inside = np.argwhere(mask)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    box = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]].transpose(2, 1, 0)
    layers = np.stack([np.where(box == 2, 7, 0), np.where(box == 1, 3, 0)]).astype(np.uint8)
    header = nrrd_header(patient.images["t1w"], low[::-1])
    header["space directions"] = np.vstack([[np.nan] * 3, header["space directions"]])
    header |= {"kinds": ["list", "domain", "domain", "domain"], "encoding": "gzip"}
    named = {"Segment0": ("GTVnd", 7, 0), "Segment1": ("GTVnx", 3, 1), "Segment2": ("Brainstem", 4, 1)}
    for segment, (name, value, layer) in named.items():
        said = {"ID": segment, "Name": name, "LabelValue": str(value), "Layer": str(layer)}
        header |= {f"{segment}_{key}": word for key, word in said.items()}
    nrrd.write(str(folder / "Segmentation.seg.nrrd"), layers, header)


# ---- they come back


def test_dicom_with_rtstruct_comes_back(patients, out, tmp_path, capsys):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients]
    slices = write_dicom(source, wanted)
    for patient in wanted:
        write_rtstruct(source / patient.id / "RS.dcm", slices[patient.id, "t1w"], traced(patient))
    take(source, out)
    check(out, wanted, least=0.98)
    said = capsys.readouterr().out
    assert "t2w: 3 images written, 3 with contours" in said
    assert "sex filled from the images' headers: 3 patients." in said
    assert "age in the table is not that of the images' headers: 1 patient" in said
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str)
    assert table["sex"].tolist() == ["male"] * 3
    assert table["age"].tolist() == ["59", "59", "70"]
    assert table["field_t"].tolist() == ["3"] * 3
    assert table["scanner"].tolist() == ["SIEMENS Skyra"] * 3


def test_dicom_with_seg_comes_back(patients, out, tmp_path):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients]
    slices = write_dicom(source, wanted)
    for patient in wanted:
        write_seg(source / patient.id / "seg.dcm", slices[patient.id, "cet1w"], patient.masks["t1w"])
    take(source, out)
    check(out, wanted)


def test_slicer_scenes_come_back(patients, out, tmp_path):
    for patient in patients:
        write_slicer(tmp_path / "export" / patient.id, patient)
    take(tmp_path / "export", out)
    check(out, [p.one_mask() for p in patients])
    assert "Brainstem: ignore" in (out / "map.yml").read_text()


def test_nnunet_comes_back(patients, out, tmp_path):
    source = tmp_path / "Dataset001_NPC"
    for part in ("imagesTr", "labelsTr"):
        (source / part).mkdir(parents=True)
    for patient in patients:
        for number, sequence in enumerate(("t2w", "cet1w", "t1w")):
            sitk.WriteImage(
                patient.images[sequence], source / "imagesTr" / f"{patient.id}_{number:04d}.nii.gz"
            )
        mask = sitk.Cast(patient.masks["t1w"], sitk.sitkFloat32)
        sitk.WriteImage(2 * (mask == 1) + 1 * (mask == 2), source / "labelsTr" / f"{patient.id}.nii.gz")
    channels = {"0": "T2", "1": "T1 contrast", "2": "T1"}
    said = {"channel_names": channels, "labels": {"background": 0, "LN": 1, "GTVp": 2}, "numTraining": 3}
    (source / "dataset.json").write_text(json.dumps(said))
    take(source, out)
    check(out, [p.one_mask() for p in patients])


def test_bids_comes_back(patients, out, tmp_path):
    for patient in patients:
        for sequence in SEQUENCES:
            for path, picture in (
                (image_path(tmp_path / "bids", patient.id, sequence), patient.images[sequence]),
                (mask_path(tmp_path / "bids", patient.id, sequence), patient.masks[sequence]),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                sitk.WriteImage(picture, path)
    take(tmp_path / "bids", out)
    check(out, patients)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_plain_files_that_run_other_ways_come_back(patients, out, tmp_path, suffix):
    source = tmp_path / "export"
    source.mkdir()
    for patient in patients:
        for number, (sequence, turn) in enumerate(zip(SEQUENCES, ("RAI", "LPS", "SAR"), strict=True)):
            sitk.WriteImage(
                sitk.DICOMOrient(patient.images[sequence], turn), source / f"{patient.id}_s{number}{suffix}"
            )
            mask = sitk.DICOMOrient(patient.masks["t1w"] == 1, "RAS") * 255
            sitk.WriteImage(mask, source / f"{patient.id}_GTVp{suffix}")
            sitk.WriteImage(patient.masks["t1w"] == 2, source / f"{patient.id}_GTVn{suffix}")
    names = ("t1w", "t2w", "cet1w")
    edits = [(f"'*_s{n}{suffix}': ignore", f"'*_s{n}{suffix}': {name}") for n, name in enumerate(names)]
    take(source, out, edits)
    check(out, [p.one_mask() for p in patients])


def test_nothing_written_carries_a_name_or_a_date_of_birth(patients, tmp_path):
    source, out = tmp_path / "export", tmp_path / "cohort"
    slices = write_dicom(source, patients[:1], t1w="T1 tra Xiaoming")
    write_rtstruct(source / "RS.dcm", slices[patients[0].id, "t1w"], traced(patients[0]))
    picture = patients[0].images["t1w"]
    take(source, out)
    for path in [*out.rglob("*"), *out.parent.glob("cohort*")]:
        assert "xiaoming" not in path.name.lower()
        content = path.read_bytes() if path.is_file() else b""
        if path.name.endswith(".gz"):
            import gzip

            content = gzip.decompress(content)
        for secret in ("zhang", "xiaoming", BIRTH, "1961-05"):
            assert secret.encode() not in content.lower(), path
    # A header's free text goes, too.
    picture = sitk.Image(picture)
    picture.SetMetaData("descrip", NAME)
    (tmp_path / "plain" / "H7").mkdir(parents=True)
    sitk.WriteImage(picture, tmp_path / "plain" / "H7" / "T1.nii")
    assert NAME.encode() in (tmp_path / "plain" / "H7" / "T1.nii").read_bytes()
    take(tmp_path / "plain", tmp_path / "second")
    import gzip

    assert b"Zhang" not in gzip.decompress(image_path(tmp_path / "second", "P001", "t1w").read_bytes())
