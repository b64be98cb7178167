"""The same calls on a Dask cluster: equal results, also when a worker is killed in the middle."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from npcbook import __main__ as command_line, store
from npcbook.cohort import image_path, mask_path
from npcbook.imaging import features, radiomics
from npcbook.imaging.network import NetworkSettings, UNet3d
from npcbook.imaging.preprocessing import preprocess_files, preprocessed_path
from npcbook.imaging.trained import TrainedNetwork, save_network
from npcbook.statistics import bootstrap_selection
from npcbook.store import CLUSTER, MARK, cluster, spread
from npcbook.synthetic.writer import write_cohort

GRID = (8, 32, 32)


def work(folder: Path) -> dict:
    """Do everything that `spread` shares out, on a small cohort; return what came out of it."""
    cohort = write_cohort(folder / "cohort", patients=30, grid=GRID, workers=1)
    patients = sorted(path.name.removeprefix("sub-") for path in cohort.glob("sub-*"))[:3]
    pairs = [(image_path(cohort, p, "t1w"), preprocessed_path(folder, p, "t1w")) for p in patients]
    report = preprocess_files(pairs, workers=1).drop(columns="source")
    cases = pd.DataFrame({"patient_id": patients, "sequence": "t1w", "image_path": [to for _, to in pairs]})
    cases["mask_path"] = [mask_path(cohort, patient, "t1w") for patient in patients]
    extraction = radiomics.extract_cohort(cases, folder=folder / "radiomics", workers=1)
    network, files = folder / "network.safetensors", [(to, folder / f"{to.stem}.nii.gz") for _, to in pairs]
    save_network(network, TrainedNetwork(untrained(), pd.DataFrame()))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"))
    given = table, rng.exponential(size=60), np.arange(60) % 3 == 0, rng.integers(60, size=(3, 60))
    chosen = bootstrap_selection(*given, n_folds=3, workers=1)
    seen = features.segment_patients(files, network, folder / "features", plane_mm=None)
    made = [p for p in folder.rglob("*") if p.suffix in (".gz", ".npz", ".tsv") and p.name != MARK]
    files = store.files_fingerprint(made, relative_to=folder)
    made = {"radiomics": extraction.features, "features": seen, "chosen": chosen, "files": files}
    return made | {"report": report}


def untrained() -> UNet3d:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet3d(NetworkSettings(width="tiny", grid=GRID)).eval()


def once_killed(number: int, folder: Path) -> int:
    """Return the number's square; the first worker that gets to 5 dies of it."""
    if number == 5 and not (folder / "died").exists():
        (folder / "died").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    before = {name: value for name, value in os.environ.items() if "THREADS" in name}
    with cluster("local:2"):
        yield os.environ[CLUSTER]
    # What Dask sets for its workers would slow down what is started after them.
    assert {name: value for name, value in os.environ.items() if "THREADS" in name} == before
    assert CLUSTER not in os.environ


@pytest.mark.slow
def test_a_cluster_gives_what_one_computer_gives_though_a_worker_is_killed(
    tmp_path, two_workers, monkeypatch
):
    here, there, jobs = (tmp_path / name for name in ("here", "there", "jobs"))
    os.environ.pop(CLUSTER)
    expected = work(here)
    os.environ[CLUSTER] = two_workers
    jobs.mkdir()
    # The worker dies while others of these, and its own earlier results, wait to be fetched.
    assert list(spread(once_killed, [(n, jobs) for n in range(40)])) == [n**2 for n in range(40)]
    assert not store.psutil.pid_exists(int((jobs / "died").read_text()))
    found = work(there)
    assert found.pop("files") == expected.pop("files")
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)
    # A process that is started meanwhile, as chapters are, learns of the cluster by its environment.
    script = "from npcbook.store import spread; import os; print(os.getpid() in spread(os.getpid, [()] * 9))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    monkeypatch.setattr(store, "package_versions", lambda: {"numpy": "another"})
    with pytest.raises(ValueError, match=r"Of 2 workers at tcp.* 2 have another npcbook or other packages"):
        store._check_workers(two_workers)
    monkeypatch.undo()


@pytest.mark.parametrize("place", ["local:0", "local:two", "nowhere", "tcp://127.0.0.1:9"])
def test_what_is_no_cluster_is_refused_in_one_sentence(place, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "data"))
    monkeypatch.setattr(store, "SECONDS_TO_CONNECT", 0.2)
    assert command_line.main(["simulate", "--profile", "smoke", "--cluster", place]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("No Dask scheduler answers at")
    assert "local:N" in said
    assert len(said.splitlines()) == 1
    assert CLUSTER not in os.environ
