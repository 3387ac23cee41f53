"""What upstream's webhooks were recorded to answer, against `fmesh admit`; differences have to stand in docs/compatibility.md.

The recordings (compare.py and dev/admission/) lie in the folder FMESH_GOLDEN, or in ../shared/golden beside the checkout.
"""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FMESH = str(Path(os.environ.get("FMESH_BUILD", ROOT / "build")).resolve() / "fmesh")
CELLS = re.compile(r"^\| ([\w-]+) \| `([^`]+)` \| [^|]+ \|$")
RESULT = re.compile(r"^(PASS|FAIL|SKIP) ([\w-]+)(?:: (\S+): )?")


def find_golden():
    """compare.py and the folder of the cases; None if they are not here."""
    given = os.environ.get("FMESH_GOLDEN")
    folder = Path(given) if given else ROOT.parent / "shared" / "golden"
    tool = folder / "compare.py" if (folder / "compare.py").exists() else folder.parent / "compare.py"
    cases = folder / "dev" / "admission" if (folder / "dev").is_dir() else folder / "admission"
    if tool.exists() and any(cases.glob("*/expected.json")):
        return tool, cases
    if given and not tool.exists():
        raise FileNotFoundError(f"FMESH_GOLDEN={given}: expected compare.py and dev/admission/*/expected.json")
    return None


GOLDEN = find_golden()


def allowed_differences():
    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    section = text.split("## Admission", 1)[1].split("\n## ", 1)[0]
    return {match.groups() for match in map(CELLS.match, section.splitlines()) if match}


@unittest.skipUnless(GOLDEN, "no golden cases: set FMESH_GOLDEN to their folder")
class GoldenAdmissionTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        tool, cases = GOLDEN
        command = [sys.executable, str(tool), "--verbose", "--admission", str(cases), "--", FMESH, "admit"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        cls.results = [match.groups() for match in map(RESULT.match, done.stdout.splitlines()) if match]
        cls.output = done.stdout[-4000:] + done.stderr[-2000:]
        cls.allowed = allowed_differences()

    def is_allowed(self, case, path):
        return any(case == name and (path or "").startswith(part) for name, part in self.allowed)

    def test_every_case_gets_upstreams_answer_save_for_listed_differences(self):
        self.assertTrue(self.results, self.output)
        surprises = [(case, path) for result, case, path in self.results
                     if result == "FAIL" and not self.is_allowed(case, path)]
        self.assertEqual(surprises, [], self.output)

    def test_every_listed_difference_is_still_one(self):
        failed = [(case, path) for result, case, path in self.results if result == "FAIL"]
        cases = {case for _, case, _ in self.results}
        stale = [(name, part) for name, part in self.allowed
                 if name in cases and not any(case == name and (path or "").startswith(part) for case, path in failed)]
        self.assertEqual(stale, [], "these pass now; take them off the list")


if __name__ == "__main__":
    unittest.main()
