"""Source and template become a crate: its name checked, its lines kept, its manifest written."""

from .crate import CELL, Crate, sample_crate, sample_source, write_crate
from .dependencies import Dependency, parse_dependency, split_dependencies
from .names import fit_name, validate_module, validate_name
from .plain import write_plain
from .template import Template, load_template, template_root
from .tests import DriverTest, for_testing

__all__ = [
    "CELL",
    "Crate",
    "Dependency",
    "DriverTest",
    "Template",
    "fit_name",
    "for_testing",
    "load_template",
    "parse_dependency",
    "sample_crate",
    "sample_source",
    "split_dependencies",
    "template_root",
    "validate_module",
    "validate_name",
    "write_crate",
    "write_plain",
]
