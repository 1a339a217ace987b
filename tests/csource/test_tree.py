"""What is read of a kernel tree, and what is refused; all trees here are made by the tests."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmxsim.csource.tree import find_tree, read_tree, tree_of_commit
from vmxsim.errors import InputError, printable

MAIN = "arch/x86/kvm/vmx/vmx.c"
READ = {
    "arch/x86/kernel/process_64.c": "int process;\n",
    "arch/x86/kvm/msrs.c": "int msrs;\n",
    "arch/x86/kvm/vmx/main.c": "int first;\n",
    MAIN: "int vmx;\n",
    "arch/x86/kvm/vmx/vmx.h": "int header;\n",
    "arch/x86/kvm/x86.c": "int x86;\n",
}
OTHER = {
    "README": "readme\n",
    "arch/x86/kernel/tsc.c": "int tsc;\n",
    "arch/x86/kvm/svm/svm.c": "struct vcpu_svm *svm;\n",
    "arch/x86/kvm/vmx/vmenter.S": "nop\n",
    "mm/slab.c": "int slab;\n",
    "tools/arch/x86/kvm/vmx/vmx.c": "int tools;\n",
}


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    return plant(tmp_path / "linux", READ | OTHER)


def plant(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize("part", ["", "arch", "arch/x86", "arch/x86/kvm", "arch/x86/kvm/vmx"])
def test_a_root_or_a_folder_of_it_is_read_as_far_as_it_was_named(kernel: Path, part: str) -> None:
    assert read_tree(kernel / part).files == {p: t for p, t in READ.items() if p.startswith(part)}


def test_an_old_tree_has_its_file_beside_x86(tmp_path: Path) -> None:
    files = {"arch/x86/kvm/vmx.c": "int vmx;\n", "arch/x86/kvm/x86.c": "int x86;\n"}
    root = plant(tmp_path / "old", files)
    assert read_tree(root).files == read_tree(root / "arch/x86/kvm").files == files


def test_a_lone_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_bytes(b"int a;\r\nint \xff;\r\n")
    assert read_tree(tmp_path / "mine.c").files == {"mine.c": "int a;\nint \ufffd;\n"}


def test_a_lone_file_in_a_tree_keeps_its_path(kernel: Path) -> None:
    assert read_tree(kernel / MAIN).files == {MAIN: READ[MAIN]}


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("inside", ["linux-6.1", "."])
def test_an_archive_is_read_like_the_tree_in_it(
    kernel: Path, tmp_path: Path, ending: str, inside: str
) -> None:
    archive = tmp_path / f"linux.{ending}"
    with tarfile.open(archive, f"w:{ending.removeprefix('tar').lstrip('.')}") as tar:
        tar.add(kernel, inside)
    assert read_tree(archive).files == READ


def test_an_archive_in_no_order_is_read_to_its_end(kernel: Path, tmp_path: Path) -> None:
    archive = tmp_path / "linux.tar"
    names = [MAIN, "README", "mm/slab.c", "arch/x86/kvm/x86.c", "arch/x86/kernel/process_64.c"]
    with tarfile.open(archive, "w") as tar:
        for name in [*names, *(name for name in READ if name not in names)]:
            tar.add(kernel / name, f"l/{name}")
    assert read_tree(archive).files.keys() >= {MAIN, "arch/x86/kernel/process_64.c"}


def test_an_archive_is_read_no_further_than_needed(kernel: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as tar:
        tar.add(kernel / "arch", "l/arch")
        tar.add(kernel / "mm", "l/mm")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes().rstrip(b"\0")[:-1])
    assert read_tree(cut).files == READ


def test_an_archive_that_is_sorted_by_whole_paths_is_read_no_further_than_needed(
    kernel: Path, tmp_path: Path
) -> None:
    for n in range(1000):
        (kernel / f"Documentation-{n:03}").write_text("")
    (kernel / "Documentation").mkdir()
    (kernel / "Documentation" / "index.rst").write_text("")
    names = sorted(str(path.relative_to(kernel.parent)) for path in kernel.rglob("*"))
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        for name in names:
            tar.add(kernel.parent / name, name, recursive=False)
    cut = tmp_path / "cut.tar"
    cut.write_bytes((tmp_path / "whole.tar").read_bytes().rstrip(b"\0")[:-1])
    assert read_tree(cut).files == READ


def test_an_archive_that_was_cut_off_is_refused_wherever_that_was(kernel: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as tar:
        for name in READ:
            tar.add(kernel / name, f"l/{name}")
    data = whole.read_bytes()
    for size in range(0, 1024 * len(READ), 512):
        (tmp_path / "cut.tar").write_bytes(data[:size])
        with pytest.raises(InputError, match=r"cut\.tar: is (damaged|empty)"):
            read_tree(tmp_path / "cut.tar")


def refuse(path: Path, words: str) -> None:
    with pytest.raises(InputError) as error:
        read_tree(path)
    assert printable(path, 200) in str(error.value) and words in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("vmx.c", b"", "is empty"),
        ("vmx.c", b" \n\n", "is empty"),
        ("vmx.c", b"int a;\n\0\1\2", "is not text"),
        ("vmx.c", b"x" * (5 << 20), "larger than 4 MB"),
        ("svm.c", b"int a;\n", "is KVM for AMD"),
        ("vmx.c", b"struct vcpu_svm *svm;\n", "is KVM for AMD"),
        ("vmx.txt", b"int a;\n", "expected a kernel tree"),
        ("linux.tar", b"", "is empty"),
        ("linux.tar.xz", b"no archive", "no tar archive"),
        ("linux.tar.zst", b"\x28\xb5\x2f\xfd", "linux.tar.zst: "),
        ("linux.tar.gz", b"\x1f\x8b\0\0\0\0\0\0\0\0\0", "linux.tar.gz: "),
    ],
)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    refuse(tmp_path / name, words)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "vmx.c")
    refuse(tmp_path / "vmx.c", "is neither a file nor a folder")
    refuse(tmp_path / "missing", "No such file")
    refuse(tmp_path / "a\0b", "embedded null")  # "byte" or "character", as Python has it


def test_a_folder_without_kvm_says_what_was_looked_for(kernel: Path) -> None:
    refuse(kernel / "mm", "looked for arch/x86/kvm/vmx/vmx.c, arch/x86/kvm/vmx.c")
    refuse(kernel / "arch/x86/kvm/svm", "svm.c is AMD's")


def test_a_link_out_of_the_tree_is_not_followed(kernel: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (kernel / MAIN).unlink()
    (kernel / MAIN).symlink_to(tmp_path / "secret")
    refuse(kernel, "not followed")
    (kernel / MAIN).unlink()
    (kernel / MAIN).symlink_to("main.c")
    assert read_tree(kernel).files[MAIN] == READ["arch/x86/kvm/vmx/main.c"]
    (kernel / MAIN).unlink()
    (kernel / MAIN).symlink_to("vmx.c")
    refuse(kernel, "vmx.c")


def test_a_folder_that_is_a_link_out_of_the_tree_is_not_followed(kernel: Path, tmp_path: Path) -> None:
    (kernel / "arch/x86/kvm/vmx").rename(tmp_path / "vmx")
    (kernel / "arch/x86/kvm/vmx").symlink_to(tmp_path / "vmx")
    refuse(kernel, "not followed")


def test_a_link_in_an_archive_is_not_followed(kernel: Path, tmp_path: Path) -> None:
    (kernel / MAIN).unlink()
    (kernel / MAIN).symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "linux.tar", "w") as tar:
        tar.add(kernel, "linux")
    refuse(tmp_path / "linux.tar", "not followed")


def test_an_archive_without_kvm_says_what_was_looked_for(kernel: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "linux.tar", "w") as tar:
        tar.add(kernel / "mm", "linux/mm")
    refuse(tmp_path / "linux.tar", "holds no KVM for Intel")


def test_the_tree_of_a_commit(kernel: Path) -> None:
    commit(kernel, "first")
    (kernel / MAIN).write_text("int second;\n")
    commit(kernel, "second")
    (kernel / MAIN).write_text("int not_committed;\n")
    assert tree_of_commit(kernel, "HEAD~1").files == READ
    assert tree_of_commit(kernel, "HEAD").files == READ | {MAIN: "int second;\n"}
    for name in ("HEAD~7", "--help", "no-such", "HEAD; ls", "0" * 40, "HEAD:README"):
        with pytest.raises(InputError, match="no commit|not a commit"):
            tree_of_commit(kernel, name)


def test_no_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"):
        tree_of_commit(tmp_path, "HEAD")
    with pytest.raises(InputError, match="expected a git clone"):
        tree_of_commit(tmp_path / "missing", "HEAD")


def commit(root: Path, title: str) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", title], check=True)


def test_the_reader_s_own_tree_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMXSIM_KERNEL", str(tmp_path / "elsewhere"))
    assert find_tree() == tmp_path / "elsewhere"
    monkeypatch.delenv("VMXSIM_KERNEL")
    monkeypatch.setenv("HOME", str(tmp_path))
    plant(tmp_path / "linux", READ)
    assert find_tree() == tmp_path / "linux"
