"""What people see first is true: the README's tree, the commands, the requirement files."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
NAMES = ("check", "convert", "demo", "export", "probe", "show", "split")
COMMANDS = [*(f"tools.{name}" for name in NAMES), "network"]
PROMISED = ["setup", "demo", "test", "test-slow", "test-gpu", "check", "bench", "help"]


def requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    named = (line.split("#")[0].strip() for line in lines)
    return {line.lower() for line in named if line and not line.startswith("-")}


def test_the_readme_names_every_file_of_ours_and_no_other():
    tree = README.split("## The tree")[1]
    named = {path for path in re.findall(r"^    (\S+)", tree, re.MULTILINE) if "*" not in path}
    missing = [path for path in sorted(named) if not (ROOT / path).exists()]
    assert not missing, f"the README's tree names what is not there: {missing}"
    ours = {
        path.relative_to(ROOT).as_posix()
        for room in ("data", "train", "network", "tools", ".")
        for path in (ROOT / room).glob("*.py")
        if path.name != "__init__.py"
    }
    assert ours <= named, f"the README's tree leaves out {sorted(ours - named)}"


def test_every_link_in_the_documents_leads_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text())
        broken = [link for link in links if not (document.parent / link).exists()]
        assert not broken, f"{document.name}: {broken}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_is_in_the_readme_or_makefile(command: str):
    run = subprocess.run([sys.executable, "-m", command, "--help"], cwd=ROOT, capture_output=True,
                         text=True, check=True)  # fmt: skip
    assert f"python -m {command}" in run.stdout
    assert f"-m {command}" in README + (ROOT / "Makefile").read_text()


def test_make_lists_what_it_can_do():
    run = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in run.stdout.splitlines()}
    assert set(PROMISED) <= listed


def test_the_readmes_commands_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for document in ("README.md", "CONTRIBUTING.md"):
        asked = re.findall(r"^    make ([a-z-]+)", (ROOT / document).read_text(), re.MULTILINE)
        assert set(asked) <= set(targets), document


def test_the_tested_versions_are_the_ones_that_run_here():
    pinned = dict(line.split("==") for line in sorted(requirements("constraints.txt")))
    asked = {
        name
        for file in ("", "-lite", "-extras", "-dev")
        for name in requirements(f"requirements{file}.txt")
    }
    assert asked == set(pinned), "requirements and constraints.txt name different packages"
    running = {name: version(name).split("+")[0] for name in pinned}
    assert running == pinned


def test_the_lite_part_has_no_torch():
    assert not {"torch", "torchvision"} & requirements("requirements-lite.txt")
    assert {"torch", "torchvision"} <= requirements("requirements.txt")


def test_ci_runs_what_people_run():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make check" in script
    assert "make test\n" in script


@pytest.mark.gpu
def test_torch_computes_on_the_device():
    import torch

    numbers = torch.arange(1024, dtype=torch.float32, device="cuda")
    assert float((numbers * numbers).sum()) == pytest.approx(sum(at * at for at in range(1024)))
