"""What hospitals export comes back as the voxels, contours and voxel sizes that it was made from."""

import gzip
import json
import shutil
from dataclasses import dataclass

import contourpy
import highdicom as hd
import nrrd
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from npcbook.__main__ import main
from npcbook.cohort.importing.contours import fill_contours, place_labels, rasterise
from npcbook.cohort.importing.mapping import read_section
from npcbook.cohort.importing.patients import _id_within
from npcbook.cohort.importing.series import guess_patient, guess_series, guess_structure, split_path
from npcbook.cohort.reading import image_path, mask_path
from npcbook.imaging.dicom import read_series, the_series
from npcbook.synthetic.phantom import Traits, render_patient
from npcbook.words import MASK_COLOURS, SEQUENCES

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


def place(array):
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing((4.5, 6.25, 7.0))
    picture.SetOrigin((-61.25, -70.5, 33.0))
    picture.SetDirection(OBLIQUE)
    return picture


@pytest.fixture(scope="session")
def patients():
    """Three synthetic patients, cut to a field that is not square and laid askew."""
    made = []
    for number, center in enumerate("123"):
        traits = Traits(center, "T2", "N1", number, 0.5, 0.2 * number, 0.0)
        volumes = render_patient(traits, GRID, np.random.default_rng(number))
        images = {s: place(np.rint(v.image[:, 1:25, 2:]).astype(np.int16)) for s, v in volumes.items()}
        masks = {s: place(v.mask[:, 1:25, 2:]) for s, v in volumes.items()}
        made.append(Patient(f"C{center}P000{number}", images, masks))
    return made


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


write_series_of = write_series


def write_dicom(folder, patients, **descriptions):
    """Write all sequences of all patients; return the slices by patient and sequence."""
    written = {}
    for patient in patients:
        uids = {"study": generate_uid(), "frame": generate_uid()}
        for number, (sequence, description) in enumerate((DESCRIPTIONS | descriptions).items(), start=3):
            place, said = folder / patient.id / sequence, {"description": description, "number": number}
            written[patient.id, sequence] = write_series_of(
                place, patient.images[sequence], uids, patient=patient.id, **said
            )
    return written


def write_enhanced(path, picture, uids, *, patient, description, number):
    """Write an image as one enhanced MR object, whose frames stand in another order than in space."""
    slices = write_series(
        path.parent / "classic", picture, uids, patient=patient, description=description, number=number
    )
    frames = [slices[k] for k in np.random.default_rng(number).permutation(len(slices))]
    data = Dataset()
    for element in frames[0]:
        if element.keyword not in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            data.add(element)
    data.file_meta = frames[0].file_meta
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    data.NumberOfFrames, data.PixelData = len(frames), b"".join(frame.PixelData for frame in frames)
    shared, turn, size = Dataset(), Dataset(), Dataset()
    turn.ImageOrientationPatient = frames[0].ImageOrientationPatient
    size.PixelSpacing, size.SliceThickness = frames[0].PixelSpacing, frames[0].SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [size]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], []
    for number_in_file, frame in enumerate(frames, start=1):
        own, place_of, content = Dataset(), Dataset(), Dataset()
        place_of.ImagePositionPatient = frame.ImagePositionPatient
        content.StackID, content.InStackPositionNumber = "1", number_in_file
        content.DimensionIndexValues = [1, number_in_file]
        own.PlanePositionSequence, own.FrameContentSequence = [place_of], [content]
        data.PerFrameFunctionalGroupsSequence.append(own)
    shutil.rmtree(path.parent / "classic")
    data.save_as(path, enforce_file_format=True)


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
    assert "sex filled from the images' headers: 3 patients" in said
    assert "age in the table is not that of the images' headers: 1 patient" in said
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str)
    assert table["sex"].tolist() == ["male"] * 3
    assert table["age"].tolist() == ["59", "59", "70"]
    assert table["field_t"].tolist() == ["3"] * 3
    assert table["scanner"].tolist() == ["SIEMENS Skyra"] * 3


def test_enhanced_objects_and_slices_without_a_thickness_come_back(patients, out, tmp_path):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients[:1]]
    slices = write_dicom(source, wanted)
    patient = wanted[0]
    write_rtstruct(source / "RS.dcm", slices[patient.id, "t2w"], traced(patient))
    for path in (source / patient.id / "t2w").iterdir():
        data = pydicom.dcmread(path)
        del data.SliceThickness
        data.save_as(path)
    uids = {"study": slices[patient.id, "t1w"][0].StudyInstanceUID}
    uids["frame"] = slices[patient.id, "t1w"][0].FrameOfReferenceUID
    for number, sequence in enumerate(("t1w", "cet1w"), start=3):
        shutil.rmtree(source / patient.id / sequence)
        (source / patient.id / sequence).mkdir()
        said = {"description": DESCRIPTIONS[sequence], "number": number, "patient": patient.id}
        write_enhanced(source / patient.id / sequence / "E1", patient.images[sequence], uids, **said)
    take(source, out)
    check(out, wanted, least=0.98)


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


def test_what_dcm2niix_notes_beside_an_image_is_used(patients, out, tmp_path):
    names = {"t1w": "AX T1 FSE", "t2w": "AX T2 FSE", "cet1w": "AX T1 FSE +C"}
    note = {"Manufacturer": "Philips", "ManufacturersModelName": "Ingenia", "MagneticFieldStrength": 3}
    note |= {"PatientBirthDate": None, "ImageType": ["ORIGINAL"], "StationName": float("inf")}
    for patient in patients:
        folder = tmp_path / "nifti" / patient.id
        folder.mkdir(parents=True)
        order = list(names.items())[:: -1 if patient is patients[1] else 1]  # as they were scanned
        for number, (sequence, said) in enumerate(order):
            sitk.WriteImage(patient.images[sequence], str(folder / f"scan_{number}.nii.gz"))
            (folder / f"scan_{number}.json").write_text(json.dumps(note | {"SeriesDescription": said}))
    (tmp_path / "nifti" / patients[2].id / "scan_1.json").write_text("[no object")
    take(tmp_path / "nifti", out, [("'*/scan_1.nii.gz': ignore", "'*/scan_1.nii.gz': t2w")])
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str)
    assert table["scanner"].tolist() == ["Philips Ingenia"] * 3
    assert table["field_t"].tolist() == ["3"] * 3
    check(out, patients, without=SEQUENCES)


def test_a_note_tells_contrast_that_the_name_does_not_and_makes_no_image_of_a_mask(patients, out, tmp_path):
    for patient in patients:
        folder = tmp_path / "nifti" / patient.id
        folder.mkdir(parents=True)
        sitk.WriteImage(patient.images["cet1w"], str(folder / "t1_5.nii.gz"))
        (folder / "t1_5.json").write_text(json.dumps({"SeriesDescription": "AX T1 FSE +C"}))
        sitk.WriteImage(patient.masks["cet1w"], str(folder / "lesion.nii.gz"))
        (folder / "lesion.json").write_text(json.dumps({"SeriesDescription": "AX T1 FSE +C"}))
    assert main(["import", "images", str(tmp_path / "nifti"), "--out", str(out)]) == 0
    rules = read_section(out / "map.yml", "images")
    assert rules["series"] == {"*/t1_5.nii.gz (AX T1 FSE +C)": "cet1w"}
    assert set(rules["structures"]) == {"*/lesion.nii.gz = 1", "*/lesion.nii.gz = 2"}


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
            content = gzip.decompress(content)
        for secret in ("zhang", "xiaoming", BIRTH, "1961-05"):
            assert secret.encode() not in content.lower(), path
    # A header's free text goes, too.
    picture = sitk.Image(picture)
    picture.SetMetaData("PatientName", NAME)
    (tmp_path / "plain" / "H7").mkdir(parents=True)
    sitk.WriteImage(picture, tmp_path / "plain" / "H7" / "T1.nrrd")
    assert NAME.encode() in (tmp_path / "plain" / "H7" / "T1.nrrd").read_bytes()
    take(tmp_path / "plain", tmp_path / "second")
    assert b"Zhang" not in gzip.decompress(image_path(tmp_path / "second", "P001", "t1w").read_bytes())


# ---- contours


def rtstruct_of(shape, picture):
    """Return the lines (mm) where the slices of an image cut a body; `shape` gives that of one slice."""
    lines = []
    for k in range(picture.GetSize()[2]):
        line = shape(picture, k)
        if line is not None:
            lines.append(np.asarray(line).round(3))
    return lines


def fine_grid():
    picture = sitk.Image(61, 47, 30, sitk.sitkInt16)
    picture.SetSpacing((0.9, 1.3, 2.1))
    picture.SetOrigin((-20.0, 15.0, -40.0))
    picture.SetDirection(OBLIQUE)
    return picture


def centres(picture):
    """Return where voxels lie in mm, shape (Z, Y, X, 3)."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in picture.GetSize()[::-1]), indexing="ij")
    steps = np.reshape(picture.GetDirection(), (3, 3)) * picture.GetSpacing()
    return np.stack([i, j, k], axis=-1) @ steps.T + picture.GetOrigin()


def conic(picture, k, quadratic, linear, constant):
    """Return the ellipse where a quadric x'Qx + l'x + c = 0 (mm) meets slice k, in mm, or None."""
    steps = np.reshape(picture.GetDirection(), (3, 3))
    plane, start = steps[:, :2], np.array(picture.TransformIndexToPhysicalPoint((0, 0, k)))
    q = plane.T @ quadratic @ plane
    b = plane.T @ (2 * quadratic @ start + linear)
    middle = -np.linalg.solve(2 * q, b)
    rest = start @ quadratic @ start + linear @ start + constant + 0.5 * b @ middle
    if rest >= 0:
        return None
    turns = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    circle = np.linalg.solve(np.linalg.cholesky(q).T, np.stack([np.cos(turns), np.sin(turns)])) * np.sqrt(
        -rest
    )
    return start + (middle[:, None] + circle).T @ plane.T


def test_a_sphere_on_an_oblique_grid_comes_out_round():
    picture = fine_grid()
    centre, radius = np.array(picture.TransformContinuousIndexToPhysicalPoint((30, 22, 14.3))), 17.0
    lines = rtstruct_of(
        lambda p, k: conic(p, k, np.eye(3), -2 * centre, centre @ centre - radius**2), picture
    )
    mask, notes = rasterise(lines, picture)
    assert dice(mask, np.linalg.norm(centres(picture) - centre, axis=-1) <= radius) >= 0.995
    assert not notes


def test_a_tilted_cylinder_on_an_oblique_grid_comes_out_tilted():
    picture = fine_grid()
    centre, along = (
        np.array(picture.TransformContinuousIndexToPhysicalPoint((30, 22, 15))),
        np.array([0.4, 0.3, 0.87]),
    )
    across = np.eye(3) - np.outer(along, along) / (along @ along)
    lines = rtstruct_of(
        lambda p, k: conic(p, k, across, -2 * across @ centre, centre @ across @ centre - 9.0**2), picture
    )
    mask, _ = rasterise(lines, picture)
    assert dice(mask, np.linalg.norm((centres(picture) - centre) @ across, axis=-1) <= 9.0) >= 0.995


def test_holes_are_empty_whether_drawn_apart_or_by_a_keyhole():
    def box(low, high):
        return np.array([[low, low], [high, low], [high, high], [low, high]], dtype=float)

    outer, inner = box(0.5, 8.5), box(2.5, 5.5)
    keyhole = np.concatenate([outer[:1], inner[[0, 3, 2, 1, 0]], outer[[0, 1, 2, 3]]])
    apart = fill_contours([outer, inner], (10, 11))
    np.testing.assert_array_equal(fill_contours([keyhole], (10, 11)), apart)
    assert apart.sum() == 64 - 9
    # Traced through the centres of the outermost voxels, as some programs do.
    assert fill_contours([box(1, 4)], (10, 11)).sum() == 16
    assert fill_contours([np.array([[2.0, 3.0], [6.0, 3.0], [4.0, 3.0]])], (10, 11)).sum() == 5
    assert fill_contours([box(-20, 30)], (10, 11)).all()


def test_contours_that_cannot_be_drawn_are_refused_and_between_slices_go_to_the_nearest():
    picture = fine_grid()

    def line(k, size=4.0, tilt=0.0):
        low, high = 20 + 0.3 * (size < 1), 20 + size
        corners = [(low, low, k), (high, low, k), (high, high, k + tilt), (low, high, k + tilt)]
        return np.array([picture.TransformContinuousIndexToPhysicalPoint(corner) for corner in corners])

    for lines, words in (
        ([line(-1)], "above or below"),
        ([line(31)], "above or below"),
        ([line(3, tilt=0.6)], "do not lie along"),
        ([], "no closed contour"),
        ([line(4, 0.7)], "enclose no voxel"),
    ):
        with pytest.raises(ValueError, match=words):
            rasterise(lines, picture)
    mask, notes = rasterise([line(5.3), line(6.3)], picture)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [5, 6]
    assert "between slices" in notes[0]
    # Two planes near one slice are no hole in one another.
    mask, notes = rasterise([line(5.0), line(5.4)], picture)
    assert mask.sum() == 25
    assert "between slices" in notes[0]
    mask, notes = rasterise([line(k) for k in (3, 5, 7, 9)], picture)
    assert "every second slice" in notes[0]


def test_labels_on_a_box_are_pasted_and_on_other_voxels_only_resampled_when_asked():
    image = fine_grid()
    array = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
    array[4:9, 10:20, 30:40] = 1
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(image)
    box = sitk.DICOMOrient(labels[28:45, 8:22, 2:11], "RAI")
    box.SetOrigin(np.array(box.GetOrigin()) + 5e-3)  # rounded by a program
    placed, said = place_labels(box, image)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(placed), array)
    assert said == "was pasted from a box of 17 × 14 × 9 voxels"
    assert placed.GetOrigin() == image.GetOrigin()
    moved = sitk.Image(box)
    moved.SetOrigin(np.array(box.GetOrigin()) + 0.4)
    with pytest.raises(ValueError, match="resample: true"):
        place_labels(moved, image)
    placed, said = place_labels(moved, image, resample=True)
    assert "resampled" in said
    assert sitk.GetArrayFromImage(placed).any()
    with pytest.raises(ValueError, match="outside the image"):
        place_labels(labels, image[:35, :, :])


# ---- what cannot be taken, and what is said


def test_a_sequence_on_other_voxels_gets_contours_only_when_the_map_says_so(patients, out, tmp_path, capsys):
    source = tmp_path / "export"
    whole = [p.one_mask() for p in patients[:1]]
    coarse = sitk.Shrink(whole[0].images["t2w"], (1, 1, 2))
    given = [Patient(p.id, p.images | {"t2w": coarse}, p.masks) for p in whole]
    slices = write_dicom(source, given)
    write_rtstruct(source / "RS.dcm", slices[given[0].id, "cet1w"], traced(whole[0], "cet1w"))
    take(source, out, status=3)
    said = capsys.readouterr().out
    assert "without images: 2 patients of the table" in said
    assert "lies on other voxels" in said
    assert image_path(out, given[0].id, "t2w").exists()
    assert not mask_path(out, given[0].id, "t2w").exists()
    text = (out / "map.yml").read_text("utf-8")
    (out / "map.yml").write_text(text.replace("resample: false", "resample: true"), "utf-8")
    assert main(["import", "images", str(source), "--out", str(out), "--dry-run"]) == 0
    assert not mask_path(out, given[0].id, "t2w").exists()
    assert "would be written" in capsys.readouterr().out
    assert main(["import", "images", str(source), "--out", str(out)]) == 0
    assert mask_path(out, given[0].id, "t2w").exists()
    assert "resampled from" in capsys.readouterr().out


def test_spacing_is_changed_only_when_asked(patients, out, tmp_path):
    (tmp_path / "x").mkdir()
    sitk.WriteImage(patients[0].images["t1w"], tmp_path / "x" / f"{patients[0].id}_T1.nii.gz")
    take(tmp_path / "x", out, [("resample: false", "resample: true"), ("spacing:\n", "spacing: [7, 3, 3]\n")])
    image, wanted = sitk.ReadImage(image_path(out, patients[0].id, "t1w")), patients[0].images["t1w"]
    np.testing.assert_allclose(image.GetSpacing(), (3, 3, 7))
    for picture in (image, wanted):
        low = picture.TransformContinuousIndexToPhysicalPoint([-0.5] * 3)
        np.testing.assert_allclose(low, wanted.TransformContinuousIndexToPhysicalPoint([-0.5] * 3), atol=1e-4)


def test_contours_of_another_place_and_repeated_scans_are_told_apart(patients, out, tmp_path, capsys):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients[:1]]
    patient = wanted[0]
    slices = write_dicom(source, wanted)
    elsewhere = {"study": generate_uid(), "frame": generate_uid()}
    noise = patient.images["t1w"] * 0 + 7
    late = {"patient": patient.id, "description": "T1 TSE tra", "StudyDate": "20230101"}
    write_series(source / "late", noise, elsewhere, number=1, **late)
    write_series(
        source / "loc", noise[:, :, :3], elsewhere, patient=patient.id, description="localizer", number=2
    )
    write_rtstruct(source / "RS.dcm", slices[patient.id, "t2w"], traced(patient))
    take(source, out)
    check(out, wanted)
    assert "taken of 2 images for t1w" in capsys.readouterr().out


def test_pictures_of_the_screen_never_take_the_place_of_a_series(patients, out, tmp_path):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients]
    slices = write_dicom(source, wanted)
    for number, patient in enumerate(wanted):
        # Of the same name, later, and in one of three patients sorted before the series.
        said = {"patient": patient.id, "description": DESCRIPTIONS["t1w"], "number": 59}
        said |= {"Modality": "OT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}
        uids = {"study": generate_uid() if number else slices[patient.id, "t1w"][0].StudyInstanceUID}
        folder = source / patient.id / ("0" if number % 2 else "z")
        write_series(folder, patient.images["t1w"][:, :, :1], uids | {"frame": "1.2.3"}, **said)
    take(source, out)
    check(out, wanted, without=SEQUENCES)


@pytest.mark.parametrize("told", ["by the agent", "by the order"])
def test_a_series_that_is_only_repeated_after_contrast_is_told_from_the_first(
    patients, out, tmp_path, monkeypatch, told
):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients]
    same, number = DESCRIPTIONS["t1w"], iter(range(100))

    def with_agent(folder, *given, description, **more):
        enhanced, order = folder.name == "cet1w", next(number)
        if told == "by the agent":
            # Exported in no order, and a second scan before contrast.
            more |= {"number": 50 - order, "ContrastBolusAgent": "Gadovist" if enhanced else "NONE"}
        return write_series(folder, *given, description=same if enhanced else description, **more)

    monkeypatch.setitem(globals(), "write_series_of", with_agent)
    slices = write_dicom(source, wanted)
    for patient in wanted:
        write_rtstruct(source / patient.id / "RS.dcm", slices[patient.id, "t1w"], traced(patient))
    take(source, out)
    check(out, wanted, least=0.98)
    assert f"{same} (after contrast): cet1w  # 3 patients" in (out / "map.yml").read_text("utf-8")


def test_contours_of_another_frame_of_reference_are_said_and_not_used(patients, out, tmp_path, capsys):
    source, patient = tmp_path / "export", patients[0].one_mask()
    write_dicom(source, [patient])
    planning = {"study": generate_uid(), "frame": generate_uid()}
    said = {"patient": patient.id, "description": "CT planning", "number": 1, "Modality": "CT"}
    slices = write_series(source / "ct", patient.images["t1w"], planning, **said)
    write_rtstruct(source / "RS.dcm", slices, traced(patient))
    take(source, out)
    assert "the contours are of another place (frame of reference)" in capsys.readouterr().out
    check(out, [patient], without=SEQUENCES)


def test_a_structure_that_cannot_be_drawn_leaves_no_half_of_the_contours(patients, out, tmp_path, capsys):
    source, patient = tmp_path / "export", patients[0].one_mask()
    slices = write_dicom(source, [patient])
    lines = traced(patient)
    lines["GTVnx"] = [np.add(line, (0, 0, 500.0)) for line in lines["GTVnx"]]
    write_rtstruct(source / "RS.dcm", slices[patient.id, "t1w"], lines)
    take(source, out, status=3)
    assert "structure 'GTVnx' has contours above or below the image" in capsys.readouterr().out
    check(out, [patient], without=SEQUENCES)


def test_dicom_series_may_have_their_contours_in_files_beside_them(patients, out, tmp_path):
    source, patient = tmp_path / "export", patients[0].one_mask()
    write_dicom(source, [patient])
    (source / "masks").mkdir()
    sitk.WriteImage(patient.masks["t1w"], source / "masks" / f"{patient.id}_seg.nii.gz")
    take(source, out)
    check(out, [patient])


def test_one_structure_of_two_observers_is_never_merged(patients, out, tmp_path, capsys):
    source, patient = tmp_path / "export", patients[0].one_mask()
    slices = write_dicom(source, [patient])
    for observer in "AB":
        said = {"StructureSetLabel": f"observer {observer}"}
        write_rtstruct(source / f"{observer}.dcm", slices[patient.id, "t1w"], traced(patient), **said)
    (source / "broken.dcm").write_bytes((source / "A.dcm").read_bytes()[:2000])
    take(source, out, status=3)
    assert "structure 'GTVnx' is in several sets of contours" in capsys.readouterr().out
    check(out, [patient], without=SEQUENCES)
    text = (out / "map.yml").read_text("utf-8")
    (out / "map.yml").write_text(text.replace("observer B: all", "observer B: ignore"), "utf-8")
    assert main(["import", "images", str(source), "--out", str(out)]) == 0
    check(out, [patient], least=0.98)


def test_an_import_that_was_stopped_goes_on_with_the_same_ids(patients, tmp_path, monkeypatch):
    from npcbook.cohort.importing import images

    source, out = tmp_path / "export", tmp_path / "cohort"
    for patient in patients:
        write_slicer(source / f"Zhang {patient.id}", patient)
    write, written = images._write, []

    def stop(*given):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(write(*given))

    assert main(["import", "images", str(source), "--out", str(out)]) == 0
    monkeypatch.setattr(images, "_write", stop)
    assert main(["import", "images", str(source), "--out", str(out)]) == 130
    key = (tmp_path / "cohort.key.csv").read_text("utf-8-sig")
    monkeypatch.setattr(images, "_write", write)
    assert main(["import", "images", str(source), "--out", str(out)]) == 0
    assert (tmp_path / "cohort.key.csv").read_text("utf-8-sig") == key
    named = [Patient(f"P00{n}", p.images, p.masks).one_mask() for n, p in enumerate(patients, start=1)]
    check(out, named)


def test_slices_that_are_missing_or_doubled_are_refused(patients, out, tmp_path, capsys):
    uids, patient = {"study": generate_uid(), "frame": generate_uid()}, patients[0]
    for number, sequence in enumerate(SEQUENCES, start=1):
        said = {"patient": patient.id, "description": DESCRIPTIONS[sequence], "number": number}
        write_series(tmp_path / "x" / sequence, patient.images[sequence], uids, **said)
    (tmp_path / "x" / "t1w" / "IM0006").unlink()
    first = sorted((tmp_path / "x" / "t2w").iterdir())[0]
    (first.parent / "again").write_bytes(first.read_bytes())
    take(tmp_path / "x", out, status=3)
    said = capsys.readouterr().out
    assert "some are missing" in said
    assert "lie at one place" in said
    assert [image_path(out, patient.id, s).exists() for s in SEQUENCES] == [False, False, True]


def test_a_damaged_slice_at_the_end_of_a_series_is_named(patients, out, tmp_path, capsys):
    """An end leaves no gap: what lies beside the slices and may have been one has to be said."""
    source, patient = tmp_path / "x" / patients[0].id, patients[0]
    write_dicom(tmp_path / "x", [patient])
    damages = {
        "t1w": lambda content: b"",
        "t2w": lambda content: content[:900],  # within its header
        "cet1w": lambda content: content.replace(
            b"\x28\x00\x00\x01US\x02\x00\x10\x00", b"\x28\x00\x00\x01US\x02\x00\x08\x00"
        ),
    }
    for sequence, damage in damages.items():
        series = the_series(source / sequence)
        end = series.files[-1]
        end.write_bytes(damage(end.read_bytes()))
        with pytest.raises(ValueError, match=f"damaged or unlike them .{end.name}."):
            read_series(the_series(source / sequence))
        (source / sequence / "DICOMDIR").write_bytes(bytes(128) + b"DICM")  # is none
    take(tmp_path / "x", out, status=3)
    assert capsys.readouterr().out.count("damaged or unlike them") == 3
    assert not list(out.glob("sub-*/anat/*"))
    end = the_series(source / "t2w").damaged[0].rename(tmp_path / "away")
    assert read_series(the_series(source / "t2w")).GetSize()[2] == GRID[0] - 1


@pytest.mark.parametrize(
    "tag", [{"Rows": 60000, "Columns": 60000}, {"PhotometricInterpretation": "MONOCHROME1"}]
)
def test_a_series_that_claims_too_much_or_is_inverted_is_refused(patients, tmp_path, tag):
    uids, said = {"study": generate_uid(), "frame": generate_uid()}, {"description": "T1", "number": 1}
    write_series(tmp_path / "x", patients[0].images["t1w"], uids, patient="A", **said, **tag)
    with pytest.raises(ValueError, match=r"it has 25,200,000,000 voxels|MONOCHROME1"):
        read_series(the_series(tmp_path / "x"))


def test_a_file_that_is_cut_off_is_not_imported_and_its_place_is_not_told(patients, out, tmp_path, capsys):
    source = tmp_path / "export"
    source.mkdir()
    for name, picture in (("T1", patients[0].images["t1w"]), ("T2", patients[0].images["t2w"])):
        sitk.WriteImage(picture, source / f"{patients[0].id}_{name}.nii.gz")
    sitk.WriteImage(patients[0].masks["t2w"], source / f"{patients[0].id}_T2_seg.nii.gz")
    for name in ("T1", "T2_seg"):
        path = source / f"{patients[0].id}_{name}.nii.gz"
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    take(source, out, status=3)
    assert capsys.readouterr().out.count("bytes of voxels and holds") == 2
    assert [image_path(out, patients[0].id, s).exists() for s in SEQUENCES] == [False, True, False]
    assert not mask_path(out, patients[0].id, "t2w").exists()
    assert str(source) not in (out / "images.tsv").read_text()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("map.yml", b"[" * 100_000, "not valid YAML"),
        ("map.yml", b"images: \xff", "not UTF-8"),
        ("map.yml", b"images: {patient: '('}", "patient in map.yml"),
        ("map.yml", b"images: {patient: 'P'}", "patient in map.yml"),
        ("images.tsv", b"patient\tx\n1\n2\t3\t4\n", "is not as it was written"),
        ("../cohort.key.csv", b"patient_id;hospital_id\n1;2\n", "is not as it was written"),
    ],
)
def test_a_file_of_an_import_that_was_spoilt_is_one_sentence(
    patients, out, tmp_path, capsys, name, content, words
):
    write_slicer(tmp_path / "x" / patients[0].id, patients[0])
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 0
    (out / name).write_bytes(content)
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_ids_that_the_table_lacks_are_said_and_left_out(patients, out, tmp_path, capsys):
    (tmp_path / "x").mkdir()
    for name in (patients[0].id.lower(), "Stranger"):
        sitk.WriteImage(patients[0].images["t1w"], tmp_path / "x" / f"{name}_T1.nii.gz")
    take(tmp_path / "x", out)
    assert "not in the table, left out: 1 patient of the images (Stranger)" in capsys.readouterr().out
    assert [path.name for path in out.glob("sub-*")] == [f"sub-{patients[0].id}"]


def test_an_id_within_the_name_of_a_folder_is_found_where_only_one_patient_can_be_meant(
    patients, out, tmp_path, capsys
):
    one, two, three = (p.id for p in patients)
    names = {f"Zhang San_{one} MR": 0, f"{two[:3]}-{two[3:]} baseline": 1, f"{three} a": 2, f"{three} b": 2}
    for name, number in (names | {f"{one}{two}": 0, f"x{three}": 2}).items():
        write_slicer(tmp_path / "x" / name, patients[number])
    take(tmp_path / "x", out)
    said = capsys.readouterr().out
    assert "found by the id within a longer name: 2 patients" in said
    assert "left out: 4 patients of the images" in said
    assert sorted(path.name for path in out.glob("sub-*")) == [f"sub-{one}", f"sub-{two}"]
    check(out, [p.one_mask() for p in patients[:2]])


@pytest.mark.parametrize("name", ["Li Si_2", "20190301 scan 2", "T1_0002"])
def test_a_short_id_is_not_found_within_a_name(name):
    assert _id_within(name, {"2": "2"}) is None


def test_series_whose_ids_were_taken_out_are_told_by_their_folders(patients, out, tmp_path):
    source, wanted = tmp_path / "export", [p.one_mask() for p in patients]
    slices = write_dicom(source, wanted)
    for patient in wanted:
        write_rtstruct(source / patient.id / "RS.dcm", slices[patient.id, "t1w"], traced(patient))
    for path in source.rglob("*"):
        if path.is_file():
            data = pydicom.dcmread(path)
            data.PatientID = "ANONYMOUS"
            data.save_as(path)
    take(source, out)
    check(out, wanted, least=0.98)


def test_boxes_of_many_sizes_are_said_in_one_line(patients, out, tmp_path, capsys):
    for number, patient in enumerate(patients):
        smaller = Patient(patient.id, patient.images, {"t1w": sitk.Image(patient.masks["t1w"])})
        smaller.masks["t1w"][number, 2, 2] = 1
        write_slicer(tmp_path / "x" / patient.id, smaller)
    take(tmp_path / "x", out)
    lines = [line for line in capsys.readouterr().out.splitlines() if "pasted from a box" in line]
    assert len(lines) == 2
    assert all("9 images" in line for line in lines)
    assert (out / "images.tsv").read_text("utf-8").count("pasted from a box of ") == 18


def test_images_that_were_not_imported_are_never_written_over(patients, out, tmp_path, capsys):
    (tmp_path / "x").mkdir()
    sitk.WriteImage(patients[0].images["t1w"], tmp_path / "x" / f"{patients[0].id}_T1.nii.gz")
    path = image_path(out, patients[0].id, "t1w")
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 0
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 2
    assert "not imported" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_map_that_cannot_be_used_is_refused_with_all_that_is_wrong(patients, out, tmp_path, capsys):
    write_slicer(tmp_path / "x" / patients[0].id, patients[0])
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 0
    text = (out / "map.yml").read_text("utf-8")
    bad = (
        text.replace(": t2w", ": flair")
        .replace("orientation: LPS", "orientation: up")
        .replace("GTVnx", "GTV")
    )
    (out / "map.yml").write_text(bad.replace("spacing:\n", "spacing: [3, 1, 1]\n"), "utf-8")
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    for words in (
        "flair (allowed: t1w",
        "'up'",
        "structures lacks 1 found now ('GTVnx')",
        "without resample: true",
    ):
        assert words in said
    assert not list(out.glob("sub-*"))
    # --dry-run adds what is new and keeps what its user wrote.
    (out / "map.yml").write_text(
        text.replace("GTVnx: tumour", "GTVx: tumour").replace("GTVnd: node", "GTVnd: ignore")
    )
    assert main(["import", "images", str(tmp_path / "x"), "--out", str(out), "--dry-run"]) == 0
    text = (out / "map.yml").read_text("utf-8")
    assert "GTVnx: tumour" in text
    assert "GTVnd: ignore" in text


def test_a_folder_without_images_is_refused(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("no image")
    for source in (tmp_path / "x", tmp_path / "y"):
        assert main(["import", "images", str(source), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "holds no DICOM series" in said[0]
    assert not (tmp_path / "out").exists()


def test_the_contact_sheet_has_a_picture_and_a_line_for_every_patient(patients, out, tmp_path):
    for patient in patients:
        write_slicer(tmp_path / "export" / patient.id, patient)
    take(tmp_path / "export", out)
    sheet = out / "derivatives" / "contact_sheet"
    page = (sheet / "index.html").read_text("utf-8")
    for patient in patients:
        assert f'src="sub-{patient.id}.png"' in page
        colours = np.asarray(Image.open(sheet / f"sub-{patient.id}.png").convert("RGB")).reshape(-1, 3)
        for colour in MASK_COLOURS.values():
            assert (colours == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=1).any()


NAMES = {
    "t1w": "AX T1|t1_tse_tra|T1WI|T1_Dixon_W|*/T1.nrrd|sub-*_T1w.nii.gz|横断位T1|T1WI平扫|LAVA-Flex",
    "cet1w": "AX T1 C+|t1_tse_tra_fs_+C|T1+C|T1WI增强|CE-T1|eT1|3D VIBE C+|*_T1CE.nii.gz|T1W_SPIR_CE"
    "|sub-*_ce-gadolinium_T1w.nii.gz",
    "t2w": "AX T2|t2_tse_tra_fs|T2WI抑脂|*/T2.nrrd|Ax T2 PROPELLER|T2W_SPIR",
    "ignore": "localizer|3-plane Loc|T1 MPR|T1 screen capture|T1_TWIST|DWI b800|ADC map|T1 sag|COR T2"
    "|T1矢状位|DCE T1|冠状位T2",
    "": "Series 5|*/1.nii.gz",
}
STRUCTURES = {
    "tumour": "GTVp|GTVnx|GTV|GTV_P|GTVp_CE|GTV-T|GTVp_MR|Tumor|primary tumour"
    "|原发灶|鼻咽肿瘤|NPC|tumor_1|gtv nx",
    "node": "GTVn|GTVnd|GTV_N|GTV_n_L|GTV-N|GTVln_R|LN|Nodes|lymph node"
    "|左颈淋巴结|GTVn_II_L|GTVrpn|RLN|RPLN|GTV node|N1|GTVrpn+nd",
    "ignore": "PTV|CTV1|PGTVnx|PTVnx|GTVnx+5mm|ring 5mm|CTVnd|GTV+5|GTVp+n|GTVnx+nd",
    "": "Brainstem|SpinalCord|Parotid_L|BODY|左腮腺|Larynx|Nerve_Optic_L|Neck|nose",
}


@pytest.mark.parametrize(("guess", "words"), [(guess_series, NAMES), (guess_structure, STRUCTURES)])
def test_names_in_english_chinese_and_of_tg263_are_understood(guess, words):
    wrong = {
        (name, guess(name))
        for word, names in words.items()
        for name in names.split("|")
        if guess(name) != word
    }
    assert not wrong


@pytest.mark.parametrize(
    ("paths", "patients"),
    [
        (["P1/T1.nrrd", "P1/Seg.seg.nrrd"], {"P1"}),
        (["P1/T1.nrrd", "P1/T2.nrrd", "P2/T1.nrrd"], {"P1", "P2"}),
        (["P001_T1w.nii.gz", "P001_seg.nii.gz", "P0_2_T1w.nii.gz"], {"P001", "P0_2"}),
        (["T1/P1.nii.gz", "T1/P2.nii.gz", "T2/P1.nii.gz", "masks/P1_seg.nii.gz"], {"P1", "P2"}),
        (["imagesTr/N_1_0000.nii.gz", "imagesTr/N_1_0001.nii.gz", "labelsTr/N_1.nii.gz"], {"N_1"}),
        (["hospital/P1/T1.nii", "hospital/P1/T2.nii", "hospital/P2/T1.nii"], {"P1", "P2"}),
        (["t1/张三.nii.gz", "t2/张三.nii.gz"], {"张三"}),
    ],
)
def test_whose_a_file_is_is_told_from_its_path(paths, patients):
    pattern = guess_patient(paths)
    assert {split_path(path, pattern)[0] for path in paths} == patients


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("spacing:\n", "spacing: 333\n", "spacing is '333': write [z, y, x]"),
        ("spacing:\n", "spacing: [nan, 1, 1]\n", "write [z, y, x]"),
        ("spacing:\n", "spacing: [inf, 1, 1]\n", "write [z, y, x]"),
        ("orientation: LPS", "orientation: [L, P, S]", "write three of L or R"),
        ("spacing:\n", "spcing: [1, 1, 1]\n", "there is no 'spcing' (did you mean spacing?)"),
        ("spacing:\n", "spacing: [0.02, 0.02, 0.02]\n", "on a spacing of (0.02, 0.02, 0.02) mm has"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_told_in_a_sentence(patients, tmp_path, capsys, old, new, said):
    source, out = tmp_path / "source", tmp_path / "cohort"
    source.mkdir()
    sitk.WriteImage(patients[0].images["t1w"], source / "P1_t1w.nii.gz")
    command = ["import", "images", str(source), "--out", str(out)]
    assert main(command) == 0
    text = (out / "map.yml").read_text("utf-8").replace("resample: false", "resample: true")
    (out / "map.yml").write_text(text.replace(old, new), "utf-8")
    capsys.readouterr()
    assert main(command) in (2, 3)
    assert said in "".join(capsys.readouterr())
    assert not list(out.glob("sub-*"))


@pytest.mark.parametrize("table", ["ID\tage\n1\t50\n", "patient_id\tage\n1\t50\t3\n"])
def test_images_are_not_put_to_a_table_that_tells_no_patients(patients, tmp_path, capsys, table):
    source, out = tmp_path / "source", tmp_path / "cohort"
    source.mkdir()
    sitk.WriteImage(patients[0].images["t1w"], source / "P1_t1w.nii.gz")
    command = ["import", "images", str(source), "--out", str(out)]
    assert main(command) == 0
    (out / "participants.tsv").write_text(table)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "participants.tsv" in line
    assert not (out / "images.tsv").exists()


def test_a_number_of_the_folder_in_the_names_of_its_files_makes_no_kind_of_its_own():
    paths = [
        f"{name}_{n}/{n}_{s}.nrrd" for name, n in (("张三", "0012345"), ("李四", "0012346")) for s in "ab"
    ]
    pattern = guess_patient(paths)
    assert {split_path(path, pattern)[1] for path in paths} == {"*/*_a.nrrd", "*/*_b.nrrd"}
    # The channel of nnU-Net is no number of a patient.
    assert split_path("imagesTr/N_0001_0001.nii.gz", guess_patient(["imagesTr/N_0001_0001.nii.gz"]))[1] == (
        "imagesTr/*_0001.nii.gz"
    )
