"""Code that a model wrote runs here, in a sandbox, and nowhere else.

Two processes, each in bubblewrap, share nothing but a pipe that this process relays: one holds the
program, the other its checks. ``docs/sandbox.md`` tells what that holds against.
"""

from editsuite.sandbox.limits import Limits
from editsuite.sandbox.program import Program
from editsuite.sandbox.sandbox import Sandbox
from editsuite.sandbox.verdict import OUTCOMES, Outcome, Verdict

__all__ = ["OUTCOMES", "Limits", "Outcome", "Program", "Sandbox", "Verdict"]
