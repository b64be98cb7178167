"""Check that a tag, the package, CITATION.cff and CHANGELOG.md name one version; print what is new in it.

python tools/release.py v0.2.0
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def versions() -> dict[str, str]:
    """Return the version that each file names."""
    texts = {
        name: (ROOT / name).read_text("utf-8")
        for name in ("npcbook/__init__.py", "CITATION.cff", "CHANGELOG.md")
    }
    patterns = (r'__version__ = "(.+)"', r"^version: (.+)$", r"^## (\S+)")
    found = {
        name: re.search(pattern, texts[name], re.M)[1] for name, pattern in zip(texts, patterns, strict=True)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found | {"pyproject.toml": project["version"]}


def news() -> str:
    """Return what CHANGELOG.md says of its first version."""
    return re.split(r"^## .*$", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)[1].strip()


def main(tag: str) -> int:
    """Print the news of a release; return 1, and which file says what, if the versions differ."""
    named = versions()
    if set(named.values()) != {tag.removeprefix("v")}:
        print(
            f"The tag is {tag}, but {', '.join(f'{k} has {v}' for k, v in named.items())}.", file=sys.stderr
        )
        return 1
    print(news())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
