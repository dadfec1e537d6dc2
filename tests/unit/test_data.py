# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection ships: profiles, catalogue, options, version, and the catalogue against this kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.swarm.node.plugins.action.merge import _validators
from ansible_collections.swarm.node.plugins.module_utils.core.version import VERSION
from ansible_collections.swarm.node.plugins.modules import gpu, gpu_mig, kernel, mesh
from ansible_collections.swarm.node.plugins.plugin_utils.merge import catalogue, profiles, schema
from ansible_collections.swarm.node.plugins.plugin_utils.merge.wishes import merge
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.wishes import MEMBER

PROFILES = sorted(profiles.SHIPPED.glob("*/*.yml"))
LAYERS = schema.known_layers()


def test_version_is_that_of_galaxy(checkout):
    assert yaml.safe_load((checkout / "galaxy.yml").read_text())["version"] == VERSION


def test_the_three_profiles_are_there():
    assert {path.parent.name for path in PROFILES} >= {"training", "inference", "efficiency"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: f"{path.parent.name}@{path.stem}")
def test_profile_parses_merges_and_names_sources(path):
    profile = profiles.load(f"{path.parent.name}@{path.stem}", "test", [])
    merged = merge(LAYERS, [], profile, _validators())
    assert "kernel_allow_unknown" not in merged.values and "node_trusted_tenancy" not in merged.values
    assert merged.explain and all(len(entry["source"]) >= 4 for entry in merged.explain)
    for key, value in merged.values["kernel_sysctl"].items():
        assert catalogue.check(key, value, "", allow_unknown=False, trusted=False) is None
    assert yaml.safe_load(path.read_text())["summary"]


def test_catalogue_entries_are_consistent():
    body = yaml.load(catalogue.PATH.read_text(), Loader=profiles._UniqueKeys)
    assert len(body) == len(catalogue.load()), "two spellings of one name"
    for name, entry in body.items():
        assert set(entry) <= {"type", "count", "min", "max", "choices", "never", "trusted"}, name
        assert entry["type"] in ("int", "ints", "word", "text"), name
        assert ("count" in entry) == (entry["type"] == "ints"), name
        assert name.count("*") <= 1, name
        if "min" in entry and "max" in entry:
            assert entry["min"] < entry["max"], name
        if entry["type"] in ("word", "text"):
            assert not {"min", "max", "never", "trusted"} & set(entry), name
        choices = entry.get("choices", [])
        assert len(choices) == len(set(choices)) and not ({"min", "max"} & set(entry) and choices), name
        assert not set(entry.get("never", {})) & set(choices), name
        if "trusted" in entry:
            assert not choices or entry["trusted"] in choices, name
            assert entry.get("min", 0) < entry["trusted"] <= entry.get("max", 1 << 31), name


OF_THE_REGISTRY = {"mesh_name", "mesh_overrides", "mesh_settings", *(f"mesh_{key}" for key in MEMBER)}
OF_THE_REGISTRY |= {"mesh_pull"}
"""What goes into a mesh's registry, on the controller; `mesh_name` is the module's `names`, and `mesh_pull`
says whom a controller leaves alone."""

OF_FILTERS = set(schema.layer_options("transport")) - {"transport_manage", "transport_state"}
"""What the role gives two filters as a whole; test_transport_wishes.py has each of them change something."""


def test_every_option_of_a_role_is_one_of_its_module():
    """An option nobody hands on would do nothing; only the merge itself uses kernel_allow_unknown."""
    common = set(kernel.COMMON_ARGUMENTS)
    of_mig = {"mig": gpu_mig.ARGUMENTS["mig"], "mig_layouts": gpu_mig.ARGUMENTS["layouts"]}
    of_mig["mig_assert"] = gpu_mig.ARGUMENTS["assert_only"]
    for layer, arguments in (
        ("kernel", kernel.ARGUMENTS),
        ("gpu", {**gpu.ARGUMENTS, **of_mig}),
        ("mesh", mesh.ARGUMENTS),
    ):
        for name, spec in schema.layer_options(layer).items():
            if name == "kernel_allow_unknown" or name in OF_THE_REGISTRY:
                continue
            option = name.removeprefix(f"{layer}_")
            assert name.startswith(f"{layer}_") and option in common | set(arguments), name
            of_module = {**kernel.COMMON_ARGUMENTS, **arguments}[option]
            assert spec["type"] == of_module["type"], name
            assert spec.get("choices") == of_module.get("choices"), name


def test_every_option_is_handed_on_by_its_role(checkout):
    for layer in LAYERS:
        text = "".join(path.read_text() for path in (checkout / "roles" / layer / "tasks").glob("*.yml"))
        for name in schema.layer_options(layer):
            option = name.removeprefix(f"{layer}_")
            by_others = name == "kernel_allow_unknown" or name in OF_THE_REGISTRY - {"mesh_name"}
            by_others = by_others or name in OF_FILTERS
            assert by_others or re.search(rf"__{layer}_wishes\.{option}\b", text), name


def test_the_variables_page_names_every_variable(checkout):
    text = (checkout / "docs" / "variables.md").read_text()
    names = [*schema.NODE_OPTIONS, *(name for layer in LAYERS for name in schema.layer_options(layer))]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_running_kernel_holds_what_the_catalogue_accepts(capsys):
    """Read only. A live value out of our bounds means the bounds are wrong."""
    absent, unreadable, wrong, seen = [], [], [], 0
    for name in catalogue.load():
        paths = list(Path("/proc/sys").glob(name))
        absent += [] if paths else [name]
        for path in paths:
            try:
                value = path.read_text().strip()
            except OSError:
                unreadable.append(name)
                continue
            if not value and catalogue.find(name)["type"] == "text":
                continue  # ip_local_reserved_ports starts empty
            seen += 1
            key = str(path.relative_to("/proc/sys"))
            problem = catalogue.check(key, value, "this kernel", allow_unknown=False, trusted=True)
            wrong += [str(problem)] if problem and "anything but" not in problem.allowed else []
    with capsys.disabled():
        print(
            f"\n{seen} live values, {len(absent)} keys absent here: {', '.join(absent)}; "
            f"unreadable: {unreadable}"
        )
    assert seen > 50
    assert wrong == []
