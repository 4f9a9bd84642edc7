import itertools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.edge.addresses import Address, client_address, network_of, parse_address

OURS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY = "10.0.0.1"

# What may stand in such a header, well-formed or not, and what is only there to confuse.
PIECES = st.sampled_from(
    [
        *'",;=:\\[] \t',
        "for",
        "For=",
        "for=",
        'for="',
        "by=",
        "host=",
        "unknown",
        "_hidden",
        "6.6.6.6",
        "[]",
        "[2001:db8::6]",
        PROXY,
    ]
)
JUNK = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
LINES = st.lists(JUNK, max_size=3)


def strangers() -> st.SearchStrategy[Address]:
    """Return addresses that are none of our proxies'."""
    found: st.SearchStrategy[Address] = st.ip_addresses(v=4) | st.ip_addresses(v=6)
    return found.filter(lambda address: parse_address(str(address)) == address).filter(
        lambda address: not any(address in network for network in OURS)
    )


def bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


def as_x_forwarded_for(address: Address) -> st.SearchStrategy[str]:
    """Return the ways in which proxies write an address into `X-Forwarded-For`."""
    host = bracketed(address)
    return st.sampled_from([str(address), host, f"{host}:443", f" {address} "])


def as_forwarded(address: Address) -> st.SearchStrategy[str]:
    """Return the ways in which proxies write an address into `Forwarded`."""
    host = bracketed(address)
    quoted = [f'for="{host}"', f'For="{host}:443"', f'for = "{host}"']
    plain = [f"for={host}", f"FOR={host}"] if address.version == 4 else []
    around = ["{}", "{};proto=https", "proto=https; {}", 'by="[::1]:8";{};host="a,b;c"', 'host="a;for=6.6.6.6";{}']
    return st.tuples(st.sampled_from(around), st.sampled_from(quoted + plain)).map(lambda two: two[0].format(two[1]))


def appended(lines: list[str], element: str, *, own_line: bool) -> list[str]:
    """Return header lines as they leave a proxy: with an element added to the last one, or in one of its own."""
    if own_line or not lines:
        return [*lines, element]
    return [*lines[:-1], f"{lines[-1]}, {element}"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:8080", "203.0.113.7"),
        ("[203.0.113.7]", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
    ],
)
def test_an_address_is_found_with_a_port_or_brackets_or_without(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "unknown", "_hidden", "_SEVKISEK", "localhost", "203.0.113", "203.0.113.7.1", "203.0.113.256"),
        *(
            "203.0.113.07",
            "3405803783",
            "0x7f.1",
            "203.0.113.7:",
            "203.0.113.7:port",
            "203.0.113.7:123456",
            "[]",
            "[::1",
        ),
        *(
            "::1]",
            "2001:db8:::7",
            "[2001:db8::7]8080",
            "203.0.113.7, 203.0.113.8",
            "٢٠٣.0.113.7",
            "203.0.113.7 x",
            "\0",
        ),
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@given(st.text(max_size=40) | JUNK)
def test_any_text_is_an_address_or_none(text: str) -> None:
    assert parse_address(text) is None or isinstance(parse_address(text), IPv4Address | IPv6Address)


@given(strangers(), LINES, LINES)
def test_who_comes_to_us_himself_may_write_what_he_likes(peer: Address, lines: list[str], others: list[str]) -> None:
    assert client_address(str(peer), lines, others, OURS) == peer
    assert client_address(str(peer), lines, others, ()) == peer


@given(LINES, LINES)
def test_a_peer_without_an_address_stays_without(lines: list[str], others: list[str]) -> None:
    for peer in (None, "", "/run/edge.sock"):
        assert client_address(peer, lines, others, OURS) is None


@given(st.data(), strangers(), LINES, st.booleans())
def test_what_stands_before_a_proxys_word_changes_nothing(
    data: st.DataObject, real: Address, written: list[str], own_line: bool
) -> None:
    lines = appended(written, data.draw(as_x_forwarded_for(real)), own_line=own_line)

    assert client_address(PROXY, lines, [], OURS) == real


@given(st.data(), strangers(), LINES, st.booleans())
def test_nor_does_it_in_the_header_of_the_standard(
    data: st.DataObject, real: Address, written: list[str], own_line: bool
) -> None:
    lines = appended(written, data.draw(as_forwarded(real)), own_line=own_line)

    assert client_address(PROXY, [], lines, OURS) == real


@given(st.data(), strangers(), LINES, st.lists(st.sampled_from(["10.0.0.2", "10.9.9.9", "fd00::2"]), max_size=3))
def test_nor_through_a_chain_of_proxies(
    data: st.DataObject, real: Address, written: list[str], proxies: list[str]
) -> None:
    plain = standard = written
    for hop in (real, *map(ip_address, proxies)):
        plain = appended(plain, data.draw(as_x_forwarded_for(hop)), own_line=data.draw(st.booleans()))
        standard = appended(standard, data.draw(as_forwarded(hop)), own_line=data.draw(st.booleans()))

    assert client_address(PROXY, plain, [], OURS) == real
    assert client_address(PROXY, [], standard, OURS) == real
    assert client_address(PROXY, plain, standard, OURS) == real


@given(strangers(), LINES, LINES)
def test_a_header_that_the_proxy_does_not_know_makes_nobody_somebody_else(
    real: Address, written: list[str], unknown: list[str]
) -> None:
    lines = appended(written, str(real), own_line=False)
    standard = appended(written, f'for="{bracketed(real)}"', own_line=False)

    assert client_address(PROXY, lines, unknown, OURS) in (real, ip_address(PROXY))
    assert client_address(PROXY, unknown, standard, OURS) in (real, ip_address(PROXY))


@given(strangers(), strangers())
def test_two_kinds_of_header_that_disagree_are_both_not_believed(one: Address, other: Address) -> None:
    assume(one != other)

    assert client_address(PROXY, [str(one)], [f'for="{bracketed(other)}"'], OURS) == ip_address(PROXY)
    assert client_address(PROXY, [str(one)], [f'for="{bracketed(one)}"'], OURS) == one


@pytest.mark.parametrize(
    "word", ["unknown", "_hidden", '"_hidden"', '"unknown"', "", '""', '"', "nonsense", "6.6.6.6.6"]
)
def test_a_proxy_that_does_not_say_who_it_was_is_all_that_is_known(word: str) -> None:
    inner = ip_address("10.0.0.2")

    assert client_address(PROXY, [], [f"for=6.6.6.6, for={word}"], OURS) == ip_address(PROXY)
    assert client_address(PROXY, [], [f"for=6.6.6.6, for={word}, for=10.0.0.2"], OURS) == inner
    assert client_address(PROXY, [f"6.6.6.6, {word or '-'}, 10.0.0.2"], [], OURS) == inner


@pytest.mark.parametrize(
    "element", ["proto=https", "by=10.0.0.1", "for=6.6.6.6;for=7.7.7.7", "fo r=6.6.6.6", "for", "6.6.6.6"]
)
def test_an_element_without_one_client_tells_nothing(element: str) -> None:
    assert client_address(PROXY, [], [f"for=6.6.6.6, {element}"], OURS) == ip_address(PROXY)


def test_empty_elements_and_lines_are_no_hops() -> None:
    for lines in itertools.product(["", ",", " , ,"], ["203.0.113.7", ",203.0.113.7,", "203.0.113.7 , ,"], ["", ", ,"]):
        assert client_address(PROXY, list(lines), [], OURS) == ip_address("203.0.113.7")
    for line in ("for=203.0.113.7", ",for=203.0.113.7;,", "; for=203.0.113.7 , ,", ";;for=203.0.113.7;;"):
        assert client_address(PROXY, ["", ","], ["", line, ","], OURS) == ip_address("203.0.113.7")


@pytest.mark.parametrize("lines", [[], [""], [","], [" ", ",,"]])
def test_without_a_word_of_the_proxy_it_is_who_calls(lines: list[str]) -> None:
    assert client_address(PROXY, lines, lines, OURS) == ip_address(PROXY)


def test_a_chain_of_nothing_but_our_own_begins_at_its_first() -> None:
    assert client_address(PROXY, ["10.0.0.9, 10.0.0.2"], [], OURS) == ip_address("10.0.0.9")


def test_lines_count_in_their_order() -> None:
    assert client_address(PROXY, ["6.6.6.6", "203.0.113.7", "10.0.0.2"], [], OURS) == ip_address("203.0.113.7")
    assert client_address(PROXY, [], ["for=6.6.6.6", "for=203.0.113.7", "for=10.0.0.2"], OURS) == ip_address(
        "203.0.113.7"
    )


@pytest.mark.parametrize(
    "before", ['for="6.6.6.6', 'for="6.6.6.6\\', 'host="', '"', '\\"', '"\\', 'for="a\\"b', "for=6.6.6.6;", '";for="']
)
def test_a_quote_that_is_left_open_swallows_nothing_of_the_proxys(before: str) -> None:
    for word in ("for=203.0.113.7", 'for="203.0.113.7:80"', 'host="a\\"b\\\\";for="203.0.113.7"'):
        assert client_address(PROXY, [], [f"{before}, {word}"], OURS) == ip_address("203.0.113.7")


def test_a_name_that_the_client_sent_as_its_host_is_no_parameter() -> None:
    line = 'host="a;for=6.6.6.6, for=7.7.7.7";for=203.0.113.7'

    assert client_address(PROXY, [], [line], OURS) == ip_address("203.0.113.7")


def test_a_proxy_on_a_socket_of_both_kinds_is_known_by_its_ipv4_address() -> None:
    assert client_address("::ffff:10.0.0.1", ["203.0.113.7"], [], OURS) == ip_address("203.0.113.7")
    assert client_address("::ffff:203.0.113.9", ["203.0.113.7"], [], OURS) == ip_address("203.0.113.9")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_a_caller_is_an_ipv4_address_or_a_64_of_ipv6(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == ip_network(network)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.integers(64, 127))
def test_addresses_are_one_caller_exactly_where_their_first_64_bits_are_the_same(
    address: Address, interface: int, bit: int
) -> None:
    within = IPv6Address(int(address) >> 64 << 64 | interface)
    without = IPv6Address(int(address) ^ (1 << bit))

    assert network_of(within) == network_of(address) != network_of(without)
