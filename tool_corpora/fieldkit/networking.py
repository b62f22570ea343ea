"""Internet addresses, subnets and transfer times."""

import ipaddress

from tool_corpora.kit import flag, integer, number, pattern, tool


def _draw_address(rng):
    octets = [rng.randint(1, 223), rng.randint(0, 255), rng.randint(0, 255), rng.randint(1, 254)]
    return ".".join(map(str, octets))


def _network(address, prefix):
    return ipaddress.IPv4Network((ipaddress.IPv4Address(address), prefix), strict=False)


@tool(
    "Give the subnet mask that belongs to a prefix length. "
    "Translates CIDR slash notation into a dotted netmask, or a wildcard for router access lists.",
    returns="The mask in dotted notation.",
    prefix=integer("Prefix length in bits.", 1, 32),
    wildcard=flag("Give the inverted wildcard mask."),
    ask=[
        "What is the subnet mask for prefix {prefix}?",
        "Give me the subnet mask of a /{prefix} network.",
        "Write the prefix length {prefix} as a subnet mask.",
        ("Which wildcard mask belongs to the prefix {prefix}?", {"wildcard": True}),
        ("Give the wildcard mask for a /{prefix}.", {"wildcard": True}),
    ],
    held=[
        "My router wants a mask; the prefix is {prefix}. Which one do I type?",
        "Show a /{prefix} prefix as a dotted subnet mask.",
        ("For an access rule I need the wildcard mask at prefix {prefix}.", {"wildcard": True}),
    ],
)
def subnet_mask(prefix, wildcard=False):
    net = _network("0.0.0.0", prefix)
    return str(net.hostmask if wildcard else net.netmask)


@tool(
    "Count the usable hosts in a subnet with a prefix length. "
    "Tells how many devices or machines fit into a CIDR block of some slash size.",
    returns="The number of host addresses.",
    prefix=integer("Prefix length in bits.", 1, 32),
    ask=[
        "How many usable hosts has a subnet with prefix {prefix}?",
        "Count the hosts in a /{prefix} network.",
        "What number of hosts fits into a subnet of prefix {prefix}?",
        "For the prefix length {prefix}, how many hosts are usable?",
    ],
    held=[
        "I plan a /{prefix} subnet. How many hosts can I connect?",
        "Tell me how many machines may be usable hosts under prefix {prefix}.",
    ],
)
def usable_hosts(prefix):
    return 2 ** (32 - prefix) - 2 if prefix < 31 else 33 - prefix


@tool(
    "Find the network address of the subnet an IP lies in. "
    "Gives the first address (subnet ID) of the CIDR block a host belongs to.",
    returns="The network address.",
    address=pattern("An IP address.", _draw_address, "10.1.7.20"),
    prefix=integer("Prefix length in bits.", 1, 32),
    ask=[
        "What is the network address of {address} with prefix {prefix}?",
        "Find the network address for {address}/{prefix}.",
        "Which network address does the IP {address} have under a /{prefix} prefix?",
        "Prefix {prefix}, IP {address}: give the network address.",
    ],
    held=[
        "My machine is {address} on a /{prefix}. Which network address is that?",
        "Name the network a host {address} lies in when the prefix is {prefix}.",
    ],
)
def network_address(address, prefix):
    return str(_network(address, prefix).network_address)


@tool(
    "Find the broadcast address of the subnet an IP lies in. "
    "Network admins get the last, all-hosts address of a CIDR block with this.",
    returns="The broadcast address.",
    address=pattern("An IP address.", _draw_address, "10.1.7.20"),
    prefix=integer("Prefix length in bits.", 1, 32),
    ask=[
        "What is the broadcast address of {address} with prefix {prefix}?",
        "Find the broadcast address for {address}/{prefix}.",
        "Which address does {address} use to broadcast under a /{prefix} prefix?",
        "Prefix {prefix}, IP {address}: give the broadcast address.",
    ],
    held=[
        "A host {address} on a /{prefix} sends a broadcast. To which address?",
        "With {prefix} as the prefix, tell me the broadcast of {address}.",
    ],
)
def broadcast_address(address, prefix):
    return str(_network(address, prefix).broadcast_address)


@tool(
    "Compute how many seconds a download takes on a connection. "
    "Estimates the wait for a file to transfer over an internet line of given Mbps speed.",
    returns="The time in seconds, rounded to 2 decimals.",
    megabytes=number("Size of the file in megabytes.", 1, 5000),
    megabits=number("Speed in megabits per second.", 1, 900, 1),
    efficiency=integer("Usable share of the speed, percent.", 1, 100, default=100),
    ask=[
        "How many seconds does a download of {megabytes} megabytes take at {megabits} megabits?",
        "At {megabits} megabits per second, how long to download {megabytes} megabytes?",
        "Compute the download time of {megabytes} megabytes over a {megabits} megabits line.",
        "Download {megabytes} megabytes at {megabits} megabits and {efficiency} percent "
        "efficiency: how long?",
        "With efficiency {efficiency}, what time needs a download of {megabytes} megabytes "
        "at {megabits} megabits?",
    ],
    held=[
        "My connection does {megabits} megabits; when is a download of {megabytes} megabytes done?",
        "I download a file of {megabytes} megabytes with {megabits} megabits. How long do I wait?",
        "How long is the download: {megabits} megabits at {efficiency} percent efficiency, "
        "{megabytes} megabytes?",
    ],
)
def download_seconds(megabytes, megabits, efficiency=100):
    if not (0 <= megabytes <= 1e12 and 1e-3 <= megabits <= 1e9):
        raise ValueError("size must be 0 to 1e12 megabytes and speed 0.001 to 1e9 megabits")
    return round(megabytes * 8 / (megabits * efficiency / 100), 2)
