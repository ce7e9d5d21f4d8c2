"""Runs the benchmarks, prints their table, and writes ``benchmarks/results.json``.

    python -m benchmarks [NAME …]

Each benchmark is a module here with ``run() -> list[Result]``. Exits with 1 if a bound does not hold.
"""

from __future__ import annotations

import json
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

_HERE = Path(__file__).parent
_NOT_ONE = {"__main__", "bag_zips", "measure", "s3_server", "s3_sink"}


def main(wanted: list[str]) -> int:
    names = sorted(module.name for module in pkgutil.iter_modules([str(_HERE)]) if module.name not in _NOT_ONE)
    if unknown := set(wanted) - set(names):
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    results = [result for name in wanted or names for result in import_module(f"benchmarks.{name}").run()]
    table = Table("what", "ours", "peer", "unit", "ratio", "bound", "holds")
    for result in results:
        table.add_row(
            result["name"],
            f"{result['ours']:.3f}",
            "" if result["peer"] is None else f"{result['peer']:.3f}",
            result["unit"],
            f"{result['ratio']:.2f}",
            result["bound"],
            "yes" if result["holds"] else "NO",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    (_HERE / "results.json").write_text(json.dumps(results, indent=1))
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
