"""A synthetic cohort on disk depends on its seed alone, says how it was made, and can be made again."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import psutil
import pytest

from npcbook.cohort import check_cohort, image_path, mask_path, read_cohort, read_truth
from npcbook.imaging import read_mask, read_volume
from npcbook.store import MARK, is_own
from npcbook.synthetic import writer
from npcbook.synthetic.patients import DEFAULT_SEED, HazardRatios
from npcbook.synthetic.writer import MORE_EVENTS, rebuild_anatomy, render_again, write_cohort

GRID = (6, 24, 24)


def test_small_cohorts_have_enough_events_and_say_why(tmp_path):
    folder = write_cohort(tmp_path / "smoke", patients=120, grid=GRID)
    events = read_cohort(folder).patients.groupby("cohort")["dm_event"].sum()
    assert events["training"] >= 10
    assert events["validation"] >= 10
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["Generator"]["specification"]["event_rate_multiplier"] > 1
    assert description["Remark"] == MORE_EVENTS


def test_too_few_patients_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 30"):
        write_cohort(tmp_path / "tiny", patients=5, grid=GRID)


def contents(folder):
    """Return a hash of every file by name; the mark, with a number of its own for each folder, apart."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARK]
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("written") / "a", patients=36, grid=GRID, workers=1)


def test_files_do_not_depend_on_the_number_of_workers(written, tmp_path):
    assert contents(write_cohort(tmp_path / "a", patients=36, grid=GRID, workers=2)) == contents(written)


def test_another_seed_gives_other_patients_and_images(written, tmp_path):
    other = contents(write_cohort(tmp_path / "a", patients=36, grid=GRID, workers=1, seed=5))
    first = contents(written)
    assert other["participants.tsv"] != first["participants.tsv"]
    image = "sub-C1P0001/anat/sub-C1P0001_T1w.nii.gz"
    assert other[image] != first[image]


def test_an_unchanged_cohort_is_left_alone_and_a_changed_one_is_written_again(written, tmp_path):
    folder = tmp_path / "a"
    write_cohort(folder, patients=36, grid=GRID, workers=1)
    image = folder / "sub-C1P0001" / "anat" / "sub-C1P0001_T1w.nii.gz"
    stamp = image.stat().st_mtime_ns
    write_cohort(folder, patients=36, grid=GRID, workers=1)
    assert image.stat().st_mtime_ns == stamp
    with pytest.raises(FileNotFoundError, match="not there as it would be written today"):
        write_cohort(folder, patients=36, grid=(6, 26, 26), workers=1, dry=True)
    write_cohort(folder, patients=36, grid=GRID, workers=1, dry=True)
    write_cohort(folder, patients=36, grid=(6, 26, 26), workers=1)
    assert check_cohort(folder) == []
    assert read_cohort(folder).read_volume("C1P0001", "t1w").image.shape == (6, 26, 26)
    write_cohort(folder, patients=36, grid=GRID, workers=1, force=True)
    assert contents(folder) == contents(written)


WRITER = f"""
import sys, time
from npcbook.synthetic import writer
really = writer._write
def slowly(*arguments, **options):
    print(sys.flags.optimize, flush=True)
    time.sleep(1)
    really(*arguments, **options)
writer._write = slowly
writer.write_cohort(sys.argv[1], patients=36, grid={GRID}, workers=1)
"""
ELSEWHERE = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"}


def test_of_two_that_write_at_once_one_waits_and_the_other_s_environment_changes_no_byte(
    written, tmp_path, monkeypatch, capsys
):
    folder, written_twice = tmp_path / "a", []
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | ELSEWHERE
    options = {"env": environment, "umask": 0o077, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-O", "-c", WRITER, folder], **options) as process:
        assert process.stdout.readline() == b"1\n"
        monkeypatch.setattr(writer, "_write", lambda *arguments, **options: written_twice.append(arguments))
        assert write_cohort(folder, patients=36, grid=GRID, workers=1) == folder
    assert (process.returncode, written_twice) == (0, [])
    assert f"waiting for another process that uses {folder}" in capsys.readouterr().err
    assert contents(folder) == contents(written)
    private = [path.stat().st_mode & 0o077 for path in folder.rglob("*") if path.name != MARK]
    assert set(private) == {0}


def _write(folder):
    os.setsid()
    write_cohort(folder, patients=36, grid=GRID, workers=2)


def test_a_killed_run_continues_and_ends_the_same(written, tmp_path):
    folder = tmp_path / "a"
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(folder,))
    process.start()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("sub-*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    helpers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    psutil.wait_procs(helpers, timeout=10)  # who is killed may write on for a moment
    there = len(list(folder.glob("sub-*")))
    assert there >= 5
    if there < 36:
        with pytest.raises(ValueError, match="not written to its end"):
            read_cohort(folder)
    write_cohort(folder, patients=36, grid=GRID, workers=1)
    assert contents(folder) == contents(written)


def test_a_lost_patient_is_written_again(written, tmp_path):
    folder = write_cohort(tmp_path / "a", patients=36, grid=GRID, workers=1)
    lost = folder / "sub-C1P0003"
    lost.rename(tmp_path / "elsewhere")
    write_cohort(folder, patients=36, grid=GRID, workers=1)
    assert contents(folder) == contents(written)


@pytest.mark.parametrize(
    "description", [None, "[]", *(f'{{"Name": "ours", "synthetic": {said}}}' for said in ("false", "true"))]
)
def test_a_users_folder_is_never_touched(tmp_path, description):
    (tmp_path / "precious.txt").write_text("ours")
    if description:
        (tmp_path / "dataset_description.json").write_text(description)
    with pytest.raises(FileExistsError, match="no synthetic cohort"):
        write_cohort(tmp_path, patients=36, grid=GRID, force=True)
    assert (tmp_path / "precious.txt").read_text() == "ours"


def test_a_cohort_of_a_version_without_marks_is_moved_aside(tmp_path):
    folder = write_cohort(tmp_path / "a", patients=30, grid=(4, 8, 8), workers=1)
    (folder / MARK).unlink()
    before = contents(folder)
    write_cohort(folder, patients=30, grid=(4, 8, 8), workers=1)
    assert is_own(folder)
    assert contents(folder) == contents(tmp_path / "a-unmarked1") == before
    assert not is_own(tmp_path / "a-unmarked1")


def test_description_tells_how_the_cohort_was_made(written):
    description = json.loads((written / "dataset_description.json").read_text())
    assert description["synthetic"] is True
    assert description["Complete"] is True
    generator = description["Generator"]
    assert (generator["scenario"], generator["seed"], generator["grid"]) == (
        "paper",
        DEFAULT_SEED,
        list(GRID),
    )
    assert generator["specification"]["hr"] == asdict(HazardRatios())
    masks = json.loads((written / "derivatives" / "masks" / "dataset_description.json").read_text())
    assert masks["DatasetType"] == "derivative"


def test_the_planted_anatomy_is_the_one_behind_the_images(tmp_path):
    folder = write_cohort(tmp_path / "cohort", patients=30, grid=(8, 32, 32), workers=1)
    patient = read_truth(folder).index[3]
    anatomy = rebuild_anatomy(folder, [patient])[patient]
    drawn = read_mask(mask_path(folder, patient, "t2w")) == 1
    planted = anatomy.tumour_mm < 0
    assert 2 * (drawn & planted).sum() / (drawn.sum() + planted.sum()) > 0.7
    assert not (anatomy.infiltration > 0.5)[anatomy.tumour_mm < -5].any()


def test_a_patient_rendered_again_is_the_same_but_for_what_was_changed(tmp_path):
    folder = write_cohort(tmp_path / "cohort", patients=30, grid=(8, 32, 32), workers=1)
    patient = read_truth(folder).index[5]
    stored = read_volume(image_path(folder, patient, "t2w"), mask_path(folder, patient, "t2w"))
    same = render_again(folder, patient)["t2w"]
    np.testing.assert_allclose(same.image, stored.image, atol=0.51)
    np.testing.assert_array_equal(same.mask, stored.mask)
    infiltrated = render_again(folder, patient, infiltration=3.0)["t2w"]
    np.testing.assert_array_equal(infiltrated.mask, stored.mask)
    assert np.abs(infiltrated.image - same.image).max() > 10 * np.median(
        np.abs(infiltrated.image - same.image)
    )


def test_real_patients_have_no_planted_anatomy(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "Ours", "synthetic": false}')
    with pytest.raises(FileNotFoundError, match=r"no truth\.csv"):
        rebuild_anatomy(tmp_path, ["P1"])


@pytest.mark.parametrize("maker", ["x", None, [5]])
def test_a_folder_whose_description_says_something_else_is_left_as_it_is(tmp_path, maker):
    (tmp_path / "theirs").mkdir()
    path = tmp_path / "theirs" / "dataset_description.json"
    path.write_text(json.dumps({"GeneratedBy": maker}))
    with pytest.raises(FileExistsError, match="no synthetic cohort that npcbook marked"):
        write_cohort(tmp_path / "theirs", patients=30, grid=(6, 24, 24), workers=1)
    assert json.loads(path.read_text()) == {"GeneratedBy": maker}
