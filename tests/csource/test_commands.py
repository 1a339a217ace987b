"""The commands on C: ``--tree`` wherever a design is named, and ``show --tree``."""

import json
import re

import pytest

import vmxsim as package
from tests.cli.running import fails, vmxsim
from tests.csource.reading import write
from tests.csource.retell import retold
from vmxsim.csource.tree import Tree

SMI = """\
steps:
  - run
  - guest wrmsr 0xA000
  - guest smi
  - guest rsm
  - guest rdmsr -> 0xA000
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write(retold("dedicated-accessors"), tmp_path_factory.mktemp("trees") / "linux-4.19-rc1")


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    return write(retold("never-trap"), tmp_path_factory.mktemp("trees") / "linux-4.19")


@pytest.fixture
def smi(tmp_path):
    file = tmp_path / "smi.yaml"
    file.write_text(SMI)
    return file


def test_check_tells_the_verdict_and_what_it_rests_on(tree, safe):
    done = vmxsim("check", "--tree", tree, "--host", "64-bit")
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "linux-4.19-rc1 is VIOLATED" in told and "guest long-mode on" in told
    for words in (
        f"It rests on the C of {tree}",
        "the guest's value is saved in msr_guest_kernel_gs_base (",
        "exits outside long mode (vmx.c:",
        "left out",
        "vmxsim show --tree",
    ):
        assert words in told
    done = vmxsim("check", "--tree", safe)
    assert done.returncode == 0 and "linux-4.19 is SAFE" in done.stdout


def test_check_in_json_has_the_whole_source(tree):
    done = vmxsim("check", "--tree", tree, "never-trap", "--host", "64-bit", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [found[name]["verdict"] for name in ("linux-4.19-rc1", "never-trap")] == ["violated", "safe"]
    source = found["linux-4.19-rc1"]["source"]
    assert source["roles"]["g"]["field"] == "msr_guest_kernel_gs_base"
    assert source["interception"] == "outside long mode"
    assert {"files", "functions", "assumptions", "calls_dropped", "configuration", "not_covered"} <= set(
        source
    )
    assert "source" not in found["never-trap"]


def test_run_on_a_tree(safe, smi):
    done = vmxsim("run", smi, "--tree", safe)
    assert done.returncode == 0 and "No invariant violated." in done.stdout
    assert "It rests on the C of" in done.stdout
    done = vmxsim("run", smi, "--tree", safe, "--words")
    assert re.search(r"runs vmx\.c:\d+ in vmx_\w+: ", done.stdout)
    found = json.loads(vmxsim("run", smi, "--tree", safe, "--json", "--micro").stdout)
    text = (safe / "arch/x86/kvm/vmx/vmx.c").read_text().splitlines()
    steps = [step for result in found["results"] for step in result["micro"]]
    on_c = [step for step in steps if "file" in step]
    assert on_c and found["source"]["tree"] == str(safe)
    for step in on_c:
        assert step["source"].startswith(text[step["line"] - 1].strip().split("(")[0])
    assert any(step["function"] == "vcpu_enter_guest" for step in steps if "file" not in step)


def test_compare_takes_the_tree_as_the_first_design(tree, safe, smi):
    done = vmxsim("compare", "--tree", tree, "never-trap", "--host", "64-bit")
    assert done.returncode == 0
    assert "in linux-4.19-rc1 after" in done.stdout and "in never-trap after" in done.stdout
    assert "no schedule shows a difference" in vmxsim("compare", "--tree", safe, "never-trap").stderr
    found = json.loads(vmxsim("compare", "--tree", safe, "never-trap", smi, "--json").stdout)
    assert (found["a"], found["b"]) == ("linux-4.19", "never-trap")
    assert found["divergence"] is None and found["source"]["interception"] == "never"


def test_why_removes_lines_of_c(safe):
    done = vmxsim("why", "--tree", safe, "--host", "64-bit", "--json")
    found = json.loads(done.stdout)
    text = (safe / "arch/x86/kvm/vmx/vmx.c").read_text().splitlines()
    assert found["source"] and len(found["lines"]) > 20
    for line in found["lines"]:
        assert line["file"] == "vmx.c"
        assert line["source"].startswith(text[line["line"] - 1].strip().split("(")[0])
    broken = {line["source"]: line["breaks"] for line in found["lines"]}
    assert broken["wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);"] == "host-value"
    edits = {line["edit"] for line in found["lines"] if line["source"] == "preempt_disable();"}
    assert all(re.fullmatch(r"removed with line \d+", edit) for edit in edits) and edits


def test_cost_counts_what_is_known_and_names_the_rest(tree):
    rows = [
        json.loads(row)
        for row in vmxsim("cost", "--tree", tree, "dedicated-accessors", "--json").stdout.splitlines()
    ]
    c = [row for row in rows if row["design"] == "linux-4.19-rc1"]
    python = [row for row in rows if row["design"] == "dedicated-accessors"]
    assert len(c) == len(python) and all("not_counted" in row for row in c)
    for one, other in zip(c, python, strict=True):
        assert (one["path"], one["full_host_reloads"]) == (other["path"], other["full_host_reloads"])
        for name in ("rdmsr_kernel_gs_base", "wrmsr_kernel_gs_base"):
            assert one["operations"].get(name) == other["operations"].get(name)
    assert "Not counted of linux-4.19-rc1" in vmxsim("cost", "--tree", tree).stdout


def test_export_of_a_tree(tree, safe, smi, tmp_path):
    done = vmxsim("export", "--tree", tree, "--to", "mail")
    assert done.returncode == 0 and re.search(r"^\* +\d+  CPU 0  vmx\.c:\d+: ", done.stdout, re.M)
    assert "vmxsim run schedule.yaml --tree linux-4.19-rc1 --words" in done.stdout
    page = tmp_path / "page.html"
    assert vmxsim("export", "--tree", tree, "--to", "html", "-o", page).returncode == 0
    assert '"file":"vmx.c"' in page.read_text()
    model = vmxsim("export", "--tree", tree, "--to", "promela").stdout
    assert re.search(r"/\* vmx_write_guest_kernel_gs_base, vmx\.c:\d+: ", model)
    done = vmxsim("export", smi, "--tree", safe, "--to", "markdown")
    assert done.returncode == 0 and "| `vmx.c:" in done.stdout
    done = fails("export", "--tree", safe, "--to", "mail")
    assert "name it with --tree" in done


def test_show_tells_what_was_followed(tree):
    told = vmxsim("show", "--tree", tree).stdout
    for words in (
        "Followed", "vmx_save_host_state", "The guest's value is saved in msr_guest_kernel_gs_base",
        "The host's value is saved in", "loaded_cpu_state", "The guest's access exits: outside long mode",
        "Calls left out", "Not covered", "Files read", "arch/x86/kvm/vmx/vmx.c",
    ):  # fmt: skip
        assert words in told
    found = json.loads(vmxsim("show", "--tree", tree, "--json").stdout)
    assert found["design"] == "linux-4.19-rc1" and found["functions"][0]["kept"]


def test_show_of_a_function_marks_each_line_and_says_why(tree):
    text = (tree / "arch/x86/kvm/vmx/vmx.c").read_text().splitlines()
    found = json.loads(vmxsim("show", "--tree", tree, "vmx_set_msr", "--json").stdout)
    assert found["file"] == "vmx.c"
    for line in found["lines"]:
        assert text[line["line"] - 1] == line["text"]
        assert line["kept"] == (line["why"] is None)
    assert any(line["why"] for line in found["lines"])
    shown = vmxsim("show", "--tree", tree, "vmx_set_msr").stdout.splitlines()[1:]
    assert len(shown) == len(found["lines"])
    for line, row in zip(found["lines"], shown, strict=True):
        assert row.startswith("-" if line["why"] else " ") and str(line["line"]) in row


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("check", "--tree", "TREE", "--all", "never-trap"), "--all: already means every design"),
        (("run", "SMI", "--tree", "TREE", "--design", "never-trap"), "--tree: already says what to run on"),
        (("why", "never-trap", "--tree", "TREE"), "--tree: already names the design: leave out 'never-trap'"),
        (("why",), "why: name a design, or a kernel tree with --tree"),
        (("compare", "never-trap"), "compare: name two designs, or one and a kernel tree"),
        (("compare", "--tree", "TREE", "never-trap", "vcpu-vt", "SMI"), "--tree: is the first design"),
        (("export", "--to", "mail"), "export: name a design"),
        (("export", "never-trap", "--tree", "TREE", "--to", "mail"), "--tree: already names the design"),
        (("export", "--tree", "TREE", "--to", "mail", "--number", "2"), "--number: is for a scenario file"),
        (("show", "--tree", "TREE", "vmx_set_efr"), "did you mean 'vmx_set_efer'?"),
        (("show", "never-trap", "vmx_set_efer", "--tree", "TREE"), "--tree: already names the design"),
        (("check", "--tree", "NOWHERE"), "NOWHERE"),
        (("check", "--tree", ""), "vmxsim: "),
    ],
)
def test_what_does_not_go_together_is_refused(given, expected, tree, smi):
    places = {"TREE": tree, "SMI": smi}
    assert expected in fails(*(places.get(word, word) for word in given))


def test_c_that_is_not_understood_is_no_bad_input(tree, tmp_path):
    file = tmp_path / "vmx.c"
    text = (tree / "arch/x86/kvm/vmx/vmx.c").read_text()
    file.write_text(
        text.replace("wrmsrl(MSR_KERNEL_GS_BASE, data)", 'asm volatile("wrmsr" :: "c"(MSR_KERNEL_GS_BASE))')
    )
    done = vmxsim("check", "--tree", file)
    assert done.returncode == 3 and re.match(r"vmxsim: .*vmx\.c:\d+", done.stderr)
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_from_source_in_python(tree):
    design = package.from_source(tree)
    assert package.check(design, host="64-bit").verdict == "violated"
    assert package.find_design(design) is design
    assert design.title == "linux-4.19-rc1"
    assert package.from_source(str(tree / "arch/x86/kvm"), title="mine").title == "mine"
    assert package.from_source(Tree("copy", dict(retold("never-trap").files))).interception == "never"


def test_no_file_of_the_tree_is_written_to(tmp_path, tree):
    mine = write(retold("dedicated-accessors"), tmp_path / "linux")
    file = mine / "arch/x86/kvm/vmx/vmx.c"
    text = file.read_text()
    for given in (
        ("export", "--tree", mine, "--to", "html", "-o", file, "--force"),
        ("export", "--tree", mine, "--to", "promela", "-o", file, "--force"),
        ("export", "--tree", mine / "arch/x86/kvm", "--to", "mail", "-o", file, "--force"),
        ("check", "--tree", file, "--save", file, "--force"),
        ("check", "--tree", mine, "--save", file, "--force"),
    ):
        assert "is an input" in fails(*given)
    assert file.read_text() == text


def test_a_saved_counterexample_says_how_to_run_it(tree, tmp_path):
    saved = tmp_path / "found.yaml"
    assert vmxsim("check", "--tree", tree, "--host", "64-bit", "--save", saved).returncode == 1
    assert f"vmxsim run {saved} --tree {tree}\n" in saved.read_text()
    assert vmxsim("run", saved, "--tree", tree).returncode == 1


def test_without_the_parser_it_says_what_to_install(tree, monkeypatch):
    monkeypatch.setattr("vmxsim.csource.parser.tree_sitter", None)
    done = vmxsim("check", "--tree", tree)
    assert done.returncode == 3 and "pip install 'vmxsim[csource]'" in done.stderr


def test_a_tree_in_a_folder_named_like_a_design_is_told_from_it(tmp_path):
    mine = write(retold("never-trap"), tmp_path / "never-trap")
    found = json.loads(vmxsim("check", "--tree", mine, "never-trap", "--host", "64-bit", "--json").stdout)
    assert list(found) == ["never-trap-from-C", "never-trap"]
    rows = vmxsim("cost", "--tree", mine, "--json").stdout.splitlines()
    assert all(json.loads(row)["derived"] for row in rows)
