"""Makes constraints.txt: ``make constraints``.

Every version that pyproject.toml asks for, of each extra and of what builds the project, with the hashes of all the
files that the version has, whatever machine they are for. A version that is there stays unless pyproject.toml or an
option, such as ``--upgrade-package=NAME``, asks for another. Where the files were found is the machine's own business,
and is not noted. uv asks PyPI, or the index that ``UV_DEFAULT_INDEX`` names; it does not read pip's settings.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PLACE = CHECKOUT / ".build/lock"
COMPILE = (
    *(
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--universal",
        "--python-version=3.11",
        "--all-extras",
        "--strip-extras",
    ),
    *("--generate-hashes", "--no-header", "--no-emit-package=ao-workflows"),
)


def main() -> int:
    python, lock = PLACE / "bin/python", CHECKOUT / "constraints.txt"
    if not python.exists():
        print(f"Installing uv in {PLACE.relative_to(CHECKOUT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
    done = subprocess.run([python, CHECKOUT / ".ci/install.py", "--alone", "lock"], check=False).returncode
    if done:
        return done
    # It takes the old one's place when it is whole.
    made = PLACE / "constraints.txt"
    shutil.copyfile(lock, made)
    words = [PLACE / "bin/uv", *COMPILE, *sys.argv[1:], "--output-file", made, "pyproject.toml", "-"]
    builder = "\n".join(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"])
    done = subprocess.run(words, cwd=CHECKOUT, input=builder, text=True, check=False).returncode
    if done:
        print("constraints.txt is as it was", file=sys.stderr)
        return done
    lock.write_bytes(made.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
