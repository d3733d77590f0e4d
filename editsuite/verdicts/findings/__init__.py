"""The paper's claims, each a predicate over readings: of the paper, or of any model."""

from editsuite.verdicts.findings.catalogue import FINDINGS, judge_all
from editsuite.verdicts.findings.claims import TABLE_1, Claim, judge, status, table_1
from editsuite.verdicts.findings.models import partners
from editsuite.verdicts.findings.outcome import Finding, Outcome, Part, Verdict
from editsuite.verdicts.findings.printed import printed
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.verdict import MARGIN, Kept

__all__ = [
    "FINDINGS",
    "MARGIN",
    "TABLE_1",
    "Claim",
    "Finding",
    "Kept",
    "Outcome",
    "Part",
    "Reading",
    "Readings",
    "Verdict",
    "judge",
    "judge_all",
    "partners",
    "printed",
    "status",
    "table_1",
]
