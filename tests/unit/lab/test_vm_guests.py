# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines: what they are started by and given, and which commands go to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
import yaml

from lab import cli, core, keys, namespaces, network, paths, sets, spec
from lab import nodes as lab_nodes
from lab.errors import LabError
from lab.vm import accelerator, guests, qemu
from lab.vm import core as vm_core
from lab.vm import images as vm_images

LAB = paths.LabPaths("lab")
NODES = spec.MACHINE_NODES
TCG = accelerator.Accelerator(kvm=False, why="no access to /dev/kvm", tsc_khz=2596447)
KVM = accelerator.Accelerator(kvm=True, why="", tsc_khz=2596447)
PARTS = vm_images.Parts(Path("/c/disk-1.img"), Path("/c/kernel-1.bin"), Path("/c/initrd-1.cpio"))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of the lab LAB, below the test's own directory."""
    monkeypatch.setattr(paths, "LABS", tmp_path)
    LAB.state.mkdir()
    return LAB.state


def command(node: spec.Node = NODES[0], speed: accelerator.Accelerator = TCG) -> list[str]:
    return qemu.command(qemu.GuestPaths.of(LAB, node), PARTS.kernel, speed)


def values(words: list[str], option: str) -> list[str]:
    """What follows each occurrence of an option."""
    return [words[index + 1] for index, word in enumerate(words) if word == option]


def test_the_inventory_names_the_machines(checkout: Path) -> None:
    data = yaml.safe_load((checkout / "inventories/lab-vm/hosts.yml").read_text(encoding="utf-8"))
    hosts = data["all"]["children"]["lab"]["children"]["vm"]["hosts"]
    assert {name: (entry["ansible_host"], entry["mesh_endpoint"]) for name, entry in hosts.items()} == {
        node.name: (node.management, node.address) for node in NODES
    }
    assert {node.user for node in NODES} == {data["all"]["children"]["lab"]["vars"]["ansible_user"]}


def test_the_inventory_connects_as_that_of_the_containers_but_has_more_patience(checkout: Path) -> None:
    def connection(name: str) -> dict[str, object]:
        text = (checkout / "inventories" / name / "hosts.yml").read_text(encoding="utf-8")
        found: dict[str, object] = yaml.safe_load(text)["all"]["children"]["lab"]["vars"]
        return {key: value for key, value in found.items() if key.startswith(("ansible_", "lab_"))}

    machines, containers = connection("lab-vm"), connection("lab")
    assert machines.pop("ansible_ssh_timeout") == 120
    assert containers.pop("ansible_ssh_args") == "-C -o ControlMaster=auto -o ControlPersist=60s -F /dev/null"
    assert machines.pop("ansible_ssh_args") == "-o ControlMaster=auto -o ControlPersist=900s -F /dev/null"
    words = str(machines["ansible_ssh_common_args"])
    machines["ansible_ssh_common_args"] = re.sub("ServerAliveInterval=15", "ServerAliveInterval=5", words)
    assert machines == containers


def test_both_releases_are_there_and_no_address_is_given_twice() -> None:
    underlay = ip_network(f"{spec.MACHINE_BRIDGE_ADDRESS}/{spec.PREFIX_LENGTH}", strict=False)
    management = ip_network(f"{spec.MANAGEMENT_ADDRESS}/{spec.PREFIX_LENGTH}", strict=False)
    assert all(IPv4Address(node.address) in underlay for node in NODES)
    assert all(IPv4Address(node.management) in management for node in NODES)
    given = [address for node in NODES for address in (node.address, node.management)]
    given += [spec.MACHINE_BRIDGE_ADDRESS, spec.MANAGEMENT_ADDRESS]
    assert len(given) == len(set(given))
    for name in ("vm", "vm-pair"):
        assert {node.suite for node in spec.node_set(name)} == set(spec.SUITES)


def test_no_set_mixes_containers_and_machines() -> None:
    for name, nodes in spec.SETS.items():
        assert {node.machine for node in nodes} == {name.startswith("vm")}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_a_machine_touches_nothing_but_its_own_files_and_taps(node: spec.Node) -> None:
    words = command(node)
    folder = str(LAB.state / "machines")
    files = [path for word in words for path in re.findall(r"(?:^|=)(/[^,]*)", word)]
    assert files and all(path.startswith((folder, "/run/lab-vm/")) for path in files)
    taps = [re.search(r"ifname=([^,]+)", word) for word in values(words, "-netdev")]
    assert [tap[1] for tap in taps if tap] == [network.management_link(node), network.uplink(node)]
    macs = [re.search(r"mac=(.*)", word) for word in values(words, "-device")]
    assert [mac[1] for mac in macs if mac] == [
        network.hardware_address(node.management),
        network.hardware_address(node.address),
    ]
    assert "-nodefaults" in words and "-no-user-config" in words


def test_a_machine_stays_within_its_memory() -> None:
    (memory,) = values(command(), "-m")
    (speed,) = values(command(), "-accel")
    translations = re.search(r"tb-size=(\d+)", speed)
    assert translations
    assert int(memory) + int(translations[1]) <= 1024


def test_translation_needs_the_counters_rate_and_a_steady_timer() -> None:
    (line,) = values(command(), "-append")
    assert {"tsc=reliable", "tsc_early_khz=2596447", "net.ifnames=0"} <= set(line.split())
    assert "+arat" in values(command(), "-cpu")[0].split(",")
    unknown = accelerator.Accelerator(kvm=False, why="", tsc_khz=0)
    assert "tsc" not in qemu.kernel_words(unknown)


def test_translated_kernels_do_not_meet_the_instruction_that_breaks_their_flags() -> None:
    assert "-cx16" in values(command(), "-cpu")[0].split(",")
    assert values(command(speed=KVM), "-cpu") == ["host"]


def test_kvm_has_its_own_clock() -> None:
    words = command(speed=KVM)
    assert values(words, "-accel") == ["kvm"]
    assert "tsc" not in values(words, "-append")[0]


def test_a_comma_in_a_path_is_no_new_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LABS", Path("/a,b"))
    (drive,) = values(command(), "-drive")
    assert drive.startswith("file=/a,,b/lab/machines/vm-1.qcow2,if=none")


def test_the_recipe_changes_with_all_it_is_made_of() -> None:
    files = qemu.GuestPaths.of(LAB, NODES[0])
    other = Path("/c/other-2")
    recipes = {
        guests.recipe(files, PARTS, TCG),
        guests.recipe(files, PARTS, KVM),
        guests.recipe(qemu.GuestPaths.of(LAB, NODES[1]), PARTS, TCG),
        *(
            guests.recipe(files, vm_images.Parts(*each), TCG)
            for each in (
                (other, PARTS.kernel, PARTS.initrd),
                (PARTS.disk, other, PARTS.initrd),
                (PARTS.disk, PARTS.kernel, other),
            )
        ),
    }
    assert len(recipes) == 6
    assert guests.recipe(files, PARTS, TCG) in recipes
    assert json.loads(guests.recipe(files, PARTS, TCG))["command"] == command()


def test_the_disks_key_follows_what_is_put_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {vm_images.disk_key(suite) for suite in spec.SUITES}
    assert len(known) == len(spec.SUITES)
    shutil.copytree(vm_images.GUEST_FILES, tmp_path / "guest")
    monkeypatch.setattr(vm_images, "GUEST_FILES", tmp_path / "guest")
    (tmp_path / "guest/init").write_text("changed", encoding="utf-8")
    assert vm_images.disk_key("trixie") in known, "the initrd has a key of its own"
    (tmp_path / "guest/kernel").write_text("changed", encoding="utf-8")
    assert vm_images.disk_key("trixie") not in known


def test_missing_programs_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool.startswith("qemu") else f"/bin/{tool}")
    with pytest.raises(
        LabError, match=r"qemu-system-x86_64, qemu-img: not installed; run scripts/bootstrap vm"
    ):
        vm_images.check_tools()


def test_a_busybox_with_libraries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2")
    monkeypatch.setattr(shutil, "which", lambda tool: str(program))
    with pytest.raises(LabError, match="not static"):
        vm_images.busybox()


def test_a_guest_is_given_its_names_addresses_and_keys(state: Path) -> None:
    keys.make(LAB, NODES)
    files = guests.node_files(LAB, NODES[0], NODES)
    assert files["etc/hostname"][1] == b"vm-1\n"
    assert b"10.79.0.14 vm-4\n" in files["etc/hosts"][1]
    interfaces = files["etc/network/interfaces"][1].decode()
    assert re.findall(r"iface (eth\d) inet static\n    address (\S+)", interfaces) == [
        ("eth0", "10.78.0.11/24"),
        ("eth1", "10.79.0.11/24"),
    ]
    assert files["root/.ssh/authorized_keys"][1] == LAB.key.with_suffix(".pub").read_bytes()
    assert files["etc/ssh/ssh_host_ed25519_key"][0] == 0o600
    identities = {guests.node_files(LAB, node, NODES)["etc/machine-id"][1] for node in NODES}
    assert len(identities) == len(NODES)
    assert all(re.fullmatch(rb"[0-9a-f]{32}\n", identity) for identity in identities)


def test_only_the_guest_of_that_name_has_its_pid(tmp_path: Path) -> None:
    pid = tmp_path / "vm-1.pid"
    pid.write_text(f"{os.getpid()}\n", encoding="utf-8")
    own = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()

    def asked(name: str, file: Path = pid) -> tuple[int, str]:
        line = ["sh", "-c", guests._PID, "sh", str(file), name]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip()

    assert asked(own) == (0, str(os.getpid()))
    assert asked("vm-1") == (1, "")
    assert asked(own, tmp_path / "none") == (1, "")


def test_words_reach_the_guest_as_they_are() -> None:
    (line,) = guests.shell_words(["sh", "-c", "echo 'a  b' $HOME"])
    done = subprocess.run(
        ["sh", "-c", f"set -- {line}; printf '%s|' \"$@\""], capture_output=True, check=True
    )
    assert done.stdout == b"sh|-c|echo 'a  b' $HOME|"


def test_commands_run_as_root_whoever_logs_in() -> None:
    node = spec.Node("x", "trixie", "10.79.0.9", management="10.78.0.9", user="ops", machine=True)
    line = guests.as_root(LAB, node, ["id"])
    assert "root@10.78.0.9" in line
    # Without it a guest that is switched off is waited for as long as it may take.
    assert any(word.startswith("ServerAliveInterval=") for word in line)


def test_the_end_of_the_console_is_shown(state: Path) -> None:
    files = qemu.GuestPaths.of(LAB, NODES[0])
    assert guests.console(files).strip() == "(nothing)"
    files.folder.mkdir()
    files.console.write_text("".join(f"line {n}\n" for n in range(40)), encoding="utf-8")
    assert guests.console(files).splitlines() == [f"    line {n}" for n in range(25, 40)]


def test_the_counters_rate_is_steady() -> None:
    rates = [accelerator.tsc_khz() for _ in range(2)]
    if rates[0] == 0:
        pytest.skip("no way to run rdtsc here")
    assert abs(rates[0] - rates[1]) / rates[0] < 0.002


def test_without_access_to_kvm_no_guest_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(accelerator, "run", lambda line: "QEMU emulator version 7.2\n")
    monkeypatch.setattr(accelerator, "_probe", lambda kernel: pytest.fail("a guest was tried"))
    found = accelerator.find(PARTS.kernel)
    assert (found.kvm, found.why) == (False, f"no access to {tmp_path / 'kvm'}")


@pytest.mark.parametrize("why", ["", "no guest boots within 20 s"])
def test_kvm_is_believed_only_after_a_guest_has_booted_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    asked: list[Path] = []

    def probe(kernel: Path) -> str:
        asked.append(kernel)
        return why

    (tmp_path / "kvm").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(accelerator, "run", lambda line: "QEMU emulator version 7.2\n")
    monkeypatch.setattr(accelerator, "_probe", probe)
    first, second = (accelerator.find(PARTS.kernel) for _ in range(2))
    assert first == second
    assert (first.kvm, first.why, len(asked)) == (not why, why, 1)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo swarm-lab-probe-ok", ""),
        # It need not come to an end: what counts is that the guest has run.
        ("echo swarm-lab-probe-ok; exec sleep 60", ""),
        ("echo 'Linux version'; exec sleep 60", "no guest boots within 2 s"),
        ("echo 'kvm: no MSR' >&2; exit 134", "kvm: no MSR"),
        ("exit 0", "the guest ends without a word"),
    ],
    ids=["boots", "boots and stays", "hangs", "breaks", "says nothing"],
)
def test_the_guest_that_is_tried_on_kvm_has_to_speak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    program = tmp_path / "bin/qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/words\n{script}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(accelerator, "PROBE_SECONDS", 2)
    monkeypatch.setattr(accelerator, "busybox", lambda: b"busybox")
    assert accelerator._probe(PARTS.kernel) == why
    words = (tmp_path / "words").read_text(encoding="utf-8")
    assert "-accel kvm" in words and "tcg" not in words and str(PARTS.kernel) in words


@pytest.mark.parametrize(
    ("speed", "said"), [(KVM, "(KVM)"), (TCG, "(translation, as no access to /dev/kvm)")], ids=["kvm", "tcg"]
)
def test_it_is_said_what_the_guests_run_on(
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    speed: accelerator.Accelerator,
    said: str,
) -> None:
    Machines(monkeypatch, set())
    monkeypatch.setattr(accelerator, "find", lambda kernel: speed)
    vm_core.up(LAB, "vm-pair")
    assert f"starting vm-1, vm-2 {said}" in capsys.readouterr().err


def test_a_greeting_is_waited_for_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(lab_nodes, "run", lambda line, timeout: lines.append(line))
    assert lab_nodes.greets(namespaces.Process(1, 1), NODES[0], guests.GREETING_SECONDS)
    (line,) = lines
    assert line[line.index("timeout") + 1] == str(guests.GREETING_SECONDS)
    # No shorter limit inside, after which the guest would be asked anew.
    assert not re.search(r"read.* -t ", line[line.index("-c") + 1])


def test_commands_go_to_the_engine_of_the_labs_nodes(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def note(text: str) -> tuple[bool, str]:
        called.append(text)
        return True, ""

    for name, module in (("containers", core), ("machines", vm_core)):
        for command in ("up", "status", "reboot"):
            text = f"{name} {command}"
            monkeypatch.setattr(module, command, lambda *_, text=text: note(text))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SWARM_NODE_LAB_SET", raising=False)
    assert cli.main(["up", "--name", "lab"]) == 0
    assert cli.main(["up", "--name", "lab", "--set", "vm"]) == 0
    sets.remember(LAB, "vm")
    for words in (["up"], ["status"], ["reboot", "vm-3"]):
        assert cli.main([words[0], "--name", "lab", *words[1:]]) == 0
    assert called == ["containers up", "machines up", "machines up", "machines status", "machines reboot"]


def test_what_is_read_from_an_image_has_to_be_there(tmp_path: Path) -> None:
    if shutil.which("mke2fs") is None or shutil.which("debugfs") is None:
        pytest.skip("no e2fsprogs here")
    root, disk = tmp_path / "root", tmp_path / "disk.img"
    (root / "boot").mkdir(parents=True)
    (root / "boot/vmlinuz-6.1.0").write_bytes(b"kernel")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(disk), "4M"], check=True)
    vm_images._dump_kernel(disk, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"kernel"
    with pytest.raises(LabError, match="no /boot/none in the image"):
        vm_images._dump(disk, "/boot/none", tmp_path / "out")


class Machines:
    """Stands in for the host: which guests were made, and which of them fail to come up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: set[str]) -> None:
        self.failing = failing
        self.made: list[str] = []
        self.running: namespaces.Process | None = None
        monkeypatch.setattr(vm_images, "check_tools", lambda: None)
        monkeypatch.setattr(vm_images, "parts", lambda suites: dict.fromkeys(suites, PARTS))
        monkeypatch.setattr(accelerator, "find", lambda kernel: TCG)
        monkeypatch.setattr(namespaces, "holder", lambda lab: self.running)
        monkeypatch.setattr(namespaces, "start", self.start)
        monkeypatch.setattr(network, "make_bridges", lambda holder, nodes: None)
        monkeypatch.setattr(guests, "make", self.make)
        monkeypatch.setattr(guests, "alive", lambda holder, files: True)
        monkeypatch.setattr(guests, "greets", lambda holder, node, patience: True)
        monkeypatch.setattr(vm_core, "remove", self.remove)
        monkeypatch.setattr(core, "LABS", paths.LABS)

    def start(self, lab: paths.LabPaths) -> namespaces.Process:
        self.running = namespaces.Process(1, 1)
        return self.running

    def remove(self, lab: paths.LabPaths) -> None:
        self.running = None
        if lab.state.exists():
            shutil.rmtree(lab.state)

    def make(
        self,
        lab: paths.LabPaths,
        holder: namespaces.Process,
        node: spec.Node,
        nodes: tuple[spec.Node, ...],
        parts: vm_images.Parts,
        speed: accelerator.Accelerator,
    ) -> None:
        if node.name in self.failing:
            raise LabError(f"{node.name}: not up")
        self.made.append(node.name)
        files = qemu.GuestPaths.of(lab, node)
        files.folder.mkdir(exist_ok=True)
        files.command.write_text(guests.recipe(files, parts, speed), encoding="utf-8")


def test_up_makes_what_is_missing_and_nothing_twice(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch, set())
    vm_core.up(LAB, "vm")
    assert sorted(machines.made) == [node.name for node in NODES]
    machines.made.clear()
    vm_core.up(LAB)
    assert machines.made == []
    qemu.GuestPaths.of(LAB, NODES[2]).command.unlink()
    vm_core.up(LAB)
    assert machines.made == ["vm-3"]


def test_a_failed_start_leaves_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch, {"vm-2"})
    with pytest.raises(LabError, match="vm-2: not up"):
        vm_core.up(LAB, "vm-pair")
    assert machines.running is None
    assert not LAB.state.exists()


def test_a_lab_beyond_repair_starts_anew(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch, set())
    vm_core.up(LAB, "vm-pair")
    machines.made.clear()
    qemu.GuestPaths.of(LAB, NODES[0]).command.unlink()
    attempts: list[str] = []

    def once(*words: object) -> None:
        attempts.append("x")
        if len(attempts) == 1:
            raise LabError("not up")
        machines.make(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(guests, "make", once)
    vm_core.up(LAB)
    assert sorted(machines.made) == ["vm-1", "vm-2"]


@pytest.mark.parametrize("command", [vm_core.reboot, vm_core.crash, vm_core.start])
def test_a_guest_of_no_lab_is_told_how_to_start_it(
    state: Path, command: Callable[[paths.LabPaths, spec.Node], None]
) -> None:
    with pytest.raises(LabError, match="not up; start it by: python -m lab up --name lab --set vm"):
        command(LAB, NODES[0])
    shutil.rmtree(state)
    with pytest.raises(LabError, match="not up; start it by"):
        command(LAB, NODES[0])


def test_a_slow_guest_is_not_taken_for_a_dead_one(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, holder = qemu.GuestPaths.of(LAB, NODES[0]), namespaces.Process(1, 1)
    greetings = iter([False, False, True])
    monkeypatch.setattr(guests.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(guests, "alive", lambda holder, files: True)
    monkeypatch.setattr(guests, "greets", lambda holder, node, patience: next(greetings))
    assert guests.answers(holder, files, 60)
    monkeypatch.setattr(guests, "greets", lambda holder, node, patience: False)
    assert not guests.answers(holder, files, 0)
    monkeypatch.setattr(guests, "alive", lambda holder, files: False)
    assert not guests.answers(holder, files, 60)
