"""S11: notices go nowhere but to the open internet; what of an address may be shown."""

import pytest

from alerting import addresses, guard

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "255.255.255.255", "224.0.0.1", "240.0.0.1",
    "192.0.2.1", "198.18.0.1", "192.88.99.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "fec0::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_s11_what_is_not_the_open_internet_is_not_public(address: str) -> None:
    assert not guard.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_what_is_public_is(address: str) -> None:
    assert guard.is_public(address)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    """A name with both is how rebinding begins."""
    with pytest.raises(guard.Refused, match="VOLTLEDGER_NOTICES_TO_PRIVATE"):
        guard.allowed("two.example", 443, to_private=False, resolver=lambda host, port: ["1.1.1.1", "10.0.0.1"])
    assert guard.allowed("two.example", 443, to_private=True, resolver=lambda host, port: ["10.0.0.1"]) == ["10.0.0.1"]


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]".strip("[]")])
def test_s11_other_spellings_of_loopback_are_refused(host: str) -> None:
    """As the system itself reads them."""
    with pytest.raises((guard.Refused, guard.Unknown)):
        guard.allowed(host, 80, to_private=False)


def test_a_name_that_is_none_is_unknown_and_not_an_error() -> None:
    for host in ("no-such-host.invalid", "a" * 70 + ".example", ".."):
        with pytest.raises(guard.Unknown):
            guard.resolve(host, 80)


WRONG = [
    ("webhook", "file:///etc/passwd"), ("webhook", "gopher://x.example/1"), ("webhook", "hooks.example"), ("webhook", "https://"), ("webhook", "https://user:pw@x.example/"),
    ("webhook", "https://x.example:99999/"), ("webhook", "https://x.example:0/"), ("webhook", "https://x.example/\r\nX: 1"), ("webhook", "https://x.example/ a"),
    ("webhook", "https://exämple.org/"), ("webhook", "https://x.example\\@10.0.0.1/"), ("webhook", "https://[::1"), ("webhook", "https://x.example/" + "a" * 2000),
    ("email", "ada"), ("email", "ada@"), ("email", "ada@x..example"), ("email", "ada@x.example,eve@x.example"), ("email", "Ada <ada@x.example>"),
    ("email", "ada@x.example\r\nBcc: eve@x.example"), ("email", "ada@-x.example"),
    ("apprise", "file:///tmp/x"), ("apprise", "syslog://local7"), ("apprise", "dbus://"), ("apprise", "macosx://"), ("apprise", "windows://"), ("apprise", "amqp://x.example/q"),
    ("apprise", "slack"), ("apprise", "json://"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "address"), WRONG)
def test_an_address_of_the_wrong_form_is_said_to_be(kind: addresses.Kind, address: str) -> None:
    assert addresses.faulty(kind, address)


@pytest.mark.parametrize(
    ("kind", "address", "shown"),
    [
        ("webhook", "https://hooks.example.org:8443/T0/s3cr3t?key=s3cr3t", "https://hooks.example.org/…"),
        ("email", "ada.l+fleet@mail.example.org", "…@mail.example.org"),
        ("apprise", "slack://s3cr3tA/s3cr3tB/s3cr3tC/#fleet", "slack://…"),
        ("apprise", "ntfys://user:s3cr3t@ntfy.example.org/s3cr3t-topic", "ntfys://ntfy.example.org/…"),
        ("apprise", "TGRAM://123:s3cr3t/42", "TGRAM://…"),
    ],
)
def test_scheme_and_host_are_all_that_is_shown(kind: addresses.Kind, address: str, shown: str) -> None:
    assert addresses.faulty(kind, address) is None
    assert addresses.shown(kind, address) == shown


def test_an_error_that_others_worded_loses_every_piece_of_the_address_and_the_secret() -> None:
    address = "ntfys://user:s3cr3t@ntfy.example.org/t0pic-of-ours"
    said = addresses.redacted(f"no: {address} s3cr3t, t0pic-of-ours, pass-word at ntfy.example.org", address, "pass-word", None)
    assert said == "no: ••• •••, •••, ••• at ntfy.example.org"


def test_every_service_that_is_taken_is_one_of_the_library() -> None:
    """And none that writes to this machine is."""
    import apprise

    known = {
        scheme for one in apprise.Apprise().details()["schemas"] for scheme in (*(one["protocols"] or ()), *(one["secure_protocols"] or ()))
    }
    assert (addresses.HOSTED | addresses.SELF_HOSTED) - known == set()
    assert {"file", "syslog", "dbus", "kde", "glib", "qt", "gnome", "macosx", "windows"}.isdisjoint(
        addresses.HOSTED | addresses.SELF_HOSTED
    )
