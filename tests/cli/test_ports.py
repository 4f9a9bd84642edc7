import socket

import pytest

from services.cli.ports import can_listen, free_ports


def test_free_ports_are_different_and_can_be_listened_on() -> None:
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert all(can_listen("127.0.0.1", port) for port in ports)


def test_free_ports_lie_outside_the_range_of_outgoing_connections() -> None:
    assert all(20_000 <= port < 30_000 for port in free_ports(20))


def test_ports_that_are_taken_are_left_out() -> None:
    taken = range(20_000, 29_990)
    with pytest.raises(OSError, match="no 200 free ports"):
        free_ports(200, taken=taken)
    assert not set(free_ports(20, taken=range(20_000, 25_000))) & set(range(20_000, 25_000))


def test_a_port_in_use_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not can_listen("127.0.0.1", server.getsockname()[1])


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        can_listen("192.0.2.1", 8080)
