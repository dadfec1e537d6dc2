# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge in real ansible-playbook runs: where values come from, and who wins. No connection is made."""

from __future__ import annotations

import json
import random
import time
from typing import Any

PLAY = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - {name: merge, swarm.node.merge: {layers: [kernel, gpu]}, ignore_errors: true}
"""

INVENTORY = """
all:
  vars: {node_profile: training@1, watts: 250, gpu_manage: auto}
  hosts:
    plain: {}
    inline: {gpu_power_limit: 300, kernel_sysctl: {vm.swappiness: 3}}
    templated:
      watts: 200
      gpu_power_limit: "{{ watts | int * 2 }}"
      kernel_sysctl: {vm.swappiness: "{{ 2 + 2 }}"}
    nothing: {node_profile: none}
    null_map: {kernel_sysctl: }
    null_key: {kernel_sysctl: {vm.swappiness: null}, gpu_power_limit: null}
    newest: {node_profile: site}
    pinned: {node_profile: site@1}
    named_dir: {node_profile: other, node_profile_dirs: ["../more"]}
    "wide[1:3]":
      kernel_sysctl: {net/ipv4/conf/eth0.100/rp_filter: 2, site.special: x}
      kernel_allow_unknown: true
    trusted: {node_trusted_tenancy: true, kernel_sysctl: {kernel.randomize_va_space: 1}}
  children:
    outer:
      vars: {gpu_power_limit: 400, kernel_sysctl: {vm.swappiness: 4, vm.page-cluster: 1}}
      children:
        inner:
          vars: {gpu_power_limit: 450, kernel_sysctl: {vm.swappiness: 5}}
          hosts: {nested: {}}
    files:
      hosts: {by_file: {}, by_host_file: {}}
      vars: {gpu_power_limit: 1, kernel_sysctl: {vm.page-cluster: 2}}
    parent: {children: {child: {hosts: {upside_down: {}}, vars: {gpu_power_limit: 10}}}}
    a:
      hosts: {sibling: {}, decided: {}, agreeing: {}, raised: {}, broken_loser: {}}
      vars: {gpu_power_limit: 500}
    b: {hosts: {sibling: {}, decided: {}}, vars: {gpu_power_limit: 600, kernel_sysctl: {vm.swappiness: 1}}}
    c: {hosts: {sibling: {}, agreeing: {}}, vars: {gpu_power_limit: 500, kernel_sysctl: {vm.swappiness: "2"}}}
    d: {hosts: {agreeing: {}}, vars: {kernel_sysctl: {vm/swappiness: 2}}}
    e: {hosts: {raised: {}}, vars: {gpu_power_limit: 700, ansible_group_priority: 10}}
    f:
      hosts: {broken_loser: {gpu_graphics_clocks: 1980}}
      vars: {gpu_graphics_clocks: "{{ no_such_thing }}"}
"""

FILES = {
    "inv/hosts.yml": INVENTORY,
    "inv/group_vars/files.yml": "{gpu_power_limit: 2, gpu_manage: report, kernel_sysctl: {vm.swappiness: 6}}",
    "inv/group_vars/parent.yml": "{gpu_power_limit: 20}",
    "inv/host_vars/by_host_file.yml": "{gpu_power_limit: 3}",
    "inv/host_vars/decided.yml": "{gpu_power_limit: 550, kernel_sysctl: {vm.swappiness: 7}}",
    "pb/group_vars/files.yml": "{gpu_manage: none}",
    "pb/play.yml": PLAY,
    "inv/profiles/site/1.yml": "{name: site, version: 1, kernel: {thp: {value: never, source: ours}}}",
    "inv/profiles/site/2.yml": "{name: site, version: 2, kernel: {thp: {value: madvise, source: ours}}}",
    "more/other/7.yml": "{name: other, version: 7, kernel: {thp: {value: always, source: ours}}}",
}

LIMIT, SWAP = "gpu_power_limit", "kernel_sysctl.vm.swappiness"


def test_inventory(play):
    answers = play(FILES)

    def won(host, key):
        entry = answers.explained(host, key)
        return entry["value"], entry["origin"]

    plain = answers.ok("plain")
    assert plain["profile"] == "training@1" and plain["changed"] is False
    assert plain["layers"]["gpu"]["power_limit"] == "default" and plain["layers"]["gpu"]["manage"] == "auto"
    assert plain["layers"]["gpu"]["max_disruption"] == "perf"
    assert plain["layers"]["kernel"]["sysctl"]["net.ipv4.tcp_rmem"] == [4096, 87380, 268435456]
    assert plain["layers"]["kernel"]["origins"]["thp.enabled"] == "profile training@1"
    assert plain["layers"]["kernel"]["origins"]["vm.swappiness"] == "profile training@1"
    assert plain["layers"]["gpu"]["run"]["collection"] and "allow_unknown" not in plain["layers"]["kernel"]

    assert won("inline", LIMIT) == (300, "host inline") and won("inline", SWAP) == (3, "host inline")
    assert answers.explained("inline", SWAP)["losers"] == [{"value": 10, "origin": "profile training@1"}]
    assert won("templated", LIMIT)[0] == 400 and won("templated", SWAP)[0] == 4
    assert answers.ok("nothing")["profile"] is None and "thp" not in answers.ok("nothing")["layers"]["kernel"]
    assert "sysctl" not in answers.ok("null_map")["layers"]["kernel"]
    assert "vm.swappiness" not in answers.ok("null_key")["layers"]["kernel"]["sysctl"]
    assert "power_limit" not in answers.ok("null_key")["layers"]["gpu"]
    assert won("null_key", SWAP) == (None, "host null_key")

    assert answers.ok("newest")["profile"] == "site@2" and won("newest", "kernel_thp")[0] == "madvise"
    assert answers.ok("pinned")["profile"] == "site@1" and won("pinned", "kernel_thp")[0] == "never"
    assert answers.ok("named_dir")["profile"] == "other@7"
    sysctl = answers.ok("wide2")["layers"]["kernel"]["sysctl"]
    assert sysctl["net/ipv4/conf/eth0.100/rp_filter"] == 2 and sysctl["site.special"] == "x"
    assert answers.ok("trusted")["layers"]["kernel"]["sysctl"]["kernel.randomize_va_space"] == 1

    assert won("nested", LIMIT) == (450, "group inner") and won("nested", SWAP) == (5, "group inner")
    assert won("nested", "kernel_sysctl.vm.page-cluster") == (1, "group outer")
    assert won("by_file", LIMIT) == (2, "group files (group_vars)")
    assert won("by_file", "gpu_manage") == ("none", "group files (group_vars of the playbook)")
    # a file's map does not make the inline map of the same group vanish
    assert won("by_file", SWAP)[0] == 6 and won("by_file", "kernel_sysctl.vm.page-cluster") == (
        2,
        "group files",
    )
    assert won("by_host_file", LIMIT) == (3, "host by_host_file (host_vars)")
    # Ansible reads group_vars/ after every inline group variable, whatever the depth
    assert won("upside_down", LIMIT) == (20, "group parent (group_vars)")

    assert {problem["key"] for problem in answers.refused("sibling")} == {LIMIT, "vm.swappiness"}
    (limit,) = [problem for problem in answers.refused("sibling") if problem["key"] == LIMIT]
    assert "group b asks for 600" in limit["allowed"] and limit["origin"] == "group c"
    assert won("decided", LIMIT) == (550, "host decided (host_vars)") and won("decided", SWAP)[0] == 7
    assert won("agreeing", LIMIT)[0] == 500 and won("agreeing", SWAP)[0] == 2
    assert won("raised", LIMIT) == (700, "group e")
    assert won("broken_loser", "gpu_graphics_clocks") == (1980, "host broken_loser")


PLAYS = """
- hosts: wide
  gather_facts: false
  serial: 1
  vars: {kernel_sysctl: {vm.swappiness: 20}, gpu_power_limit: 222}
  tasks:
    - {name: play, swarm.node.merge: {layers: [kernel, gpu]}}
    - {name: task, swarm.node.merge: {layers: [gpu]}, vars: {gpu_power_limit: max}}
    - ansible.builtin.set_fact: {gpu_power_limit: "{{ 300 + 33 }}"}
    - {name: fact, swarm.node.merge: {layers: [gpu]}}
    - name: typo
      swarm.node.merge: {layers: [gpu]}
      vars: {gpu_power_limt: max, gpu_result: 1}
      ignore_errors: true
- hosts: wide
  gather_facts: false
  tasks:
    - {name: again, swarm.node.merge: {layers: [kernel]}}
"""


def test_plays_extra_vars_limit_and_serial(play):
    inventory = """
wide:
  hosts: {"n[1:3]": {}}
  vars:
    node_profile: house
    kernel_sysctl: {vm.swappiness: 1, vm.page-cluster: 1}
    gpu_power_limit: 111
    gpu_manage: report
x: {hosts: {n1: {}}, vars: {gpu_manage: none}}
"""
    profile = "{name: house, version: 1, kernel: {thp: {value: never, source: ours}}}"
    files = {"inv/hosts.yml": inventory, "pb/play.yml": PLAYS, "profiles/house/1.yml": profile}
    extra = ["-e", '{"gpu_manage": "manage", "kernel_sysctl": {"vm.dirty_ratio": 9}}', "--limit", "n1,n3"]
    answers = play(files, *extra, inventory="inv/")
    assert not [key for key in answers.found if key[1] == "n2"]
    assert "Skipping" not in answers.output  # profiles/ beside an inventory that is a directory is none
    for host in ("n1", "n3"):
        assert answers.ok(host, "play")["profile"] == "house@1"
        limits = [answers.explained(host, LIMIT, task) for task in ("play", "fact", "task")]
        assert [entry["value"] for entry in limits] == [222, 333, "max"]
        assert {entry["origin"] for entry in limits} == {"play or role"}
        entry = answers.explained(host, "gpu_manage", "play")
        assert (entry["value"], entry["origin"]) == ("manage", "extra vars")
        again = answers.ok(host, "again")["layers"]["kernel"]
        assert again["sysctl"] == {"vm.swappiness": 1, "vm.page-cluster": 1, "vm.dirty_ratio": 9}
        assert (
            again["origins"]["vm.dirty_ratio"] == "extra vars"
            and again["origins"]["vm.swappiness"] == "group wide"
        )
        (problem,) = answers.refused(host, "typo")
        assert problem["key"] == "gpu_power_limt" and "gpu_power_limit" in problem["allowed"]
    assert answers.ok("n1", "again")["layers"] == answers.ok("n3", "again")["layers"]


def test_random_inventories_agree_with_ansible_itself(play):
    """Forty hosts in random groups, variables in every place: what `debug` shows is what the merge says."""
    dice = random.Random(20261122)
    groups = [f"g{number}" for number in range(10)]
    parents = {name: set(dice.sample(groups[:position], dice.choice([0, 0, 1, 2]) if position > 2 else 0))
               for position, name in enumerate(groups)}  # fmt: skip
    files: dict[str, str] = {}
    children: dict[str, dict[str, Any]] = {}
    hosts: dict[str, dict[str, int]] = {}

    def wishes():
        return {LIMIT: dice.randint(100, 999)} if dice.random() < 0.5 else {}

    for name in [*groups, "all"]:
        own = dict(
            wishes(), **({"ansible_group_priority": dice.randint(1, 3)} if dice.random() < 0.3 else {})
        )
        children.setdefault(name, {"vars": own})
        for parent in parents.get(name, ()):
            children.setdefault(parent, {}).setdefault("children", {})[name] = {}
        for place in ("one", "two", "pb"):
            if dice.random() < 0.35:
                files[f"{place}/group_vars/{name}.yml"] = json.dumps(wishes())
    for number in range(40):
        host = f"h{number}"
        hosts[host] = wishes() if dice.random() < 0.15 else {}
        for name in dice.sample(groups, dice.randint(0, 3)):
            children[name].setdefault("hosts", {})[host] = {}
        if dice.random() < 0.1:
            files[f"two/host_vars/{host}.yml"] = json.dumps(wishes())
    top = {"vars": children.pop("all")["vars"], "hosts": hosts, "children": children}
    files["one/hosts.json"] = json.dumps({"all": top})
    files["two/hosts.json"] = json.dumps({"all": {"hosts": {host: {} for host in hosts}}})
    files["pb/play.yml"] = PLAY.replace("kernel, ", "") + (
        '    - {name: truth, ansible.builtin.debug: {msg: "{{ gpu_power_limit | default(0) }}"}}\n'
    )
    answers = play(files, "-i", "two/hosts.json", inventory="one/hosts.json")
    compared = refused = 0
    for host in hosts:
        truth = answers.ok(host, "truth")["msg"]
        if ("merge", host) in answers.failed:
            refused += 1
            (problem,) = answers.refused(host)
            assert problem["value"] == truth and "alphabet" in problem["allowed"]
            continue
        compared += 1
        merged = answers.ok(host)
        assert merged["layers"]["gpu"].get("power_limit", 0) == truth, host
        entries = [entry for entry in merged["explain"] if entry["key"] == LIMIT]
        assert not entries or entries[0]["origin"].split()[0] in ("group", "host"), entries
    assert compared > 15 and refused > 0


SCRIPT = """#!/bin/sh
echo read >> "$COUNT_FILE"
cat <<'END'
%s
END
"""


def test_a_hundred_hosts_read_the_inventory_once(play, tmp_path, capsys):
    hosts = [f"n{number}" for number in range(100)]
    groups = {
        "_meta": {"hostvars": {host: {"gpu_power_limit": 300} for host in hosts[:50]}},
        "train": {
            "hosts": hosts,
            "vars": {"node_profile": "training@1", "kernel_sysctl": {"vm.swappiness": 4}},
        },
        "odd": {"hosts": hosts[1::2]},
    }
    script = tmp_path / "inv" / "hosts.sh"
    script.parent.mkdir()
    script.write_text(SCRIPT % json.dumps(groups))
    script.chmod(0o755)
    count = tmp_path / "count"
    noop = "    - {name: noop, ansible.builtin.debug: {msg: x}}\n"
    stamps = '    - {name: %s, ansible.builtin.debug: {msg: "{{ now().timestamp() }}"}, run_once: true}\n'
    linear = PLAY.replace("  strategy: free\n", "")
    head, merge = linear.split("  tasks:\n")
    text = head + "  tasks:\n" + stamps % "t0" + noop + stamps % "t1" + merge + stamps % "t2"
    began = time.monotonic()
    answers = play({"pb/play.yml": text}, "-f", "4", inventory="inv/hosts.sh", COUNT_FILE=str(count))
    assert count.read_text() == "read\n"
    assert not answers.failed
    assert answers.explained("n0", LIMIT)["origin"] == "host n0"
    assert answers.explained("n99", SWAP)["origin"] == "group train"
    t0, t1, t2 = (float(answers.ok("n0", name)["msg"]) for name in ("t0", "t1", "t2"))
    with capsys.disabled():
        print(
            f"\n100 hosts: merge {(t2 - t1) * 10:.1f} ms per host, "
            f"an empty debug task {(t1 - t0) * 10:.1f} ms, whole run {time.monotonic() - began:.1f} s"
        )
