"""The report room: a table for the terminal, and one page that needs nothing but itself.

It sees the plain data of ``observations.json``, not chains and not models. matplotlib and jinja2
are imported when a page is drawn.
"""

from editsuite.report.strict import ReportError, dump_json, load_json, read_observations
from editsuite.report.summary import summary_table
from editsuite.report.write import write_report

__all__ = [
    "ReportError",
    "dump_json",
    "load_json",
    "read_observations",
    "summary_table",
    "write_report",
]
