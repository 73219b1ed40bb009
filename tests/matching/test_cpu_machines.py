"""Machines that lack something: instructions, numba, a folder that can be written."""

from __future__ import annotations

import sys
import warnings

import pytest

from fol.matching import backends, get_backend
from fol.matching.backends import cpu_compile, cpu_float32, cpu_int8
from fol.matching.backends.cpu_features import VARIABLE, cpu_features
from fol.matching.backends.cpu_mutual import pick


def test_the_variable_takes_features_away_and_adds_none(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    present = cpu_features()
    monkeypatch.setenv(VARIABLE, "no-such-thing," + ", ".join(sorted(present)[:2]))
    assert cpu_features() == set(sorted(present)[:2])
    monkeypatch.setenv(VARIABLE, "")
    assert cpu_features() == set()


@pytest.mark.parametrize(
    ("features", "int8", "exact"),
    [
        ({"avx512f", "avx512vnni", "avx2", "fma", "amx-tile", "amx-int8"}, "amx", "avx512"),
        ({"avx512f", "avx512vnni", "avx2", "fma"}, "avx512", "avx512"),
        ({"avxvnni", "avx2", "fma"}, "avxvnni", "avx2"),
        ({"avx2", "fma"}, "avx2", "avx2"),
        ({"neon", "dotprod"}, "neon", "neon"),
        ({"neon"}, "plain", "neon"),
        (set(), "plain", None),
    ],
)
def test_the_best_instructions_are_taken(features, int8, exact):
    assert pick(cpu_int8.KERNELS, frozenset(features)).run.__name__ == f"_run_{int8}"
    kernel = pick(cpu_float32.KERNELS, frozenset(features))
    assert (kernel and kernel.run.__name__) == (exact and f"_run_{exact}")


@pytest.fixture
def no_notice_yet():
    backends._notice.cache_clear()
    yield
    backends._notice.cache_clear()


def test_without_numba_auto_takes_torch_and_says_so_once(monkeypatch, no_notice_yet):
    for name in [name for name in sys.modules if name.startswith(("fol.matching.backends.cpu", "numba"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)  # its import raises ImportError
    with pytest.warns(UserWarning, match=r"matching runs on plain torch.*'cpu'.*numba") as caught:
        assert get_backend("auto", "cpu").name == "torch"
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_backend("auto", "cpu", "int8").name == "torch"
    with pytest.raises(ImportError):
        get_backend("cpu", "cpu")


def test_with_numba_auto_takes_the_kernels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {get_backend("auto", "cpu", p).name for p in ("exact", "int8", "binary")} == {"cpu"}


def double(number):
    return 2 * number


@pytest.mark.parametrize("writable", [True, False])
def test_machine_code_is_kept_where_possible(tmp_path, monkeypatch, writable):
    home = tmp_path / "home"
    if not writable:
        home.write_text("a file where a folder should be")
    monkeypatch.setenv("FOL_HOME", str(home))
    monkeypatch.setattr(cpu_compile.config, "CACHE_DIR", "")
    cpu_compile._folder.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert cpu_compile.compiled(double)(21) == 42
            assert cpu_compile.compiled(double)(4) == 8
    finally:
        cpu_compile._folder.cache_clear()
    assert [str(home) in str(notice.message) for notice in caught] == [] if writable else [True]
    assert bool(list(tmp_path.rglob("*.nbc"))) == writable
    assert cpu_compile.config.CACHE_DIR == ""
