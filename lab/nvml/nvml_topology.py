# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the GPUs of a simulated node are wired: PCI paths, NVLinks, network cards beside them. All pure.

A PCI path is a text of the ports above a device, from the host bridge down: "pci0000:1a 0000:1a:01.0" is a
device on a root port, "pci0000:16 0000:16:01.0 0000:17:00.0 0000:18:00.0" one below a switch (its upstream
and its downstream port).
"""

from __future__ import annotations

from dataclasses import dataclass

from nvml_state import SimError, Table, number

# Named after the nearest level two GPUs of one NUMA node have in `nvidia-smi topo -m`.
TOPOLOGIES = {
    "node": "every GPU on a host bridge of its own",
    "phb": "the GPUs of a NUMA node on one host bridge",
    "pix": "two PCIe switches per NUMA node, each on its own host bridge",
    "pxb": "two PCIe switches per NUMA node below a third",
}
NVLINKS = ("auto", "switch", "mesh", "bridge", "none")
SWITCHES_PER_NODE = 2
FIRST_NVSWITCH_BUS = 0xE8
# NVLinks between the GPUs of a DGX-1 (hybrid cube mesh), of six links each.
CUBE_MESH = (
    {1: 1, 2: 1, 3: 2, 4: 2}, {0: 1, 2: 2, 3: 1, 5: 2}, {0: 1, 1: 2, 3: 2, 6: 1}, {0: 2, 1: 1, 2: 2, 7: 1},
    {0: 2, 5: 1, 6: 1, 7: 2}, {1: 2, 4: 1, 6: 2, 7: 1}, {2: 1, 4: 1, 5: 2, 7: 2}, {3: 1, 4: 2, 5: 1, 6: 2},
)  # fmt: skip


@dataclass(frozen=True)
class Nic:
    """A network card: `address` as the kernel writes it, the ports above it, the GPU it sits beside."""

    address: str
    path: str
    gpu: int
    numa_node: str
    cpus: str


def _port(domain: int, bus: int, slot: int, function: int = 0) -> str:
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"


def _groups(boards: list[Table], keys: list[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """{key: indexes of the boards with it}, in the order of the boards."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, key in zip(range(len(boards)), keys):
        groups.setdefault(key, []).append(index)
    return groups


def _halves(indexes: list[int]) -> list[list[int]]:
    """The GPUs of one NUMA node, dealt to its switches."""
    share = -(-len(indexes) // SWITCHES_PER_NODE)
    return [indexes[start : start + share] for start in range(0, len(indexes), share)]


def _bus(board: Table) -> tuple[int, int]:
    return number(board, "pci_domain"), number(board, "pci_bus")


def _below_switch(boards: list[Table], indexes: list[int], above: list[str], paths: dict[int, str]) -> None:
    """Puts GPUs below one switch: its upstream port two buses before the first GPU's, a port for each."""
    domain, bus = _bus(boards[indexes[0]])
    for slot, index in enumerate(indexes):
        ports = [*above, _port(domain, bus - 2, 0), _port(domain, bus - 1, slot)]
        paths[index] = " ".join(ports)


def pci_paths(boards: list[Table], topology: str) -> list[str]:
    """The PCI path of each board, which has its pci_domain, pci_bus and numa_node already."""
    if topology not in TOPOLOGIES:
        known = "; ".join(f"{name}: {text}" for name, text in TOPOLOGIES.items())
        raise SimError(f"topology {topology!r}: there are {known}")
    paths: dict[int, str] = {}
    nodes = _groups(boards, [(number(board, "numa_node"), number(board, "pci_domain")) for board in boards])
    for indexes in nodes.values():
        domain, first = _bus(boards[indexes[0]])
        if topology == "node":
            for index in indexes:
                bus = _bus(boards[index])[1] - 1
                paths[index] = f"pci{domain:04x}:{bus:02x} {_port(domain, bus, 1)}"
        elif topology == "phb":
            for slot, index in enumerate(indexes):
                paths[index] = f"pci{domain:04x}:{first - 1:02x} {_port(domain, first - 1, slot + 1)}"
        elif topology == "pix":
            for half in _halves(indexes):
                bus = _bus(boards[half[0]])[1] - 3
                _below_switch(boards, half, [f"pci{domain:04x}:{bus:02x}", _port(domain, bus, 1)], paths)
        else:
            root = first - 5
            for slot, half in enumerate(_halves(indexes)):
                above = [f"pci{domain:04x}:{root:02x}", _port(domain, root, 1)]
                above += [_port(domain, root + 1, 0), _port(domain, root + 2, slot)]
                _below_switch(boards, half, above, paths)
    return [paths[index] for index in range(len(boards))]


def _spread(links: int, peers: dict[int, int]) -> str:
    """One word a link: each peer as often as its share, `-` for links that lead nowhere."""
    words = [str(peer) for peer, count in sorted(peers.items()) for _ in range(count)]
    return " ".join((words + ["-"] * links)[:links])


def _mesh_peers(boards: list[Table], index: int) -> dict[int, int]:
    base = index - index % len(CUBE_MESH)
    share = number(boards[index], "nvlinks") // 6
    peers = {base + peer: count * share for peer, count in CUBE_MESH[index - base].items()}
    return {
        peer: count
        for peer, count in peers.items()
        if peer < len(boards) and boards[peer]["name"] == boards[index]["name"]
    }


def _bridge_peers(boards: list[Table], index: int) -> dict[int, int]:
    peer = index ^ 1
    if peer < len(boards) and boards[peer]["name"] == boards[index]["name"]:
        return {peer: number(boards[index], "nvlinks")}
    return {}


def nvlink_remotes(boards: list[Table], wanted: str) -> list[str]:
    """What each link of each board leads to, as src/nvlink.c reads it. `auto`: the board's own layout."""
    if wanted not in NVLINKS:
        raise SimError(f"nvlink {wanted!r}: not one of {', '.join(NVLINKS)}")
    remotes = []
    for index, board in enumerate(boards):
        links = number(board, "nvlinks")
        layout = board.get("nvlink_layout", "none") if wanted == "auto" else wanted
        switches = number(board, "nvswitches")
        if layout == "switch":
            words = [f"s{link % switches}" if switches else "s" for link in range(links)]
            remotes.append(" ".join(words))
        else:
            peers = {"mesh": _mesh_peers, "bridge": _bridge_peers}.get(layout)
            remotes.append(_spread(links, peers(boards, index) if peers else {}))
    return remotes


def nvswitches(boards: list[Table]) -> list[tuple[str, str]]:
    """(address, PCI device) of the NVSwitches on this node's PCI bus that some link leads to."""
    found = {}
    for board in boards:
        for word in board["nvlink_remotes"].split():
            if len(word) > 1 and word.startswith("s"):
                found[_port(0, FIRST_NVSWITCH_BUS + int(word[1:]), 0)] = board["nvswitch_device"]
    return sorted(found.items())


def place_nics(boards: list[Table], count: int) -> list[Nic]:
    """Spreads network cards over the GPUs, each as near to its GPU as the topology allows.

    Below the same switch where there is one, else on the same host bridge if others are there too, else
    on a host bridge of their own on the same NUMA node.
    """
    nics = []
    beside: dict[int, int] = {}
    shared = [board["pci_path"].split()[0] for board in boards]
    for nic in range(count):
        gpu = nic * len(boards) // count
        turn = beside[gpu] = beside.get(gpu, -1) + 1
        if turn > 7:
            raise SimError(f"nics {count}: at most 8 for each of the {len(boards)} GPUs")
        board = boards[gpu]
        domain, bus = _bus(board)
        ports = board["pci_path"].split()
        if len(ports) > 2:
            path = [*ports[:-1], ports[-1][:-4] + f"{0x10 + gpu % 8:02x}.0"]
        elif shared.count(ports[0]) > 1:
            path = [ports[0], ports[1][:-4] + f"{0x10 + gpu % 8:02x}.0"]
        else:
            path = [f"pci{domain:04x}:{bus + 1:02x}", _port(domain, bus + 1, 1)]
        address = _port(domain, bus + 2, 0, turn)
        nics.append(Nic(address, " ".join(path), gpu, board["numa_node"], board["cpus"]))
    return nics
