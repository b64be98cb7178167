"""Write the versions installed in this environment to requirements.lock and environment.yml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, CONDA = ROOT / "requirements.lock", ROOT / "environment.yml"

listing = [sys.executable, "-m", "pip", "freeze", "--all", "--exclude-editable", "--exclude", "pip"]
freeze = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
# A build label such as +cpu names a wheel that not every index has.
pins = sorted((line.split("+")[0] for line in freeze.splitlines() if "==" in line), key=str.lower)
comment = LOCK.read_text("utf-8").splitlines()[0]
LOCK.write_text("\n".join([comment, *pins]) + "\n", "utf-8")

head = CONDA.read_text("utf-8").split("  - pip:\n")[0]
rest = [f"      - {pin}\n" for pin in pins if not pin.startswith("pyradiomics")]
CONDA.write_text(head + "  - pip:\n" + "".join(rest), "utf-8")
