"""Walking through folders: what is met, what is left out, what is said."""

from __future__ import annotations

from pathlib import Path

from data.folders import walk


def test_everything_is_met_once_in_order_but_what_is_hidden(tmp_path: Path):
    for name in ("b/2", "b/1", "a/x/y", ".hidden/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    met = [(Path(folder).relative_to(tmp_path).as_posix(), files)
           for folder, _, files in walk(tmp_path)]  # fmt: skip
    assert met == [(".", []), ("a", []), ("a/x", ["y"]), ("b", ["1", "2"])]


def test_a_link_is_followed_and_a_circle_is_said(tmp_path: Path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "up").symlink_to(tmp_path / "root")
    (tmp_path / "elsewhere" / "there").symlink_to(tmp_path / "root")
    circles: list[str] = []
    files = [name for _, _, names in walk(tmp_path / "root", circles.append) for name in names]
    assert files == ["file"]
    # The second is met through `link`: it leads back to where the walk came from.
    assert circles == [str(tmp_path / "root" / "a" / "up"),
                       str(tmp_path / "root" / "link" / "there")]  # fmt: skip


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path):
    errors: list[OSError] = []
    assert list(walk(tmp_path / "nothing", on_error=errors.append)) == []
    assert [type(error) for error in errors] == [FileNotFoundError]
