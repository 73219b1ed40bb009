"""Templates to files: everything that is put into a page is escaped, and no page loads anything from elsewhere."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fol.data import printable
from fol.evaluation.journal import writing
from fol.files import write_atomically
from fol.reporting.words import counted, metres, p_value, points, share, size, span


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fol.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted,
        "metres": metres,
        "name": printable,
        "p_value": p_value,
        "points": points,
        "share": share,
        "size": size,
        "span": span,
    }
    environment.globals["source"] = _source
    return environment


def _source(name: str) -> Markup:
    """A style sheet or script of the package, to stand inside a page as it is."""
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), name)[0])


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Render ``template`` into the file ``path``, atomically; ``DataError`` when it cannot be written."""
    text = _environment().get_template(template).render(**values)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode(errors="backslashreplace"))
    return path
