"""The reader's own C in a lesson: found or not, beside its retelling, and changed."""

import re
import subprocess
from pathlib import Path

import pytest

import vmxsim
from tests.csource.reading import verdicts_of, write
from tests.csource.retell import retold
from vmxsim.csource.at_hand import own_tree, tree_at_hand
from vmxsim.csource.edit import diff_of, edited, function_text
from vmxsim.csource.from_source import from_source
from vmxsim.csource.tree import Tree, read_tree
from vmxsim.designs import GuestStateLoaded, HostFromThread, NeverTrap
from vmxsim.errors import InputError, NotUnderstoodError
from vmxsim.exports.review import review
from vmxsim.widgets.beside import beside, followed

WORDS = Path(__file__).parents[2] / "notebooks/vmx-in-our-words.c"


@pytest.fixture
def no_tree(monkeypatch, tmp_path):
    """A machine without a kernel tree, as far as is known."""
    monkeypatch.delenv("VMXSIM_KERNEL", raising=False)
    monkeypatch.setattr("vmxsim.csource.at_hand.find_tree", lambda: None)
    return monkeypatch


def words(html: str) -> str:
    """The text of HTML, without its style sheet."""
    return re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.S)


def test_without_a_tree_the_lesson_works_on_the_c_that_comes_with_it(no_tree):
    tree, told = tree_at_hand(WORDS)
    assert tree == read_tree(WORDS)
    assert "No kernel tree found" in told
    assert str(WORDS) in told


def test_a_tree_that_is_named_is_taken(no_tree, tmp_path):
    no_tree.setattr("vmxsim.csource.at_hand.find_tree", lambda: write(retold("never-trap"), tmp_path))
    tree, told = tree_at_hand(WORDS)
    assert tree.files == retold("never-trap").files
    assert told == f"The kernel tree found is {tmp_path}."


@pytest.mark.parametrize("name", ["nothing-there", "empty.c"])
def test_a_tree_that_cannot_be_used_is_told_with_the_reason(no_tree, tmp_path, name):
    (tmp_path / "empty.c").touch()
    no_tree.setenv("VMXSIM_KERNEL", str(tmp_path / name))
    no_tree.setattr("vmxsim.csource.at_hand.find_tree", lambda: tmp_path / name)
    own, told = own_tree()
    assert own is None
    assert told.startswith(f"VMXSIM_KERNEL names {tmp_path / name}, which cannot be used. ")
    assert tree_at_hand(WORDS)[0] == read_tree(WORDS)


def test_the_c_in_our_own_words_is_the_design_that_it_says(no_tree):
    design = vmxsim.from_source(WORDS)
    assert verdicts_of(design) == verdicts_of(GuestStateLoaded)
    assert vmxsim.check(design).verdict == "safe"
    assert "not kernel source" in WORDS.read_text()


def test_a_function_stands_beside_its_retelling():
    shown = beside(NeverTrap.vmx_read_guest_kernel_gs_base, retold("guest-state-loaded"))
    for text in (repr(shown), words(shown._repr_html_())):
        assert "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)" in text
        assert "rdmsrl(MSR_KERNEL_GS_BASE, vmx-" in text
    first = shown.c.first
    file = retold("guest-state-loaded").files["arch/x86/kvm/vmx/vmx.c"].splitlines()
    assert re.search(rf"^ *{first}  {re.escape(file[first - 1])}$", repr(shown), re.M)


def test_a_function_that_bears_another_name_is_found_by_its_place_among_the_operations():
    shown = beside(HostFromThread.vmx_save_host_state, WORDS)
    assert shown.c.name == "vmx_prepare_switch_to_guest"


def test_a_function_that_the_tree_does_not_have_is_told():
    shown = beside(NeverTrap.vmx_read_guest_kernel_gs_base, retold("host-from-thread"))
    assert shown.c is None
    assert shown.note == "Nothing is followed there under the name vmx_read_guest_kernel_gs_base()."


def test_without_a_tree_there_is_one_line(no_tree):
    shown = beside(NeverTrap.vmx_read_guest_kernel_gs_base)
    assert repr(shown) == shown.note
    assert words(shown._repr_html_()).strip() == shown.note
    assert "\n" not in shown.note


def test_without_the_grammar_of_c_a_lesson_says_so_in_a_line_wherever_it_would_follow_c(no_tree, tmp_path):
    no_tree.setattr("vmxsim.csource.parser.tree_sitter", None)
    tree, told = tree_at_hand(WORDS)
    assert told.startswith("No C can be followed here") and "\n" not in told
    old = function_text(tree, "vmx_write_guest_kernel_gs_base")
    assert "wrmsrl(MSR_KERNEL_GS_BASE, data);" in old, "what is only text is there"
    patch = diff_of(tree, edited(tree, old, old.replace("preempt_", "local_irq_")))
    assert review(patch, tree).verdict == "not understood"
    with pytest.raises(NotUnderstoodError, match=r"pip install 'vmxsim\[csource\]'") as refused:
        from_source(tree)
    (line,) = refused.value._render_traceback_()
    assert "\n" not in line
    no_tree.setattr("vmxsim.csource.at_hand.find_tree", lambda: write(retold("never-trap"), tmp_path))
    told = repr(beside(NeverTrap.vmx_read_guest_kernel_gs_base))
    assert "pip install" in told
    assert "\n" not in told


def test_what_comes_from_a_tree_is_escaped():
    tree = retold("never-trap")
    hostile = {
        path: text.replace("preempt_disable();", "preempt_disable(); /* <img> */")
        for path, text in tree.files.items()
    }
    shown = beside(NeverTrap.vmx_read_guest_kernel_gs_base, Tree("<b>", hostile))._repr_html_()
    assert "&lt;img&gt;" in shown
    assert "<img>" not in shown
    assert "<b>" not in followed(vmxsim.from_source(Tree("<b>", hostile)))._repr_html_()


def test_what_was_followed_is_shown_with_its_evidence():
    shown = followed(vmxsim.from_source(WORDS))
    lines = WORDS.read_text().splitlines()
    for text in (repr(shown), words(shown._repr_html_())):
        assert "guest_state_loaded" in text
        assert "sleeping in atomic sections" in text
        for line, function in re.findall(r"the way (?:in|out), vmx-in-our-words\.c:(\d+) (\w+)\(\)", text):
            assert "kernel_gs_base" in lines[int(line) - 1]
            assert function.startswith("vmx_prepare_switch_to_")


def test_only_c_was_followed():
    with pytest.raises(InputError, match="NeverTrap|never-trap"):
        followed(NeverTrap)


def test_a_change_is_a_patch_that_git_applies(tmp_path):
    tree = retold("never-trap")
    changed = edited(
        tree,
        "\tpreempt_disable();\n\tif (vmx->loaded_cpu_state) {\n\t\twrmsrl",
        "\tif (vmx->loaded_cpu_state) {\n\t\twrmsrl",
    )
    patch = diff_of(tree, changed)
    assert [line for line in patch.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        "-\tpreempt_disable();"
    ]
    write(tree, tmp_path)
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    assert read_tree(tmp_path).files == changed.files


def test_a_change_of_a_last_line_without_its_end_is_a_patch_too(tmp_path):
    tree = Tree("t", {"vmx.c": "int a;\nint b;"})
    patch = diff_of(tree, edited(tree, "int b;", "int c;"))
    write(tree, tmp_path)
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    assert (tmp_path / "vmx.c").read_text() == "int a;\nint c;"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("int d;", "int e;", "'int d;' is in no file"),
        ("int a;\n", "int a;\n", "nothing is changed"),
        ("int", "long", "'int' is in 2 places of t"),
        ("", "long", "is in no file"),
    ],
)
def test_a_change_that_is_none_is_refused(old, new, told):
    with pytest.raises(InputError, match=re.escape(told)):
        edited(Tree("t", {"vmx.c": "int a;\nint b;\n"}), old, new)
