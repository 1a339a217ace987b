"""What a class is deployed with says what is true of this project, and what Kubernetes' chart understands."""

import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from vmxsim.commands.lab import SETTINGS, lab_command
from vmxsim.teaching.course import FIRST, USUAL_COPY
from vmxsim.views.layout import LIBRARIES

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
VALUES = yaml.safe_load((ROOT / "deploy" / "z2jh-values.yaml").read_text())
HOME = "/home/jovyan"


def only(**keys):
    """An object that has no other keys; a type's name stands for that type."""
    known = {key: value if isinstance(value, dict) else {"type": value} for key, value in keys.items()}
    return {"type": "object", "additionalProperties": False, "properties": known}


#: Of version 4.3 of the chart's schema (JSON schema, draft 7), what its values may say here: names and types,
#: in our words. The chart refuses whatever it does not know, and so does this.
CHART = only(
    hub=only(config="object", concurrentSpawnLimit="integer"),
    singleuser=only(
        image=only(name="string", tag="string"),
        defaultUrl="string",
        cpu=only(guarantee="number", limit="number"),
        memory=only(
            guarantee={"type": ["number", "string"], "pattern": "^[0-9.]+[KMGT]?$"},
            limit={"type": ["number", "string"], "pattern": "^[0-9.]+[KMGT]?$"},
        ),
        storage=only(capacity="string", homeMountPath="string"),
        lifecycleHooks=only(postStart="object", preStop="object"),
        extraEnv="object",
    ),
    scheduling=only(
        userScheduler=only(enabled="boolean"),
        podPriority=only(enabled="boolean"),
        userPlaceholder=only(enabled="boolean", replicas="integer"),
    ),
    prePuller=only(hook=only(enabled="boolean"), continuous=only(enabled="boolean")),
    cull=only(enabled="boolean", timeout="integer", every="integer"),
)


def test_the_charts_values_are_valid():
    jsonschema.validate(VALUES, CHART, jsonschema.Draft7Validator)
    for wrong in ({"singleUser": {}}, {"cull": {"timeout": "1h"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(VALUES | wrong, CHART, jsonschema.Draft7Validator)


def test_a_students_server_starts_on_a_working_copy():
    single = VALUES["singleuser"]
    assert single["defaultUrl"] == f"/lab/tree/{USUAL_COPY}/{FIRST}"
    assert single["storage"]["homeMountPath"] == HOME
    shell, flag, line = single["lifecycleHooks"]["postStart"]["exec"]["command"]
    assert (shell, flag) == ("sh", "-c")
    vmxsim, lab, *options = shlex.split(line.partition("||")[0])
    assert (vmxsim, lab) == ("vmxsim", "lab")
    told = lab_command.make_context("lab", options).params
    assert told["copy_only"] and str(told["named"]) == f"{HOME}/{USUAL_COPY}"
    assert line.endswith("|| true"), "Kubernetes ends a container whose hook fails: no student is locked out"


def installed_by_apt(text):
    return set(re.search(r"apt-get install .*?((?: lib\S+)+)", text)[1].split())


def test_the_image_has_what_the_pictures_need_and_what_it_copies():
    assert installed_by_apt(DOCKERFILE) == set(LIBRARIES.split())
    admitted = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, flags=re.M) for name in line.split()
    ]
    assert copied
    for name in copied:
        assert (ROOT / name).exists() and f"!{name}" in admitted, name
    assert admitted.index("!notebooks") < admitted.index("notebooks/labs/source"), "no answer in the image"
    assert re.search(r"^FROM python:3\.1[1-9]-slim$", DOCKERFILE, flags=re.M)
    assert f"WORKDIR {HOME}" in DOCKERFILE and f"/lab/tree/{FIRST}" in DOCKERFILE
    assert json.loads((SETTINGS / "overrides.json").read_text()), "what it makes JupyterLab's defaults"


def test_binder_gets_a_python_that_vmxsim_runs_on():
    """repo2docker does not read a bound such as >=3.11 and takes an older Python: runtime.txt names one."""
    binder = ROOT / "binder"
    assert (binder / "runtime.txt").read_text() == "python-3.13\n"
    assert not (binder / "environment.yml").exists(), "it would be read instead"
    lines = (binder / "apt.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == set(LIBRARIES.split())
    assert (binder / "postBuild").stat().st_mode & 0o100
    assert "vmxsim/data/lab/overrides.json" in (binder / "postBuild").read_text()
