"""The controller's part: progress while tests run, the table and the report at the end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from editsuite.files import write_text_atomically
from editsuite.plugin import options
from editsuite.plugin.collected import PROPERTY
from editsuite.plugin.leftovers import leftovers, remove
from editsuite.plugin.progress import ProgressReader
from editsuite.plugin.session import EditSession
from editsuite.report import summary_table, write_report

if TYPE_CHECKING:
    from editsuite.plugin.run_findings import RunFindings


class Reporter:
    """Registered where results come together: on xdist's controller, or without workers.

    Args:
        session: this process's session.
    """

    def __init__(self, session: EditSession) -> None:
        self._session = session
        self._reader: ProgressReader | None = None
        self._left: list[str] = []
        self._judged: RunFindings | None = None
        self._status = 0

    def pytest_sessionstart(self) -> None:
        """Watch the edits of all workers."""
        terminal = sys.__stderr__
        if terminal is not None:
            self._reader = ProgressReader(self._session.folder, terminal)
            self._reader.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what a check observed."""
        if report.when != "call":
            return
        self._session.collected.take(report.user_properties)
        if report.failed and any(name == PROPERTY for name, _ in report.user_properties):
            self._session.collected.fail(report.nodeid, report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge the findings, and find baselines that no check asks for any more."""
        if self._reader is not None:
            self._reader.stop()
        if self._session.space:  # nothing will ever ask for this run's own looks again
            from editsuite.runs.store import looks_folder

            folder = looks_folder(self._session.settings.cache, self._session.space)
            shutil.rmtree(folder, ignore_errors=True)
        config = self._session.config
        self._status = int(exitstatus)
        if not self._session.collected.rows:
            return
        from editsuite.plugin.run_findings import judge_run  # imports statistics, seconds of them

        self._judged = judge_run(self._session)
        if exitstatus != pytest.ExitCode.OK:
            return  # a check that broke before it observed is not gone
        self._left = leftovers(self._session)
        if config.option.update_snapshots:
            remove(self._left)
        elif self._left or self._judged.contradicted:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._status = int(session.exitstatus)  # pytest hands the old one on

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One table of everything observed, and where the report lies."""
        collected, config = self._session.collected, self._session.config
        if not collected.rows:
            return
        workers = int(getattr(config.option, "numprocesses", None) or 0)
        data = collected.report(self._status, workers)
        name = "-".join(dict.fromkeys(row["method"] for row in data["rows"]))
        folder = config.rootpath / options.value(config, "reports") / name
        terminalreporter.section("editsuite")
        terminalreporter.write_line(summary_table(data, terminalreporter._tw.fullwidth))
        for line in self._left:
            updated = config.option.update_snapshots
            terminalreporter.write_line(
                f"{'removed' if updated else 'left over'}: {line} (no check asks for it)"
            )
        verbose = config.getoption("edit_verbose")
        for line in self._judged.lines(numbers=verbose) if self._judged else ():
            terminalreporter.write_line(line)
        if verbose:
            for line in _memory_lines(collected.memory):
                terminalreporter.write_line(line)
        for path in write_report(folder, data):
            terminalreporter.write_line(f"report: {path}")
        if self._judged and (told := self._judged.lines(numbers=True)):
            write_text_atomically(folder / "findings.txt", "\n".join(told) + "\n")
            terminalreporter.write_line(f"report: {folder / 'findings.txt'}")


def _memory_lines(memory: Mapping[str, Mapping[str, int]]) -> list[str]:
    from editsuite.runs.memory import MemoryUse

    lines = []
    for worker, held in sorted(memory.items()):
        lines.append(f"memory of {worker}:")
        lines += [f"  {line}" for line in MemoryUse(**held).lines()]
    return lines
