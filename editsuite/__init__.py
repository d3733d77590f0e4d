"""A regression suite for sequential memory editing of language models."""

from importlib.metadata import version

__version__ = version("editsuite")
