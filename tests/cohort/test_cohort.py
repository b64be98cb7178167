"""A cohort on disk is read as it was written, and every way to break it is reported with its place."""

import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from npcbook.__main__ import main
from npcbook.cohort.checking import check_cohort
from npcbook.cohort.columns import COLUMNS, code_covariates, covariate_names, data_dictionary
from npcbook.cohort.parts import read_parts
from npcbook.cohort.reading import image_path, mask_path, read_cohort, read_truth
from npcbook.cohort.table import Problem
from npcbook.store import project_path
from npcbook.synthetic.writer import write_cohort
from npcbook.words import COHORTS, DISPLAY_NAMES, SEQUENCES

GRID = (6, 24, 24)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A small synthetic cohort; read only."""
    return write_cohort(tmp_path_factory.mktemp("cohort") / "small", patients=30, grid=GRID, workers=1)


@pytest.fixture
def folder(written, tmp_path):
    """A copy to break."""
    return shutil.copytree(written, tmp_path / "broken")


@pytest.fixture
def table_only(written, tmp_path):
    """Description and table without any image."""
    for name in ("dataset_description.json", "participants.tsv"):
        shutil.copy(written / name, tmp_path / name)
    return tmp_path


def edit(folder, row, column, value):
    """Set one cell; rows count from 1, the header being row 1."""
    path = folder / "participants.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.loc[row - 2, column] = value
    table.to_csv(path, sep="\t", index=False)


def first_patient(folder):
    return read_cohort(folder).patients["patient_id"][0]


def rewrite(path, change):
    picture = sitk.ReadImage(str(path))
    array = change(sitk.GetArrayFromImage(picture))
    changed = sitk.GetImageFromArray(array)
    changed.SetSpacing(picture.GetSpacing())
    changed.SetOrigin(picture.GetOrigin())
    sitk.WriteImage(changed, str(path))


def test_what_is_written_is_in_order(written):
    assert check_cohort(written) == []


def test_reader_gives_typed_patients_and_volumes(written):
    cohort = read_cohort(written)
    assert cohort.is_synthetic
    assert len(cohort.patients) == 30
    assert cohort.patients["dm_event"].dtype.kind == "i"
    assert cohort.patients["age"].dtype.kind == "f"
    assert set(cohort.patients["center"]) == {"1", "2", "3"}
    for sequence in SEQUENCES:
        volume = cohort.read_volume(cohort.patients["patient_id"][3], sequence)
        assert volume.image.shape == volume.mask.shape == GRID
        assert (volume.mask > 0).any()


def test_image_and_contours_lie_on_the_same_voxels_in_millimetres(written):
    patient = first_patient(written)
    for sequence in SEQUENCES:
        picture = sitk.ReadImage(str(image_path(written, patient, sequence)))
        mask = sitk.ReadImage(str(mask_path(written, patient, sequence)))
        assert picture.GetSize() == mask.GetSize() == GRID[::-1]
        assert picture.GetSpacing() == mask.GetSpacing()
        assert picture.GetOrigin() == mask.GetOrigin()
        assert picture.GetMetaData("xyzt_units") == "10"  # millimetres and seconds
        assert int(picture.GetMetaData("qform_code")) > 0


def test_truth_is_kept_apart(written, table_only):
    truth = read_truth(written)
    patients = read_cohort(written).patients
    assert truth.index.tolist() == patients["patient_id"].tolist()
    shared = set(truth.columns) & set(patients.columns)
    assert shared == set()
    assert read_truth(table_only) is None


def test_data_dictionary_explains_every_column(written):
    table = pd.read_csv(written / "participants.tsv", sep="\t")
    assert set(table.columns) <= set(data_dictionary())
    assert json.loads((written / "participants.json").read_text()) == data_dictionary()


# Column and value that must be refused, and a word of the message that tells what is wrong.
BAD_CELLS = [
    ("patient_id", "", "empty"),
    ("patient_id", "A_1", "letters and digits"),
    ("patient_id", "A" * 65, "more than 64"),
    ("patient_id", "A" * 300, "300 letters"),
    ("patient_id", "张-1", "let 'npcbook import table' do so"),
    ("age", "46,5", "write 46.5."),
    ("ccnd_mg_m2", "1,200", "write 1200."),
    ("cohort", "", "empty"),
    ("cohort", "test", "training, validation"),
    ("age", "-3", "from 1"),
    ("age", "old", "numbers"),
    ("sex", "m", "male, female"),
    ("who_type", "IV", "II-III"),
    ("t_stage", "T3", "eligibility"),
    ("t_stage", "T5", "T1, T2, T3, T4"),
    ("n_stage", "1", "N0, N1"),
    ("ldh", "high", "normal, abnormal, missing"),
    ("ebv_dna", "yes", "undetectable, detectable, missing"),
    ("rene", "3", "0, 1, 2"),
    ("chemotherapy", "cisplatin", "none, cisplatin_nedaplatin, other"),
    ("ccnd_mg_m2", "-80", "from 0"),
    ("dmfs_months", "0", "above 0"),
    ("dmfs_months", "-2", "above 0"),
    ("dmfs_months", "", "empty"),
    ("dmfs_months", "inf", "above 0"),
    ("os_months", "0", "above 0"),
    ("os_months", "1200.1", "to 1200"),
    ("os_months", "1e308", "to 1200"),
    ("os_months", "n/a", "empty"),
    ("dm_event", "2", "0, 1"),
    ("dm_event", "TRUE", "0, 1"),
    ("os_event", "", "empty"),
    ("os_event", "0.5", "0, 1"),
    ("field_t", "-1", "from 0.01"),
]


@pytest.mark.parametrize(("column", "value", "word"), BAD_CELLS)
def test_a_bad_cell_is_reported_with_row_column_and_file(table_only, column, value, word):
    edit(table_only, 7, column, value)
    found = [p for p in check_cohort(table_only) if (p.row, p.column) == (7, column)]
    assert len(found) == 1
    assert found[0].file == "participants.tsv"
    assert word in found[0].message
    with pytest.raises(ValueError, match="row 7"):
        read_cohort(table_only)


def test_the_longest_follow_up_and_id_are_read_and_no_longer_ones(table_only):
    for name, value in (("patient_id", "A" * 64), ("dmfs_months", "1200"), ("os_months", "1200")):
        edit(table_only, 7, name, value)
    assert check_cohort(table_only) == []
    for name in ("dmfs_months", "os_months"):
        edit(table_only, 7, name, "1e308")
    found = check_cohort(table_only)
    assert [(p.row, p.column) for p in found] == [(7, "dmfs_months"), (7, "os_months")]
    assert all("above 0 to 1200" in problem.message for problem in found)


@pytest.mark.parametrize("column", [column.name for column in COLUMNS if column.required])
def test_a_missing_column_that_is_needed_is_reported(table_only, column):
    path = table_only / "participants.tsv"
    pd.read_csv(path, sep="\t", dtype=str).drop(columns=column).to_csv(path, sep="\t", index=False)
    assert (None, column) in [(p.row, p.column) for p in check_cohort(table_only)]


@pytest.mark.parametrize(("column", "found"), [("ebv_dna", "EBV_DNA"), ("scanner", "Scanner")])
def test_a_column_in_another_case_is_recognised(table_only, column, found):
    path = table_only / "participants.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table = table.assign(**{found: table.get(column, "")}).drop(columns=column, errors="ignore")
    table.to_csv(path, sep="\t", index=False)
    (problem,) = check_cohort(table_only)
    assert f"found {found}: rename it to {column}" in problem.message


def test_numbers_of_the_table_are_read_to_the_last_bit(table_only):
    path = table_only / "participants.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    months = np.random.default_rng(1).uniform(1, 60, len(table))
    ages = table["age"].astype(float).round().astype(int)
    written = table.assign(os_months=[repr(float(x)) for x in months + 1], age=ages)
    written.assign(dmfs_months=[repr(float(x)) for x in months]).to_csv(path, sep="\t", index=False)
    patients = read_cohort(table_only).patients
    assert patients["dmfs_months"].tolist() == months.tolist()
    assert patients["os_months"].tolist() == (months + 1).tolist()
    assert patients["age"].dtype.kind == "i"
    # What Python reads beyond plain numbers is none.
    edit(table_only, 3, "os_months", "1_0")
    assert "'1_0'; allowed are numbers" in str(check_cohort(table_only)[0])


def test_codes_that_pandas_wrote_as_floats_are_read_as_codes(table_only):
    before, path = read_cohort(table_only).patients, table_only / "participants.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    codes = ["center", "rene", "dm_event", "os_event"]
    table.assign(**{name: table[name] + ".0" for name in codes}).to_csv(path, sep="\t", index=False)
    pd.testing.assert_frame_equal(read_cohort(table_only).patients, before)


def test_the_id_of_bids_alone_is_told_what_it_lacks(table_only):
    path = table_only / "participants.tsv"
    pd.read_csv(path, sep="\t", dtype=str).drop(columns="patient_id").to_csv(path, sep="\t", index=False)
    (problem,) = check_cohort(table_only)
    assert problem.message == "the column is missing: add it (it is BIDS's participant_id without 'sub-')."


def test_the_description_that_the_documentation_shows_is_accepted(table_only):
    text = project_path("data/README.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (table_only / "dataset_description.json").write_text(example)
    assert check_cohort(table_only) == []
    assert not read_cohort(table_only).is_synthetic


def test_the_check_says_once_how_rows_are_counted(table_only, capsys):
    edit(table_only, 3, "sex", "?")
    edit(table_only, 4, "sex", "?")
    assert main(["check", str(table_only)]) == 3
    said = capsys.readouterr()
    assert (said.out + said.err).count("header") == 1


def test_duplicate_patients_are_reported_where_they_repeat(table_only):
    edit(table_only, 9, "patient_id", first_patient(table_only))
    (problem,) = check_cohort(table_only)
    assert (problem.row, problem.column) == (9, "patient_id")
    assert "row 2" in problem.message


def test_contradictions_between_columns_are_reported(table_only):
    patients = read_cohort(table_only).patients
    edit(table_only, 2, "dmfs_months", str(patients["os_months"][0] + 1))
    n0 = patients.index[patients["n_stage"] == "N0"][0] + 2
    edit(table_only, n0, "rene", "1")
    alone = patients.index[(patients["chemotherapy"] == "none") & (patients.index + 2 != n0)][0] + 2
    edit(table_only, alone, "ccnd_mg_m2", "80")
    n0_again = patients.index[(patients["n_stage"] == "N0") & (patients.index + 2 != n0)][0] + 2
    edit(table_only, n0_again, "t_stage", "T1")
    found = {(p.row, p.column) for p in check_cohort(table_only)}
    assert found == {(2, "dmfs_months"), (n0, "n_stage"), (alone, "ccnd_mg_m2"), (n0_again, "t_stage")}


def test_every_problem_is_listed_at_once(table_only):
    for row, column in ((3, "sex"), (5, "dm_event"), (8, "os_months")):
        edit(table_only, row, column, "?")
    assert [(p.row, p.column) for p in check_cohort(table_only)] == [
        (3, "sex"),
        (5, "dm_event"),
        (8, "os_months"),
    ]


def test_no_table_and_no_patient_are_reported(table_only):
    path = table_only / "participants.tsv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert [p.message for p in check_cohort(table_only)] == ["holds no patient."]
    path.unlink()
    assert "no participants.tsv" in check_cohort(table_only)[0].message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "valid JSON"),
        ('{"synthetic": true}', "Name"),
        ('{"Name": "x"}', "synthetic"),
        (None, "needs one"),
    ],
)
def test_a_bad_description_is_reported(table_only, text, word):
    path = table_only / "dataset_description.json"
    path.unlink() if text is None else path.write_text(text)
    (problem,) = check_cohort(table_only)
    assert problem.file == "dataset_description.json"
    assert word in problem.message


def test_a_cohort_whose_writing_was_interrupted_is_refused(folder):
    path = folder / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Complete": False}))
    assert "interrupted" in check_cohort(folder)[0].message
    with pytest.raises(ValueError, match="not written to its end"):
        read_cohort(folder)


def only_problem(folder, path):
    (problem,) = check_cohort(folder)
    assert problem.row == 2
    assert problem.file == str(path.relative_to(folder))
    return problem.message


@pytest.mark.parametrize("path", [image_path, mask_path])
def test_what_is_not_there_is_no_problem_but_contours_without_an_image_are(folder, path):
    patient = first_patient(folder)
    path(folder, patient, "t2w").unlink()
    found = check_cohort(folder)
    assert [problem.row for problem in found] == ([2] if path is image_path else [])
    assert all("image of T2w is missing" in problem.message for problem in found)


@pytest.mark.parametrize("path_of", [image_path, mask_path])
def test_a_link_that_leads_nowhere_is_not_taken_for_absence(folder, path_of):
    path = path_of(folder, first_patient(folder), "t1w")
    path.unlink()
    path.symlink_to(".git/annex/objects/elsewhere")
    assert "There is no file" in only_problem(folder, path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_cohort(folder).read_volume(first_patient(folder), "t1w")


@pytest.mark.parametrize("keep", [0, 20, 0.5])
def test_an_unreadable_image_is_reported(folder, keep):
    path = image_path(folder, first_patient(folder), "t1w")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    only_problem(folder, path)


def test_another_geometry_of_the_contours_is_reported(folder):
    path = mask_path(folder, first_patient(folder), "t1w")
    picture = sitk.ReadImage(str(path))
    picture.SetSpacing([1.0, 1.0, 1.0])
    sitk.WriteImage(picture, str(path))
    assert "spacing" in only_problem(folder, path)


def test_another_geometry_does_not_hide_wrong_labels_and_paths_start_in_the_cohort(folder):
    path = mask_path(folder, first_patient(folder), "t1w")
    picture = sitk.ReadImage(str(path)) * 7
    picture.SetSpacing([1.0, 1.0, 1.0])
    sitk.WriteImage(picture, str(path))
    geometry, labels = check_cohort(folder)
    assert "spacing" in geometry.message
    assert "labels" in labels.message
    assert str(folder) not in geometry.message + labels.message


def test_another_size_of_the_contours_is_reported(folder):
    path = mask_path(folder, first_patient(folder), "t1w")
    rewrite(path, lambda array: array[:-1])
    assert "size" in only_problem(folder, path)


def test_empty_contours_are_reported(folder):
    path = mask_path(folder, first_patient(folder), "cet1w")
    rewrite(path, np.zeros_like)
    assert "no voxel" in only_problem(folder, path)


def test_an_image_that_is_no_head_is_reported(folder):
    patients = read_cohort(folder).patients["patient_id"][:2]
    contours, streaked = (image_path(folder, patient, "t2w") for patient in patients)
    shutil.copy(mask_path(folder, patients[0], "t2w"), contours)
    rewrite(streaked, lambda array: np.where(np.indices(GRID)[2] == 3, 20000, array).astype(np.int16))
    found = {problem.file: problem for problem in check_cohort(folder)}
    assert set(found) == {str(path.relative_to(folder)) for path in (contours, streaked)}
    assert sorted(problem.row for problem in found.values()) == [2, 3]
    assert all("no head" in problem.message for problem in found.values())


@pytest.mark.parametrize("label", [3, 255])
def test_an_unknown_label_is_reported(folder, label):
    path = mask_path(folder, first_patient(folder), "cet1w")
    rewrite(path, lambda array: np.where(array == 1, label, array).astype(np.uint8))
    assert str(label) in only_problem(folder, path)


def turn(folder, patient, sequence, orientation="RAS"):
    """Store an image and its contours another way round."""
    for path in (image_path(folder, patient, sequence), mask_path(folder, patient, sequence)):
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), orientation), str(path))


def test_an_image_whose_axes_run_another_way_is_reported(folder):
    patient = first_patient(folder)
    turn(folder, patient, "t2w")
    message = only_problem(folder, image_path(folder, patient, "t2w"))
    assert "run RAS, and those of 29 of 30 T2w images LPS" in message
    assert "sitk.DICOMOrient(image, 'LPS')" in message


def test_a_sequence_may_run_its_own_way(folder):
    for patient in read_cohort(folder).patients["patient_id"]:
        turn(folder, patient, "t1w", "SAR")
    assert check_cohort(folder) == []


def test_a_centre_that_exports_another_way_is_reported_by_row_and_ties_are_decided(folder):
    patients = read_cohort(folder).patients["patient_id"]
    for row in range(0, 30, 2):
        turn(folder, patients[row], "t1w")
    image_path(folder, patients[1], "t2w").unlink()
    found = check_cohort(folder)
    # Half and half: LPS comes first in the alphabet.
    assert [problem.row for problem in found] == sorted([3, *range(2, 32, 2)])
    assert isinstance(found[0], Problem)
    assert "15 of 30 T1w images LPS" in found[0].message


def test_an_unreadable_image_without_contours_is_reported(folder):
    patient = first_patient(folder)
    image_path(folder, patient, "t1w").write_bytes(b"no image")
    mask_path(folder, patient, "t1w").unlink()
    assert "ends within its header" in only_problem(folder, image_path(folder, patient, "t1w"))


def test_images_can_be_left_out_of_the_check(folder):
    image_path(folder, first_patient(folder), "t1w").unlink()
    assert check_cohort(folder, images=False) == []


def test_a_table_without_images_is_a_cohort(table_only):
    assert check_cohort(table_only) == []
    assert not any(read_parts(table_only).images.values())


def test_a_users_csv_with_spaces_and_empty_laboratory_values_is_read(table_only):
    table = pd.read_csv(table_only / "participants.tsv", sep="\t", dtype=str).drop(columns="participant_id")
    (table_only / "participants.tsv").unlink()
    table.loc[0, ["ldh", "ebv_dna", "sex"]] = ["", "n/a", " male "]
    table.to_csv(table_only / "participants.csv", index=False, encoding="utf-8-sig")
    first = read_cohort(table_only).patients.iloc[0]
    assert (first["ldh"], first["ebv_dna"], first["sex"]) == ("missing", "missing", "male")


def test_excluded_patients_need_no_images(folder):
    shutil.rmtree(folder / f"sub-{first_patient(folder)}")
    edit(folder, 2, "exclusion", "motion")
    path = folder / "participants.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).replace("nan", "")
    table.to_csv(path, sep="\t", index=False)
    assert check_cohort(folder) == []


def test_every_sequence_has_a_public_name_to_be_shown_by():
    assert set(DISPLAY_NAMES) == set(SEQUENCES)


def test_the_parts_of_a_cohort_have_one_name_everywhere():
    (part,) = (column for column in COLUMNS if column.name == "cohort")
    assert tuple(code for code, _ in part.levels) == COHORTS


def test_an_unknown_sequence_is_refused(written):
    with pytest.raises(ValueError, match="t1w, t2w, cet1w"):
        image_path(written, "C1P0001", "flair")


def test_covariates_are_coded_against_the_reference_levels_of_print():
    patients = pd.DataFrame(
        {
            "age": [44, 60],
            "sex": ["male", "female"],
            "t_stage": ["T1", "T2"],
            "n_stage": ["N1", "N0"],
            "ldh": ["normal", "missing"],
            "ebv_dna": ["missing", "detectable"],
            "rene": [2, 0],
            "chemotherapy": ["none", "other"],
            "cohort": "training",
        }
    )
    coded = code_covariates(patients)
    assert coded.loc[0].fillna(-1).tolist() == [44, 0, 0, 1, 0, -1, 0, 1, 0]
    assert coded.loc[1].fillna(-1).tolist() == [60, 1, 1, 0, -1, 1, 0, 0, 1]


def test_covariates_are_named_with_or_without_spaces_and_unknown_ones_refused():
    assert covariate_names("t2, rene_g1,female,") == ["t2", "rene_g1", "female"]
    with pytest.raises(ValueError, match="smoking: no such covariate; there are age, female"):
        covariate_names("t2,smoking")


def test_of_two_tables_neither_is_taken(table_only):
    (table_only / "participants.csv").write_text("patient_id,age\n1,50\n")
    (problem,) = check_cohort(table_only)
    assert "keep one of them" in str(problem)
    with pytest.raises(ValueError, match="keep one of them"):
        read_cohort(table_only)


def test_many_rows_of_one_patient_are_listed_at_once(table_only):
    path = table_only / "participants.tsv"
    header, row = path.read_text().splitlines()[:2]
    path.write_text("\n".join([header, *[row] * 20_000]) + "\n")
    start = time.process_time()
    assert sum("stands in row 2 already" in str(problem) for problem in check_cohort(table_only)) == 19_999
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"Name": "x", "synthetic": false, "synthetic": true}', "'synthetic' stands twice"),
        ('{"Name": "x\\ud800", "synthetic": false}', 'a "Name" that is not a line'),
    ],
)
def test_a_description_says_each_thing_once_and_in_letters(table_only, text, said):
    (table_only / "dataset_description.json").write_text(text)
    assert said in str(check_cohort(table_only)[0])


def test_contours_that_cover_everything_are_refused(folder):
    mask = next(folder.glob("derivatives/masks/sub-*/anat/*_T1w_dseg.nii.gz"))
    picture = sitk.ReadImage(mask)
    sitk.WriteImage(picture * 0 + 1, mask)
    assert "no voxel of background" in " ".join(map(str, check_cohort(folder)))
