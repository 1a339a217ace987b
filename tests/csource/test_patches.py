"""Patches: what is read, how it is applied, and what is refused. All C and all patches are made here."""

from __future__ import annotations

import base64
import difflib
import gzip
import quopri
import random
import subprocess
from hashlib import sha1
from pathlib import Path

import pytest

from tests.csource.test_tree import commit, plant
from vmxsim.csource.applying import apply, tree_for
from vmxsim.csource.diff import whole_functions
from vmxsim.csource.patches import patches_of_commit, read_patches
from vmxsim.csource.tree import Tree, tree_of_commit
from vmxsim.errors import InputError, NotUnderstoodError
from vmxsim.exports.review import review

MAIN = "arch/x86/kvm/vmx/vmx.c"
BEFORE = "".join(f"static void step_{n}(void)\n{{\n\tdo_{n}(vmx);\n}}\n\n" for n in range(12))
AFTER = BEFORE.replace("do_2(", "do_two(").replace("\tdo_9(vmx);\n", "\tdo_9(vmx);\n\tand_more(vmx);\n")
TREE = Tree("linux", {MAIN: BEFORE, "arch/x86/kvm/x86.c": "int x86;\n"})


def blob(text: str) -> str:
    return sha1(b"blob %d\0" % len(text.encode()) + text.encode()).hexdigest()


def diff(
    before: str,
    after: str,
    path: str = MAIN,
    new: str | None = None,
    *,
    index: bool = True,
    prefix: str = "ab",
    context: int = 3,
) -> str:
    """A patch as git writes it; a side that is '' is a file that is not there."""
    a, b = (f"{prefix[0]}/", f"{prefix[1]}/") if prefix else ("", "")
    old_name, new_name = a + path if before else "/dev/null", b + (new or path) if after else "/dev/null"
    head = f"diff --git a/{path} b/{new or path}\n" if prefix == "ab" else ""
    if head and not before:
        head += "new file mode 100644\n"
    if head and not after:
        head += "deleted file mode 100644\n"
    if head and new:
        head += f"similarity index 90%\nrename from {path}\nrename to {new}\n"
    if head and index:
        head += f"index {blob(before)[:12]}..{blob(after)[:12]} 100644\n"
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), old_name, new_name, n=context
    )
    return head + "".join(lines)


DIFF = diff(BEFORE, AFTER)


def mail(subject: str, body: str, **headers: str) -> str:
    more = "".join(f"{name.replace('_', '-')}: {text}\n" for name, text in headers.items())
    return (
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
        "From: A Kernel Hacker <hacker@example.org>\nDate: Sat, 28 Nov 2026 10:00:00 +0000\n"
        f"Subject: {subject}\nMessage-ID: <1@example.org>\n{more}\n{body}\n"
    )


def read(data: str | bytes) -> tuple:
    return read_patches("x.patch", data.encode() if isinstance(data, str) else data)


def result(data: str | bytes, tree: Tree = TREE) -> str:
    for patch in read(data):
        tree = apply(patch, tree).tree
    return tree.files[MAIN]


def flowed(text: str, space: str) -> str:
    """A text as a mail program writes it that lets lines flow, broken after the first word behind the 40th
    character. ``space`` is what is left of the space there."""
    lines = []
    for line in text.split("\n"):
        line = f" {line}" if line.startswith((" ", ">", "From ")) else line
        line = line.rstrip(" ")
        at = line.find(" ", 40)
        lines += [line] if at < 0 else [f"{line[:at]}{space} ", line[at + (not space) :]]
    return "\n".join(lines)


FORMS = {
    "a plain diff": DIFF,
    "without a final newline": DIFF.rstrip("\n"),
    "with blanks stripped from the ends of lines": DIFF.replace("\n \n", "\n\n"),
    "with CRLF": DIFF.replace("\n", "\r\n"),
    "below a message": f"KVM: VMX: do more\n\nBecause.\n---\n vmx.c | 3 +-\n\n{DIFF}",
    "format-patch": mail("[PATCH] KVM: VMX: do more", f"Because.\n---\n vmx.c | 3 +-\n\n{DIFF}-- \n2.39.5\n"),
    "below a message that names commits": (
        f"KVM: VMX: do more\n\nSee\ncommit {'a' * 12} and\ncommit {'b' * 12}\n\n{DIFF}"
    ),
    "below an author": f"From: A <a@example.org>\n\nKVM: VMX: do more\n\n{DIFF}",
    "git show": "commit 0123456789abcdef0123456789abcdef01234567\nAuthor: A <a@example.org>\n"
    f"Date:   Sat Nov 28 10:00:00 2026 +0000\n\n    KVM: VMX: do more\n\n    Because.\n\n{DIFF}",
    "diff -u": diff(BEFORE, AFTER, prefix=""),
    "other prefixes": diff(BEFORE, AFTER, prefix="iw"),
    "two folders": DIFF.replace("a/arch", "linux-6.1.orig/arch").replace("b/arch", "linux-6.1/arch"),
    "a lone name": diff(BEFORE, AFTER, "vmx.c", prefix=""),
    "quoted-printable": mail(
        "[PATCH] do", quopri.encodestring(DIFF.encode()).decode(),
        Content_Type="text/plain; charset=utf-8", Content_Transfer_Encoding="quoted-printable",
    ),
    "flowed": mail("[PATCH] do", flowed(DIFF, ""), Content_Type="text/plain; charset=utf-8; format=flowed"),
    "flowed, the last space deleted": mail(
        "[PATCH] do", flowed(DIFF, " "), Content_Type="text/plain; format=Flowed; DelSp=yes"
    ),
    "base64": mail(
        "[PATCH] do", base64.encodebytes(DIFF.encode()).decode(),
        Content_Type="text/plain; charset=utf-8", Content_Transfer_Encoding="base64",
    ),
    "an attachment": mail(
        "do", "--x\nContent-Type: text/plain\n\nSee there.\n--x\nContent-Type: text/x-patch; name=a.patch\n"
        f"\n{DIFF}\n--x\nContent-Type: text/html\n\n<b>{DIFF}</b>\n--x--\n",
        Content_Type='multipart/mixed; boundary="x"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_patch_is_read_in_every_form(form: str) -> None:
    assert result(FORMS[form]) == AFTER


def test_what_a_mail_says_of_itself() -> None:
    folded = "=?UTF-8?q?=5BPATCH_v2_2/3=5D_KVM:?=\n =?UTF-8?q?_VMX:_h=C3=B6her?="
    (patch,) = read(mail(folded, DIFF))
    assert patch.subject == "[PATCH v2 2/3] KVM: VMX: höher"
    assert (patch.number, patch.total) == (2, 3)
    assert patch.author == "A Kernel Hacker <hacker@example.org>"
    assert patch.message_id == "<1@example.org>"


def test_what_git_show_says() -> None:
    (patch,) = read(FORMS["git show"])
    assert (patch.subject, patch.author) == ("KVM: VMX: do more", "A <a@example.org>")


def test_a_subject_above_a_diff_is_one_even_if_it_looks_like_a_header() -> None:
    for form in ("below a message", "below a message that names commits", "below an author"):
        (patch,) = read(FORMS[form])
        assert patch.subject == "KVM: VMX: do more"


def test_a_series_is_put_in_its_order_and_its_cover_letter_and_replies_are_left_out() -> None:
    third = AFTER.replace("do_5(", "do_five(")
    parts = [
        mail("[PATCH 2/2] second", diff(AFTER, third)),
        mail("Re: [PATCH 1/2] first", "> " + DIFF.replace("\n", "\n> ") + "\nLooks good.\n"),
        mail("[PATCH 0/2] cover", "What it is about.\n"),
        mail("[PATCH 1/2] first", DIFF),
    ]
    patches = read("\n".join(parts))
    assert [patch.subject for patch in patches] == ["[PATCH 1/2] first", "[PATCH 2/2] second"]
    assert result("\n".join(parts)) == third


def test_a_suggestion_in_a_reply_is_no_patch_of_the_series() -> None:
    suggestion = mail(
        "Re: [PATCH] do more", "How about\n\n" + diff(BEFORE, BEFORE.replace("do_1(", "do_one("))
    )
    assert result(mail("[PATCH] do more", DIFF) + suggestion) == AFTER


def test_an_empty_line_that_was_lost_at_the_end_is_found_again() -> None:
    whole = diff(BEFORE, AFTER, context=2)
    assert whole.endswith("\n \n")
    assert result(whole.rstrip()) == AFTER


def test_a_compressed_mailbox_is_read() -> None:
    assert result(gzip.compress(mail("[PATCH] do", DIFF).encode())) == AFTER
    with pytest.raises(InputError, match="is damaged"):
        read(gzip.compress(DIFF.encode())[:-12])


def test_two_versions_of_a_series_are_not_mixed() -> None:
    with pytest.raises(InputError, match="more than one patch numbered 1/2"):
        read(mail("[PATCH 1/2] a", DIFF) + mail("[PATCH v2 1/2] a", DIFF))


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_a_hunk_may_have_moved(lines: int) -> None:
    tree = Tree("linux", {MAIN: "int a;\n" * lines + BEFORE})
    (patch,) = read(DIFF)
    applied = apply(patch, tree)
    assert applied.tree.files[MAIN] == "int a;\n" * lines + AFTER
    assert [hunk.offset for change in applied.changes for hunk in change.hunks] == [lines, lines]
    assert [change.exact_before for change in applied.changes] == [False]
    texts = [applied.tree.files[MAIN].split("\n"), tree.files[MAIN].split("\n")]
    for change in applied.changes:
        for hunk in change.hunks:
            for line in hunk.lines:
                assert not line.after or texts[0][line.after - 1] == line.text
                assert not line.before or texts[1][line.before - 1] == line.text
                assert (line.kind == "+", line.kind == "-") == (not line.before, not line.after)


def test_random_changes_of_a_random_file_are_applied_where_they_belong() -> None:
    chance = random.Random(6)
    for _ in range(150):
        before = [
            chance.choice("abcdefgh") * chance.randint(0, 3) + "\n" for _ in range(chance.randint(1, 60))
        ]
        after = list(before)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(after) + 1)
            after[at : at + chance.randint(0, 3)] = [f"new {chance.random()}\n"] * chance.randint(0, 3)
        old, new = "".join(before), "".join(after)
        if old == new or not new:
            continue
        (patch,) = read(diff(old, new))
        applied = apply(patch, Tree("t", {MAIN: old}))
        assert applied.tree.files[MAIN] == new
        assert (applied.changes[0].exact_before, applied.changes[0].exact_after) == (True, True)


def edited(lines: list[str], times: int, chance: random.Random) -> list[str]:
    made = list(lines)
    for _ in range(times):
        at = chance.randrange(len(made) + 1)
        more = [chance.choice(["}\n", "\n", "\tmore(vmx);\n"]) for _ in range(chance.randint(0, 3))]
        made[at : at + chance.randint(0, 3)] = more
    return made


def test_on_a_file_that_has_changed_a_patch_does_what_git_apply_does(tmp_path: Path) -> None:
    chance = random.Random(4)
    file = tmp_path / MAIN
    file.parent.mkdir(parents=True)
    outcomes = set()
    for _ in range(120):
        base = [chance.choice(["{\n", "}\n", "\n", "\treturn;\n"]) for _ in range(chance.randint(5, 40))]
        new, tree = edited(base, chance.randint(1, 4), chance), edited(base, chance.randint(0, 2), chance)
        if base == new or not new or not tree:
            continue
        patch = diff("".join(base), "".join(new), index=False)
        file.write_text("".join(tree))
        git = subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, capture_output=True)
        try:
            assert result(patch, Tree("t", {MAIN: "".join(tree)})) == file.read_text()
            assert git.returncode == 0
        except InputError:
            assert git.returncode != 0
        outcomes.add(git.returncode)
    assert outcomes == {0, 1}


def test_the_index_line_says_whether_it_is_the_author_s_file() -> None:
    (patch,) = read(DIFF)
    (change,) = apply(patch, TREE).changes
    assert (change.exact_before, change.exact_after) == (True, True)
    (change,) = apply(patch, Tree("linux", {MAIN: BEFORE + "int b;\n"})).changes
    assert (change.exact_before, change.exact_after) == (False, False)
    (patch,) = read(diff(BEFORE, AFTER, index=False))
    (change,) = apply(patch, TREE).changes
    assert (change.exact_before, change.exact_after) == (None, None)


def test_a_hunk_that_fits_in_several_places_is_put_in_the_nearest_and_that_is_said() -> None:
    same = "static int f(void)\n{\n\treturn 1;\n}\n\n"
    before = "int first;\n" * 3 + same * 6
    (patch,) = read(diff(before, before[: -len(same) * 3] + before[-len(same) * 3 :].replace("1", "2", 1)))
    applied = apply(patch, Tree("t", {MAIN: "int a;\n" + before}))
    assert applied.tree.files[MAIN].count("return 2") == 1
    assert "the nearest is taken" in " ".join(applied.notes)
    assert not apply(patch, Tree("t", {MAIN: before})).notes


def test_without_context_a_hunk_is_put_at_its_line_or_nowhere() -> None:
    bare = f"--- a/{MAIN}\n+++ b/{MAIN}\n@@ -2,0 +3 @@\n+int new;\n@@ -4 +5 @@\n-int d;\n+int e;\n"
    assert result(bare, Tree("t", {MAIN: "int a;\nint b;\nint c;\nint d;\n"})) == (
        "int a;\nint b;\nint new;\nint c;\nint e;\n"
    )
    refuse(bare, Tree("t", {MAIN: "int a;\nint b;\nint c;\nint x;\nint d;\n"}), "hunk 2 of 2", "line 5 only")
    refuse(bare, Tree("t", {MAIN: "int a;\n"}), "hunk 1 of 2", "has no line 2")


def refuse(patch: str, tree: Tree, *words: str) -> None:
    with pytest.raises(InputError) as error:
        result(patch, tree)
    assert str(error.value).startswith("x.patch: ")
    for word in words:
        assert word in str(error.value)


def test_a_patch_that_does_not_fit_is_refused_by_hunk_and_line() -> None:
    changed = BEFORE.replace("do_9(vmx)", "do_nine(vmx)")
    refuse(DIFF, Tree("my tree", {MAIN: changed}), "does not apply to my tree", MAIN, "hunk 2 of 2", "@@ -4",
           "expects 'do_9(vmx);'", "line 48 is 'do_nine(vmx);'")  # fmt: skip
    refuse(DIFF, Tree("my tree", {MAIN: "int x;\n"}), "hunk 1 of 2", "no line like")


def test_tabs_that_became_blanks_are_told() -> None:
    refuse(DIFF.replace("\t", "        "), TREE, "fits but for white space")


def test_a_patch_that_is_applied_already_or_reversed_is_told() -> None:
    refuse(DIFF, Tree("linux", {MAIN: AFTER}), "is applied already, or is reversed")
    refuse(diff(AFTER, BEFORE), TREE, "is applied already, or is reversed")


def test_a_patch_for_other_files_is_refused_by_their_names() -> None:
    refuse(diff("int a;\n", "int b;\n", "arch/x86/kvm/svm/svm.c"), TREE, "is no patch of KVM's VMX code",
           "arch/x86/kvm/svm/svm.c", MAIN)  # fmt: skip
    refuse(
        diff("int a;\n", "int b;\n", "tools/arch/x86/kvm/vmx/vmx.c"), TREE, "is no patch of KVM's VMX code"
    )


def test_other_files_of_a_patch_are_left_aside_and_named() -> None:
    (patch,) = read(diff("int a;\n", "int b;\n", "mm/slab.c") + DIFF)
    applied = apply(patch, TREE)
    assert applied.tree.files[MAIN] == AFTER
    assert "mm/slab.c" in " ".join(applied.notes)


def test_a_file_at_another_place_of_the_tree_is_told() -> None:
    refuse(
        diff(BEFORE, AFTER, "arch/x86/kvm/vmx.c"),
        TREE,
        "arch/x86/kvm/vmx.c",
        f"the tree has that file as {MAIN}",
    )


def test_a_tree_that_is_one_file_takes_the_patch_of_that_file() -> None:
    for name in ("vmx.c", "copy-of-vmx.c"):
        (patch,) = read(DIFF + diff("int x86;\n", "int y;\n", "arch/x86/kvm/x86.c"))
        applied = apply(patch, Tree(name, {name: BEFORE}))
        assert applied.tree.files == {name: AFTER}
        assert "x86.c is not in the tree" in " ".join(applied.notes)


def test_files_are_made_renamed_and_deleted() -> None:
    helper = "arch/x86/kvm/vmx/helper.h"
    tree = apply(read(diff("", "int helper;\n", helper))[0], TREE).tree
    assert tree.files[helper] == "int helper;\n"
    refuse(diff("", "int helper;\n", helper), tree, "is applied already")
    refuse(diff("", "int other;\n", helper), tree, "is there already")
    moved = apply(read(diff(BEFORE, AFTER, MAIN, "arch/x86/kvm/vmx/main.c"))[0], tree).tree
    assert MAIN not in moved.files and moved.files["arch/x86/kvm/vmx/main.c"] == AFTER
    assert helper not in apply(read(diff("int helper;\n", "", helper))[0], tree).tree.files
    refuse(diff("int helper;\n", "", helper), TREE, "is applied already")
    refuse(
        diff("int helper;\n", "int other;\n", helper), TREE, f"it changes {helper}, which is not in the tree"
    )


def test_a_rename_without_any_other_change() -> None:
    new = "arch/x86/kvm/vmx/main.c"
    text = f"diff --git a/{MAIN} b/{new}\nsimilarity index 100%\nrename from {MAIN}\nrename to {new}\n"
    assert apply(read(text)[0], TREE).tree.files[new] == BEFORE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\0\1", "is not text"),
        (b"Hello.\n", "holds no diff"),
        (b"diff --cc a.c\nindex 1,2..3\n@@@ -1 -1 +1 @@@\n", "is the diff of a merge"),
        (f"> {DIFF}".replace("\n", "\n> ").encode(), "is a reply that quotes a patch"),
        (DIFF[: DIFF.index("do_two") + 3].encode(), "is damaged at line"),
        (DIFF.replace("@@ -", "@@ -1", 1).replace(",7 ", ",17 ", 1).encode(), "is damaged at line"),
        (f"{FORMS['git show']}\n{FORMS['git show']}".encode(), "git log"),
        (b"diff --git a/x.bin b/x.bin\nindex 123..456 100644\nBinary files a/x.bin and b/x.bin differ\n",
         "is no patch of KVM's VMX code"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(InputError) as error:
        read(data)
    assert words in str(error.value)


def test_a_damaged_patch_gives_a_patch_or_one_clear_error() -> None:
    chance = random.Random(12)
    whole = mail("[PATCH] KVM: VMX: do more", DIFF, MIME_Version="1.0", Content_Type="text/plain").encode()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 40)] = chance.randbytes(chance.randint(0, 3))
        told = ""
        try:
            result(bytes(data))
        except InputError as error:
            told = str(error)
        assert "\n" not in told


def test_without_unidiff_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmxsim.csource.diff.PatchSet", None)
    with pytest.raises(NotUnderstoodError, match=r"pip install 'vmxsim\[csource\]'"):
        read(DIFF)


def test_a_missing_patch_is_told(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "is no file")):
        with pytest.raises(InputError, match=words):
            read_patches(path)
    (tmp_path / "big").write_bytes(b"x" * (17 << 20))
    with pytest.raises(InputError, match="larger than 16 MB"):
        read_patches(tmp_path / "big")


def test_functions_that_stand_whole_in_a_hunk() -> None:
    made = "static u64 get(struct vcpu_vmx *vmx)\n{\n\tif (vmx->a) {\n\t\treturn 1;\n\t}\n\treturn 2;\n}\n\n"
    (patch,) = read(diff(BEFORE, BEFORE.replace("static void step_4", f"{made}static void step_4")))
    (found,) = [one for one in whole_functions(patch.files) if one.name == "get"]
    assert (found.path, found.text) == (MAIN, made[:-1])
    assert found.first == BEFORE[: BEFORE.index("static void step_4")].count("\n") + 1
    assert "step_4" not in [one.name for one in whole_functions(patch.files)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = plant(tmp_path / "clone", {MAIN: BEFORE, "README": "a\n"})
    commit(root, "first")
    plant(root, {MAIN: AFTER, "README": "b\n"})
    commit(root, "KVM: VMX: do more")
    return root


def test_a_commit_is_its_patch(clone: Path) -> None:
    (patch,) = patches_of_commit(clone, "HEAD")
    assert patch.subject == "[PATCH] KVM: VMX: do more"
    applied = apply(patch, tree_of_commit(clone, "HEAD~1"))
    (change,) = applied.changes
    assert (change.exact_before, change.exact_after) == (True, True)
    assert applied.notes == ("changes in README are not read",)


def test_a_commit_without_parent_or_of_other_code_is_refused(clone: Path) -> None:
    with pytest.raises(InputError, match="has no parent"):
        patches_of_commit(clone, "HEAD~1")
    plant(clone, {"README": "c\n"})
    commit(clone, "only the readme")
    with pytest.raises(InputError, match="changes nothing in arch/x86/kvm"):
        patches_of_commit(clone, "HEAD")


def test_a_range_of_commits_is_a_series_without_those_that_change_other_code(clone: Path) -> None:
    plant(clone, {"README": "c\n"})
    commit(clone, "only the readme")
    plant(clone, {MAIN: BEFORE})
    commit(clone, "KVM: VMX: do less")
    for name in ("HEAD~3..HEAD", "HEAD~3.."):
        more, less = patches_of_commit(clone, name)
        assert (more.subject, less.subject) == ("[PATCH] KVM: VMX: do more", "[PATCH] KVM: VMX: do less")
        assert [(one.number, one.total) for one in (more, less)] == [(1, 2), (2, 2)]
        applied = apply(more, tree_of_commit(clone, "HEAD~3"))
        assert applied.tree.files[MAIN] == AFTER
        assert apply(less, applied.tree).tree.files[MAIN] == BEFORE
    assert len(review("HEAD~3..HEAD", git=clone).findings.sides) == 3
    for name, why in {
        "HEAD..HEAD": "no commit in it changes anything in arch/x86/kvm",
        "HEAD~2..HEAD~1": "no commit in it changes anything in arch/x86/kvm",
        "HEAD...HEAD~1": "is not a commit's name",
        "..HEAD": "is not a commit's name",
        "HEAD~1..nowhere": "no commit 'nowhere'",
        "HEAD~1..--all": "is not a commit's name",
    }.items():
        with pytest.raises(InputError, match=why):
            patches_of_commit(clone, name)


def test_a_range_with_a_merge_is_refused(clone: Path) -> None:
    git = ["git", "-C", str(clone), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "checkout", "-q", "-b", "side", "HEAD~1"], check=True)
    plant(clone, {"README": "side\n"})
    commit(clone, "a side")
    subprocess.run([*git, "merge", "-q", "-s", "ours", "-m", "both", "@{-1}"], check=True)
    with pytest.raises(InputError, match="holds a merge"):
        patches_of_commit(clone, "HEAD~2..HEAD")


def test_a_clone_gives_the_tree_that_a_patch_was_made_on(clone: Path) -> None:
    patches = read(DIFF)
    tree, words = tree_for(patches, clone)
    assert tree.files[MAIN] == BEFORE and "the last commit with the very" in words
    subprocess.run(["git", "-C", str(clone), "checkout", "-q", "HEAD~1"], check=True)
    tree, words = tree_for(patches, clone)
    assert tree.files[MAIN] == BEFORE and words.startswith("on HEAD, which has the very file")
    head = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    plant(clone, {MAIN: BEFORE + "int more;\n"})
    commit(clone, "more")
    tree, words = tree_for(read(diff(BEFORE, AFTER, index=False)), clone)
    assert tree.files[MAIN].endswith("int more;\n") and words == "on HEAD"
    tree, words = tree_for(read(f"{DIFF}-- \n2.39\n\nbase-commit: {head.stdout}"), clone)
    assert tree.files[MAIN] == BEFORE and "as its base" in words


def test_a_base_to_which_a_patch_does_not_apply_is_not_taken(clone: Path) -> None:
    head = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    third = AFTER.replace("do_9(", "do_nine(")
    plant(clone, {MAIN: third})
    commit(clone, "third")
    (patch,) = read(
        f"{diff(third, third.replace('do_nine(', 'do_x('))}-- \n2.39\n\nbase-commit: {head.stdout}"
    )
    tree, words = tree_for((patch,), clone)
    assert tree.files[MAIN] == third and words.startswith("on HEAD")


def test_a_shallow_clone_is_told(clone: Path, tmp_path: Path) -> None:
    url = f"file://{clone}"
    subprocess.run(["git", "clone", "-q", "--depth", "1", url, str(tmp_path / "shallow")], check=True)
    with pytest.raises(InputError, match="because the clone is shallow"):
        patches_of_commit(tmp_path / "shallow", "HEAD")


def test_a_clone_runs_nothing_of_its_own(clone: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f'#!/bin/sh\ntouch {tmp_path}/sprung\ncat "$1"\n')
    trap.chmod(0o755)
    for key in (
        "diff.external",
        "diff.x.textconv",
        "diff.x.command",
        "core.fsmonitor",
        "core.pager",
        "gpg.program",
    ):
        subprocess.run(["git", "-C", str(clone), "config", key, str(trap)], check=True)
    subprocess.run(["git", "-C", str(clone), "config", "log.showSignature", "true"], check=True)
    (clone / ".git/info/attributes").write_text("*.c diff=x\n")
    (patch,) = patches_of_commit(clone, "HEAD")
    assert apply(patch, tree_for((patch,), clone)[0]).tree.files[MAIN] == AFTER
    assert not (tmp_path / "sprung").exists()
