"""Where a request comes from, behind proxies that are trusted and in front of all others. Pure.

A proxy adds to `X-Forwarded-For`, or to `Forwarded` (RFC 7239), who spoke to it; anybody may have written what
stands before. So the chain is read from its end, and believed for as long as who wrote it is trusted.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV6_PREFIX = 64
"""What one customer is given, and may take addresses from at will."""

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?")


def client_address(
    peer: str | None, forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """Return the address of the first who is not trusted, seen from here; None where the peer has none.

    Args:
        peer: who is connected to us.
        forwarded_for: the `X-Forwarded-For` lines, in their order.
        forwarded: the `Forwarded` lines, in their order.
        trusted: the networks of our own proxies.

    Where both kinds of line are there and disagree, one of them was sent by the client and passed on by a proxy that
    does not know it. Which one cannot be told, and neither is believed.
    """
    address = parse_address(peer or "")
    if address is None or not _is_trusted(address, trusted):
        return address
    chains = [chain for chain in (_hops(forwarded_for), _forwarded_hops(forwarded)) if chain]
    found = {_first_stranger(address, chain, trusted) for chain in chains}
    return found.pop() if len(found) == 1 else address


def network_of(address: Address) -> Network:
    """Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    return ip_network((address, _IPV6_PREFIX if address.version == 6 else address.max_prefixlen), strict=False)


def parse_address(text: str) -> Address | None:
    """Return the address in `text`, with a port or brackets or without; None where there is none."""
    match = _WITH_PORT.fullmatch(text.strip())
    plain = (match[1] or match[2] or "") if match else text.strip()
    try:
        address = ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    # An IPv4 client on a socket of both kinds.
    return getattr(address, "ipv4_mapped", None) or address


def _first_stranger(peer: Address, chain: Sequence[Address | None], trusted: Sequence[Network]) -> Address:
    last = peer
    for hop in reversed(chain):
        if hop is None:
            break  # no address: who wrote it is all that is known
        last = hop
        if not _is_trusted(hop, trusted):
            break
    return last


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _hops(lines: Sequence[str]) -> list[Address | None]:
    return [parse_address(hop) for line in lines for hop in line.split(",") if hop.strip()]


def _forwarded_hops(lines: Sequence[str]) -> list[Address | None]:
    return [_forwarded_hop(element) for line in lines for element in _split_outside_quotes(line, ",")]


def _forwarded_hop(element: str) -> Address | None:
    pairs = [pair.partition("=") for pair in _split_outside_quotes(element, ";")]
    values = [value.strip() for name, _, value in pairs if name.strip().lower() == "for"]
    # Two are one too many: which of them the proxy has written cannot be told.
    return parse_address(_unquoted(values[0])) if len(values) == 1 else None


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split from the end, as the chain is read: a quote that a client has left open swallows nothing of what a proxy
    wrote after it.
    """
    parts, end, quoted = [], len(text), False
    for at in range(len(text) - 1, -1, -1):
        if text[at] == '"' and not _is_escaped(text, at):
            quoted = not quoted
        elif text[at] == separator and not quoted:
            parts.append(text[at + 1 : end])
            end = at
    parts.append(text[:end])
    return [part.strip() for part in reversed(parts) if part.strip()]


def _is_escaped(text: str, at: int) -> bool:
    before = at
    while before and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2 == 1


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
