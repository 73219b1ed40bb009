"""Results as pages: one self-contained HTML file per evaluation, one that compares several, and tables for papers.

For the rest of the library: ``write_run_page`` (numbers, curves, map, and every query with pictures of some),
``write_comparison`` (page, CSV and Markdown of several evaluations) and ``read_evaluations`` (those that folders hold).
A page needs no network and no other file; pictures are inside it, in a bounded number of bytes.
"""

from fol.reporting.comparable import Evaluated, Group, groups, read_evaluations
from fol.reporting.comparison_page import write_comparison
from fol.reporting.run_page import REPORT, write_run_page

__all__ = ["REPORT", "Evaluated", "Group", "groups", "read_evaluations", "write_comparison", "write_run_page"]
