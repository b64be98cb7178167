"""What was read without a word as something else than was meant is said; many alike are one line."""

import shutil

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from npcbook.__main__ import main
from npcbook.cohort.checking import check_cohort
from npcbook.cohort.doubts import find_doubts, in_short
from npcbook.cohort.reading import image_path, mask_path
from npcbook.cohort.table import Problem
from npcbook.synthetic.writer import write_cohort

PATIENTS = 30


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doubts") / "small"
    return write_cohort(folder, patients=PATIENTS, grid=(6, 24, 24), workers=1)


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "cohort")


@pytest.fixture
def change(folder):
    """Give the table to a function, write what it returns, and return the messages of the check."""

    def run(alter):
        path = folder / "participants.tsv"
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        alter(table).to_csv(path, sep="\t", index=False)
        return [str(problem) for problem in check_cohort(folder, images=False)]

    return run


def ids(folder):
    return pd.read_csv(folder / "participants.tsv", sep="\t", dtype=str)["patient_id"]


def alter_image(path, alter):
    picture = sitk.ReadImage(str(path))
    changed = sitk.GetImageFromArray(alter(sitk.GetArrayFromImage(picture)))
    changed.CopyInformation(picture)
    sitk.WriteImage(changed, str(path))


def messages(folder):
    return [str(doubt) for doubt in find_doubts(folder)]


def test_there_is_no_doubt_in_a_cohort_that_is_right(written):
    assert find_doubts(written) == []


def test_a_dose_of_0_with_cisplatin_is_refused(change):
    found = change(lambda t: t.assign(ccnd_mg_m2=t["ccnd_mg_m2"].mask(t["chemotherapy"] != "none", "0")))
    assert found
    assert all("is 0, yet chemotherapy has cisplatin" in line for line in found)


def test_days_for_months_are_refused(change):
    columns = ["dmfs_months", "os_months"]
    found = change(lambda t: t.assign(**{c: (t[c].astype(float) * 30.4375).astype(str) for c in columns}))
    assert sum("look like days; divide them by 30.4375" in line for line in found) == 2


@pytest.mark.parametrize("word", ["no", "0", "None", "否"])
def test_a_word_that_denies_a_reason_excludes_nobody(change, word):
    found = change(lambda t: t.assign(exclusion=word))
    assert len([line for line in found if "leave the cell empty for those to analyse" in line]) == PATIENTS


def test_a_field_of_twice_the_height_is_told(folder):
    path = image_path(folder, ids(folder)[2], "t2w")
    picture = sitk.ReadImage(str(path))
    picture.SetSpacing([*picture.GetSpacing()[:2], 2 * picture.GetSpacing()[2]])
    sitk.WriteImage(picture, str(path))
    (found,) = messages(folder)
    assert "row 4: its field is" in found


def test_stray_voxels_of_a_single_image_are_told_and_the_images_are_still_used(folder, capsys):
    def spoil(image):
        image[0, 0, :3] = 30_000
        return image

    path = image_path(folder, ids(folder)[7], "t2w")
    alter_image(path, spoil)
    assert main(["check", str(folder)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("look:")]
    assert line.startswith(
        f"look: {path.relative_to(folder)}, row 9: 3 voxels are padding or lie far outside"
    )
    for patient in ids(folder)[:5]:
        alter_image(image_path(folder, patient, "t2w"), spoil)
    assert [line.count(" more like it") for line in in_short(find_doubts(folder))] == [1]


def test_exchanged_labels_are_told(folder):
    for patient in ids(folder):
        for sequence in ("t1w", "t2w", "cet1w"):
            path = mask_path(folder, patient, sequence)
            alter_image(path, lambda labels: np.choose(labels, [0, 2, 1]).astype(np.uint8))
    found = messages(folder)
    assert len(found) > PATIENTS  # most of those with a node beside the middle
    assert all("are they exchanged?" in line for line in found)
    assert len(in_short(find_doubts(folder))) <= 3


@pytest.mark.parametrize("move", [0, 1])
def test_contours_beside_the_head_are_told(folder, move):
    def into_the_corner(labels):
        moved = np.zeros_like(labels)
        moved[:, :4, :4] = 1
        return moved if move else labels

    # Voxels of some patients are looked at, those of the first always.
    alter_image(mask_path(folder, ids(folder)[0], "t1w"), into_the_corner)
    found = [line for line in messages(folder) if "lies outside the head, with 100%" in line]
    assert len(found) == move


def test_a_copy_of_another_sequence_or_patient_is_told(folder):
    first, second = ids(folder)[:2]
    shutil.copy(image_path(folder, first, "t1w"), image_path(folder, first, "cet1w"))
    shutil.copy(image_path(folder, first, "t2w"), image_path(folder, second, "t2w"))
    found = messages(folder)
    assert len(found) == 2
    assert all("is a copy of" in line for line in found)


def test_folders_without_a_row_and_without_sub_are_told(folder):
    first = ids(folder)[0]
    (folder / f"sub-{first}").rename(folder / first)
    (folder / "sub-NOBODY").mkdir()
    assert messages(folder) == [
        f"{first}: is not looked into: a patient's folder is called sub-<patient_id>, such as sub-{first}.",
        "sub-NOBODY: has no row in the table: its images are not used.",
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("anat/{}_T1w.nii", "sub-{}/anat"),
        ("anat/{}_T1.nii.gz", "sub-{}/anat"),
        ("{}_T1w.nii.gz", "sub-{}"),
        ("ses-01/anat/{}_T1w.nii.gz", "sub-{}/ses-01/anat"),
        ("T1/IM0001", "sub-{}/T1"),
    ],
)
def test_images_of_another_name_are_told_in_one_line(folder, name, line):
    for patient in ids(folder):
        path = folder / f"sub-{patient}" / name.format(f"sub-{patient}")
        path.parent.mkdir(parents=True, exist_ok=True)
        image_path(folder, patient, "t1w").rename(path)
    (said,) = in_short(find_doubts(folder, images=False))
    first = ids(folder)[0]
    assert said.startswith(
        f"{line.format(first)}, row 2: nothing reads '{path.name}'".replace(patient, first)
    )
    assert f"npcbook import images {folder} --out" in said
    assert f"({PATIENTS - 1} more like it" in said


def test_contours_of_another_name_are_told_and_other_sequences_beside_whole_patients_are_not(folder):
    first, second = ids(folder)[:2]
    path = mask_path(folder, first, "t1w")
    path.rename(path.with_name(path.name.replace("_dseg", "_mask")))
    shutil.copy(
        image_path(folder, second, "t1w"), image_path(folder, second, "t1w").with_name("flair.nii.gz")
    )
    (said,) = find_doubts(folder, images=False)
    assert str(said).startswith(f"derivatives/masks/sub-{first}/anat, row 2: nothing reads")


def test_contours_of_one_voxel_are_told(folder):
    for path in (image_path(folder, ids(folder)[0], "t1w"), mask_path(folder, ids(folder)[0], "t1w")):
        picture = sitk.ReadImage(str(path))
        if path.name.endswith("dseg.nii.gz"):
            picture *= 0
            picture[3, 3, 3] = 1
        picture.SetSpacing([0.5, 0.5, 4.0])
        sitk.WriteImage(picture, str(path))
    (said,) = [line for line in messages(folder) if "voxel(s)" in line]
    assert "sub-" + ids(folder)[0] in said
    assert "has 1 voxel(s): leave contours out that nobody drew" in said


def test_an_image_of_few_grey_levels_is_told(folder):
    for patient in ids(folder)[:10]:
        path = image_path(folder, patient, "t1w")
        alter_image(path, lambda image: np.digitize(image, np.quantile(image, [0.5, 0.9])).astype(np.float32))
    assert any("grey level(s) within the contours" in line for line in messages(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("patients.xlsx", b"PK"),
        ("participants.csv", b"patient_id;sex\n1;M\n"),
        ("participants.tsv", "病历号\t性别\n1\t男\n".encode("gb18030")),
    ],
)
def test_a_table_as_it_was_exported_is_met_with_the_command_that_imports_it(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    assert main(["check", str(tmp_path)]) == 3
    assert f"npcbook import table {tmp_path / name} --out" in capsys.readouterr().out


def test_years_for_months_are_told(folder, change):
    change(
        lambda t: pd.concat(
            [
                t.assign(os_months="4.5", dmfs_months="4.5", patient_id=t["patient_id"] + str(i))
                for i in range(3)
            ]
        )
    )
    assert sum("are these years?" in line for line in messages(folder)) == 2


def test_many_of_a_kind_are_one_line_and_all_are_told_when_asked(change, folder, capsys):
    change(lambda t: t.assign(sex=t["sex"].str[0].str.upper()))
    assert main(["check", "--no-images", str(folder)]) == 3
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert line.endswith(f"allowed are male, female. ({PATIENTS - 1} more like it: row 3, row 4, row 5, …)")
    assert f"{PATIENTS} problems" in said.err
    assert main(["check", "--no-images", "--all", str(folder)]) == 3
    assert len(capsys.readouterr().out.splitlines()) == PATIENTS


def test_kinds_are_told_apart_by_column_and_by_what_is_wrong():
    problems = [
        Problem(2, "sex", "a", "is 'M'."),
        Problem(3, "sex", "a", "is empty."),
        Problem(3, "age", "a", "is 'M'."),
    ]
    assert in_short(problems) == [str(problem) for problem in problems]
