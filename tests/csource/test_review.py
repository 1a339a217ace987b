"""Reviews of patches between designs printed as C: verdicts, what is shown of them, and what is refused."""

from __future__ import annotations

import json
import re
from functools import cache
from html import unescape
from html.parser import HTMLParser

import pytest

import vmxsim as package
from tests.cli.running import fails, vmxsim
from tests.csource.changing import changed
from tests.csource.patching import clone, mail, patch
from tests.csource.reading import write
from tests.csource.retell import VMX, retold
from vmxsim.checker.difference import shortest_difference
from vmxsim.csource.findings import RAN, RUNS, SAME
from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError
from vmxsim.exports.review import Review, review
from vmxsim.exports.review_words import marked_hunks
from vmxsim.simulation.compare import run_together

BREAKS = ("host-from-thread", "dedicated-accessors")
MENDS = ("dedicated-accessors", "never-trap")
CHANGES_NOTHING = ("never-trap", "guest-state-loaded")

#: An accessor of never-trap that leaves the thread preemptible between test and access.
UNGUARDED = """\
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	if (vmx->loaded_cpu_state)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}
"""
#: One that leaves preemption disabled.
UNBALANCED = """\
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->loaded_cpu_state)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}
"""
#: One that nothing can be concluded from.
UNCLEAR = """\
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u32 low, high;

	rdmsr(MSR_KERNEL_GS_BASE, low, high);
	return low | (u64)high << 32;
}
"""


@cache
def reviewed(old: str, new: str) -> Review:
    text = patch(retold(old), retold(new), f"KVM: retold: {old} to {new}")
    return review("a.patch", retold(old), data=text.encode())


def of(old: Tree, new: Tree, subject: str = "KVM: VMX: change it") -> Review:
    return review("a.patch", old, data=mail(f"[PATCH] {subject}", patch(old, new)).encode())


# -- verdicts


@pytest.mark.parametrize(
    ("pair", "before", "after"),
    [(BREAKS, "safe", "violated"), (MENDS, "violated", "safe"), (CHANGES_NOTHING, "safe", "safe")],
)
def test_the_verdict_before_and_after(pair, before, after):
    found = reviewed(*pair)
    assert [side.verdict for side in found.findings.sides] == [before, after]
    assert found.verdict == after == found.after.verdict
    assert found.before.verdict == before
    for change in found.findings.applied[0].changes:
        assert change.exact_before and change.exact_after


def test_what_changes_that_matters():
    names = {changed.name for changed in reviewed(*BREAKS).findings.changed}
    assert {"vmx_get_msr", "vmx_set_msr", "vmx_set_efer", "vmx_read_guest_kernel_gs_base"} <= names
    assert "vmx_vcpu_put" not in names and "vmx_save_host_state" not in names
    text = repr(reviewed(*BREAKS))
    assert "vmx_set_efer(): 3 lines matter, instead of 2" in text
    assert "vmx_read_guest_kernel_gs_base(): new here, 6 lines matter" in text
    assert re.search(r"- vmx\.c:\d+ +vmx_load_host_state\(vmx\);", text)


def test_a_patch_that_changes_nothing_that_matters_says_so():
    old = retold("never-trap")
    new = Tree(old.name, old.files | {VMX: old.files[VMX] + "\nstatic int nothing;\n"})
    found = of(old, new)
    assert found.verdict == "safe" and not found.findings.changed
    assert "Nothing changes in the lines that matter" in repr(found)


def edited(old: Tree, text: str, new: str) -> Tree:
    assert text in old.files[VMX]
    return Tree(old.name, old.files | {VMX: old.files[VMX].replace(text, new)})


def test_a_comment_changes_nothing_and_the_second_line_of_a_statement_does():
    line = "wrmsrl(MSR_KERNEL_GS_BASE, data);"
    old = retold("never-trap")
    for comment in (" /* why */", " // why"):
        assert not of(old, edited(old, line, line + comment)).findings.changed
    two = edited(old, line, line.replace(", ", ",\n\t       "))
    found = of(two, edited(two, "       data);", "       vmx->msr_guest_kernel_gs_base);"))
    assert found.verdict == "violated"
    (one,) = found.findings.changed
    assert "wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);" in [text for _, _, text in one.after]


def test_a_condition_that_decides_what_breaks_is_told_even_if_something_breaks_either_way():
    restored = "wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);"
    old = changed(UNGUARDED, "never-trap")
    found = of(old, edited(old, restored, f"if (current->flags & PF_EXITING)\n\t\t{restored}"))
    assert [side.verdict for side in found.findings.sides] == ["violated", "violated"]
    words = "if 'current.flags & PF_EXITING' is false"
    told = found.after.otherwise[words]
    assert told == "violated (64-bit: guest-value, host-value, no-leak; 32-bit: guest-value, no-leak)"
    assert f"{words}: {told}" in repr(found)


def test_all_that_the_verdict_rests_on_is_printed():
    text = repr(reviewed(*BREAKS))
    for words in (
        "Files read: arch/x86/kvm/vmx/vmx.c",
        "The guest's value is saved in msr_guest_kernel_gs_base: written to the register on the way in",
        "Calls left out",
        "CONFIG names that decided a line of these functions: CONFIG_X86_64 vmx.c:",
        "Not covered: nested virtualization; TDX",
    ):
        assert words in text
        assert words.partition(":")[0] in unescape(reviewed(*BREAKS).html())


def test_interception_before_and_after():
    assert "exits outside long mode, with the patch as without it (vmx.c:" in repr(reviewed(*BREAKS))
    told = repr(reviewed(*MENDS))
    assert re.search(r"never exits \(vmx\.c:\d+ .*; without the patch it exits outside long mode \(vmx", told)


# -- the runs


def test_one_schedule_on_both_sides_with_the_first_difference():
    found = reviewed(*BREAKS).findings.encounter
    assert found.broken == 1 and len(found.traces) == 2 and found.split
    assert found.example.schedule == "run; guest long-mode on"
    assert not found.traces[0].violations and found.traces[1].violations
    mended = reviewed(*MENDS).findings.encounter
    assert mended.broken == 0 and mended.traces[0].violations and not mended.traces[1].violations
    assert reviewed(*CHANGES_NOTHING).findings.encounter is None


def test_the_lines_of_the_patch_that_run_and_that_no_longer_do():
    marks = {}
    for marked in marked_hunks(reviewed(*BREAKS).findings):
        for mark, line in zip(marked.marks, marked.hunk.lines, strict=True):
            marks.setdefault((line.kind, line.text.strip()), mark)
    assert marks["-", "vmx_load_host_state(vmx);"] in (RAN, "")
    assert marks["-", "__vmx_load_host_state(vmx);"] == RAN
    assert marks["+", "if (!(efer & EFER_LMA)) {"] == RUNS
    assert marks["+", "vmx_read_guest_kernel_gs_base(vmx);"] == ""  # its condition is false
    assert marks[" ", "vcpu->arch.efer = efer;"] == SAME


def test_the_line_to_look_at_is_the_one_that_loses_the_value():
    (marked,) = (one for one in marked_hunks(reviewed(*BREAKS).findings) if one.key >= 0)
    assert marked.hunk.lines[marked.key].text.strip() == "vcpu->arch.efer = efer;"


def test_a_tick_in_the_patched_function_is_carried_to_the_other_side():
    found = of(retold("never-trap"), changed(UNGUARDED, "never-trap"))
    assert found.verdict == "violated"
    met = found.findings.encounter
    assert len(met.traces) == 2 and met.split and not met.traces[0].violations
    assert "preempt_disable();" in repr(found)


def test_a_design_that_fails_has_a_schedule_and_no_run():
    found = of(retold("never-trap"), changed(UNBALANCED, "never-trap"))
    assert found.verdict == "violated" and not found.findings.encounter.traces
    for text in (repr(found), found.mail(), found.html()):
        assert "Contract broken" in text and "get-msr" in text
        assert "No line that the patch changes runs" not in text


# -- sides that are not understood, series, no tree


def test_a_side_that_is_not_understood_says_where_and_why():
    found = of(retold("never-trap"), changed(UNCLEAR, "never-trap"))
    assert found.verdict == "not understood" and found.after is None and found.before.verdict == "safe"
    assert re.search(r"after the patch: NOT UNDERSTOOD: vmx\.c:\d+", repr(found))
    found = of(changed(UNCLEAR, "never-trap"), retold("never-trap"))
    assert found.verdict == "not understood" and found.after.verdict == "safe"


def test_what_is_violated_is_violated_whatever_was_before():
    found = of(changed(UNCLEAR, "never-trap"), changed(UNGUARDED, "never-trap"))
    assert found.verdict == "violated" and found.before is None
    assert "the other side is not understood" in repr(found)
    assert "NOT UNDERSTOOD" in found.mail()


def test_a_series_has_a_verdict_after_each_patch(tmp_path):
    trees = [retold(name) for name in ("host-from-thread", "dedicated-accessors", "never-trap")]
    box = "".join(
        mail(f"[PATCH {n}/2] KVM: VMX: step {n}", patch(*pair), n)
        for n, pair in ((2, trees[1:]), (1, trees[:2]))
    )
    (tmp_path / "series.mbox").write_text(box)
    found = review(tmp_path / "series.mbox", trees[0])
    assert [side.verdict for side in found.findings.sides] == ["safe", "violated", "safe"]
    assert found.verdict == "safe"
    text = repr(found)
    assert "patched-1-of-2 is VIOLATED" in text and "patched-2-of-2 is SAFE" in text
    assert found.findings.encounter.which == 1 and found.findings.encounter.broken == 0


def test_without_a_tree_what_the_patch_holds_whole(tmp_path):
    file = tmp_path / "a.patch"
    file.write_text(patch(retold(BREAKS[0]), retold(BREAKS[1]), "KVM: retold"))
    done = vmxsim("review", file)
    assert done.returncode == 3
    assert "vmx_read_guest_kernel_gs_base()" in done.stdout and "--tree" in done.stdout
    assert "SAFE" not in done.stdout and "VIOLATED" not in done.stdout


# -- the command


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clones") / "linux"
    return clone(folder, [retold(name) for name in ("host-from-thread", "dedicated-accessors", "never-trap")])


@pytest.mark.parametrize(("commit", "status"), [("HEAD~1", 1), ("HEAD", 0)])
def test_a_commit_of_a_clone(repository, commit, status):
    done = vmxsim("review", commit, "--git", repository)
    assert done.returncode == status, done.stderr
    assert "exactly the author's file, before and after" in done.stdout


def test_a_patch_file_finds_its_tree_in_a_clone(repository, tmp_path):
    file = tmp_path / "a.patch"
    file.write_text(patch(retold(BREAKS[0]), retold(BREAKS[1])))
    done = vmxsim("review", file, "--git", repository, "--json")
    assert done.returncode == 1, done.stderr
    assert "the last commit with the very" in json.loads(done.stdout)["notes"][0]


def test_json_tells_it_all(tmp_path):
    file, tree = tmp_path / "a.patch", write(retold(BREAKS[0]), tmp_path / "linux")
    file.write_text(patch(retold(BREAKS[0]), retold(BREAKS[1])))
    done = vmxsim("review", file, "--tree", tree, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["verdict"] == "violated"
    assert [side["verdict"] for side in told["sides"]] == ["safe", "violated"]
    assert told["sides"][1]["hosts"] == {"64-bit": "violated", "32-bit": "violated"}
    assert told["sides"][1]["source"]["roles"]["g"]["field"] == "msr_guest_kernel_gs_base"
    assert told["schedule"]["scenario"]["steps"] == ["run", "guest long-mode on"]
    assert told["schedule"]["divergence"]["words"]
    assert {line["mark"] for line in told["schedule"]["lines"]} == {RUNS, RAN, SAME}
    assert told["files"][0]["exact_before"] is True


def test_the_page_and_the_mail_are_written_to_files_and_not_over_them(tmp_path):
    file, tree = tmp_path / "a.patch", write(retold(BREAKS[0]), tmp_path / "linux")
    file.write_text(patch(retold(BREAKS[0]), retold(BREAKS[1])))
    out = tmp_path / "a.html"
    done = vmxsim("review", file, "--tree", tree, "--to", "html", "-o", out)
    assert done.returncode == 1 and "written" in done.stderr and not done.stdout
    assert "already exists" in fails("review", file, "--tree", tree, "--to", "html", "-o", out)
    assert vmxsim("review", file, "--tree", tree, "--to", "text", "-o", out, "--force").returncode == 1
    assert "is an input" in fails("review", file, "--tree", tree, "-o", file, "--force")


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("name its clone with --git", ["HEAD~1"]),
        ("leave out --to and --output", ["{patch}", "--json", "--to", "mail"]),
        ("not both", ["{patch}", "--tree", "{tree}", "--git", "{tree}"]),
        ("No such file", ["{patch}", "--tree", "/nowhere"]),
        ("does not apply", ["{patch}", "--tree", "{other}"]),
        ("is applied already", ["{patch}", "--tree", "{applied}"]),
        ("/nowhere", ["HEAD", "--git", "/nowhere"]),
        ("not a git repository", ["HEAD", "--git", "{tree}"]),
        ("no commit", ["nothing-of-that-name", "--git", "{clone}"]),
        ("is not a commit's name", ["--git", "{clone}", "--", "--output=x"]),
        ("has no parent", ["HEAD~2", "--git", "{clone}"]),
        ("is not text", ["{binary}", "--tree", "{tree}"]),
        ("no diff", ["{words}", "--tree", "{tree}"]),
    ],
)
def test_bad_input_is_one_line(words, arguments, tmp_path, repository):
    places = {
        "patch": tmp_path / "a.patch",
        "tree": write(retold(BREAKS[0]), tmp_path / "tree"),
        "other": write(retold("msr-array"), tmp_path / "other"),
        "applied": write(retold(BREAKS[1]), tmp_path / "applied"),
        "clone": repository,
        "binary": tmp_path / "binary.patch",
        "words": tmp_path / "words.patch",
    }
    places["patch"].write_text(patch(retold(BREAKS[0]), retold(BREAKS[1])))
    places["binary"].write_bytes(b"\0\1\2")
    places["words"].write_text("Only words.\n")
    assert words in fails("review", *(argument.format(**places) for argument in arguments))


# -- the mail


def test_the_mail_quotes_the_hunk_and_comments_under_the_line_that_matters():
    lines = of(retold(BREAKS[0]), retold(BREAKS[1])).mail().splitlines()
    assert lines[0] == "Subject: Re: [PATCH] KVM: VMX: change it"
    assert lines[1] == "In-Reply-To: <patch-0@example.org>"
    quoted = [n for n, line in enumerate(lines) if line.startswith(">")]
    assert lines[quoted[0]].startswith("> @@ -")
    assert lines[quoted[-1]] == ">  \tvcpu->arch.efer = efer;"  # tabs as they are
    assert ">  -" not in "\n".join(lines)
    below = " ".join(lines[quoted[-1] + 1 : quoted[-1] + 6])
    assert "breaks guest-value" in below and "guest sees the host's GS base" in below
    assert any(re.search(r"\* vmx\.c:\d+: vcpu->arch\.efer = efer;", line) for line in lines)
    assert "  [2] guest long-mode on" in lines
    assert len(lines) <= 60
    own = [line for line in lines if not line.startswith(">")]
    assert all(len(line) <= 75 and line.isascii() for line in own)


@pytest.mark.parametrize("pair", [BREAKS, MENDS, CHANGES_NOTHING])
def test_every_mail_fits(pair):
    text = reviewed(*pair).mail()
    assert len(text.splitlines()) <= 60
    assert "-- \nvmxsim" in text and "Not covered:" in " ".join(text.split())


def test_a_mail_of_a_plain_diff_names_no_private_folder():
    old, new = (retold(name) for name in BREAKS)
    text = review("/home/me/secret/0001-x.patch", old, data=patch(old, new).encode()).mail()
    assert text.startswith("Subject: Re: [PATCH] 0001-x.patch\n") and "secret" not in text


# -- the page


class Page(HTMLParser):
    """What a page holds: tags, and that each is closed."""

    EMPTY = frozenset({"meta", "br", "hr", "img", "link", "input", "path", "polygon", "ellipse"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("pair", [BREAKS, MENDS, CHANGES_NOTHING])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(pair):
    text = reviewed(*pair).html()
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags and "link" not in page.tags
    assert not [value for name, value in page.attributes if name == "src"]
    assert "default-src 'none'" in text
    assert ("With the patch" in text) == ("Without the patch" in text) == (pair != CHANGES_NOTHING)


def test_the_notebook_shows_both_sides_and_escapes_what_is_not_ours():
    old, new = retold(BREAKS[0]), retold(BREAKS[1])
    evil = "<script>alert(1)</script>"
    files = {VMX: new.files[VMX].replace("Schedule", "x") + f"/* {evil} */\n"}
    found = of(old, Tree(new.name, new.files | files), f"{evil} & more")
    shown = found._repr_html_()
    assert not Page(shown).open
    assert "<script" not in shown and "<html" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in shown
    assert shown.count("<figure") == 2


# -- Python


def test_it_is_public_and_takes_what_the_others_take(tmp_path):
    tree = write(retold(BREAKS[0]), tmp_path / "linux")
    file = tmp_path / "a.patch"
    file.write_text(patch(retold(BREAKS[0]), retold(BREAKS[1])))
    found = package.review(file, tree)
    assert found.verdict == "violated"
    assert package.export(found.findings.encounter.violated, "mail").startswith("Subject:")
    with pytest.raises(InputError, match="expected text, mail or html"):
        found.to("pdf")
    assert found.to("mail", tmp_path / "a.mail") == tmp_path / "a.mail"


def test_the_text_of_a_patch_is_a_patch() -> None:
    old, new = (retold(name) for name in CHANGES_NOTHING)
    found = review(mail("[PATCH] KVM: VMX: one flag", patch(old, new)), old)
    assert found.verdict == "safe"
    assert "KVM: VMX: one flag" in repr(found)
    with pytest.raises(InputError, match="The patch: holds no diff"):
        review("two lines\nof prose\n", old)


def test_a_tick_at_a_line_comes_at_that_line_of_the_side_that_breaks() -> None:
    """The patch moves the line up, and the line that had its number before is another one."""
    old = retold("never-trap")
    text = old.files[VMX]
    start = text.index("static void vmx_write_guest_kernel_gs_base(")
    accessor = text[start : text.index("\n}\n", start)]
    bare = accessor.replace("\tpreempt_disable();\n", "").replace("\tpreempt_enable();\n", "")
    found = of(old, Tree("patched", {**old.files, VMX: text.replace(accessor, bare)}))
    assert found.after.counterexample.schedule.count("tick before") == 2
    met = found.findings.encounter
    assert met is not None
    without, patched = met.traces
    assert not without.violations
    assert {violation.invariant for violation in patched.violations} >= {"host-value"}
    better, worse = (side.carried.design for side in found.findings.sides if side.carried)
    difference = shortest_difference(better, worse)
    traces, _ = run_together(difference.scenario, [better, worse])
    assert [bool(trace.violations) for trace in traces] == [False, True]
