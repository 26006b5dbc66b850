"""Typed settings: what can be set, in which unit, and what follows from it.

Sources, the later one wins: defaults, ``hive.toml`` (``HIVE_CONFIG`` names another file), ``HIVE_<PART>_<FIELD>``
in the environment, arguments in code. All of them are checked together when they are loaded: an unknown key is an
error that names the nearest known one, and relations between settings (a renewal that leaves the lease no margin,
a soft limit above the hard one) are errors too, so that a worker never starts with settings that cannot work.

Nothing here reads settings at import: whoever builds the application loads them once and hands the parts on.
"""

from hive.settings.load import Provenance, config_file, explain_settings, load_settings
from hive.settings.model import Settings

__all__ = ["Provenance", "Settings", "config_file", "explain_settings", "load_settings"]
