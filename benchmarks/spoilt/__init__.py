"""Editors that are wrong in one thing each: does a check turn red?

A check that no broken editor fails shows nothing. Each module here takes one method and spoils it
at the place where the mistake would be made; ``entrants`` lists them all. They are no part of the
package that is installed.
"""
