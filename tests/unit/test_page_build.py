"""When the web page is built, and with what."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build hook, over sources and a page of this test's own."""
    spec = importlib.util.spec_from_file_location("hatch_build", Path(__file__).parents[2] / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sources, page = tmp_path / "ui", tmp_path / "page"
    (sources / "src").mkdir(parents=True)
    page.mkdir()
    for name in ("package.json", "package-lock.json", "src/main.tsx"):
        (sources / name).write_text(name)
    monkeypatch.setattr(module, "SOURCES", sources)
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(module, "STAMP", page / ".made-from")
    monkeypatch.setattr(module, "INSTALLED", sources / "node_modules" / ".made-from")
    monkeypatch.delenv(module.SKIP, raising=False)
    return module


def as_built(build: ModuleType) -> None:
    build.STAMP.write_text(build.digest(build.FEEDS_THE_BUILD))


def no_node() -> None:
    return None


def test_what_was_built_from_the_same_sources_is_not_built_again(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "found_node", no_node)
    as_built(build)
    assert build.needs() == []
    build.build()


def test_a_changed_source_asks_for_another_build(build: ModuleType) -> None:
    as_built(build)
    (build.SOURCES / "src" / "main.tsx").write_text("changed")
    assert not build.is_current()


def test_a_deleted_source_asks_for_another_build(build: ModuleType) -> None:
    (build.SOURCES / "src" / "more.ts").write_text("more")
    as_built(build)
    (build.SOURCES / "src" / "more.ts").unlink()
    assert not build.is_current()


def test_a_machine_without_node_is_given_one_from_pypi(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "found_node", no_node)
    assert build.needs() == [build.WHEEL]
    monkeypatch.setattr(build, "wheels_node", no_node)
    with pytest.raises(build.BuildFailed, match=f"pip install {build.WHEEL}, or set DOWNDRAFT_SKIP_UI=1"):
        build.build()


def test_the_page_can_be_left_out(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "found_node", no_node)
    monkeypatch.setenv(build.SKIP, "1")
    assert build.needs() == []
    build.build()
    assert not build.PAGE.exists()


def test_a_build_that_fails_says_why_and_what_to_do(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        build, "found_node", lambda: build.Node("/bin/false", ("/bin/sh", "-c", "echo broken >&2; false"))
    )
    with pytest.raises(build.BuildFailed, match=r"broken\nMend that .* or leave the page out with DOWNDRAFT_SKIP_UI=1"):
        build.build()
    assert not build.STAMP.exists()


@pytest.mark.parametrize(
    ("version", "is_new_enough"),
    [
        ("v20.19.0", True),
        ("v20.18.9", False),
        ("v21.7.0", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0\n", True),
        ("v18.20.4", False),
        ("nonsense", False),
    ],
)
def test_the_node_of_a_machine_is_taken_where_vite_runs_on_it(
    build: ModuleType, version: str, is_new_enough: bool
) -> None:
    assert build.is_new_enough(version) is is_new_enough


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [("11.19.1\n", True), ("10.8.2", True), ("9.2.0", True), ("12.0.0", True), ("8.19.4", False), ("", False)],
)
def test_the_npm_of_a_machine_is_taken_where_it_installs_vite_whole(
    build: ModuleType, version: str, is_enough: bool
) -> None:
    assert build.installs_vite(version) is is_enough


def test_the_node_from_pypi_is_pinned_as_its_lock_has_it(build: ModuleType) -> None:
    lock = (Path(__file__).parents[2] / "requirements-node.lock").read_text()
    assert f"\n{build.WHEEL} \\\n" in lock
