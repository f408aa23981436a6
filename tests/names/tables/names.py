"""What is a name

Whatever can be written in the DNS is asked for, as it was typed.
What cannot be a name is refused at once, and nobody is asked.
"""
from row import REFUSED, Row

WILD = "* 127.0.0.5"

ROWS = [
    Row("name-plain", "A name is asked for in both families.", "web.test", "fd00:5::5 127.0.0.5", "web.test",
        zone="web.test 127.0.0.5 fd00:5::5"),
    Row("name-upper-case", "Letters may be of either case.", "WEB.Test", "127.0.0.5", "web.test", zone=WILD),
    Row("name-underscore", "Underscores are asked for.", "my_svc.test", "127.0.0.5", "my_svc.test", zone=WILD),
    Row("name-leading-underscore", "A label may begin with an underscore.", "_foo.test", "127.0.0.5", "_foo.test", zone=WILD),
    Row("name-underscore-short", "A short name may have an underscore.", "foo_bar", "127.0.0.5", "foo_bar", zone=WILD),
    Row("name-xn", "A label in Punycode is asked for as it is.", "xn--bcher-kva.test", "127.0.0.5", "xn--bcher-kva.test", zone=WILD),
    Row("name-xn-odd", "A label that is not valid Punycode is asked for as it is.", "xn--zz-.test", "127.0.0.5", "xn--zz-.test", zone=WILD),
    Row("name-double-hyphen", "Two hyphens are nothing special.", "ab--c.a--b.test", "127.0.0.5", "ab--c.a--b.test", zone=WILD),
    Row("name-ends-in-hyphen", "A label may end in a hyphen.", "a-.test", "127.0.0.5", "a-.test", zone=WILD),
    Row("name-digits", "A label may be of digits.", "123.test", "127.0.0.5", "123.test", zone=WILD),
    Row("name-last-digits", "A last label with letters beside digits is a name.", "web.4a", "127.0.0.5", "web.4a", zone=WILD),
    Row("name-five-numbers", "A last label of digits is refused: some read an address there.", "1.2.3.4.5", REFUSED, zone=WILD,
        differs="it is asked for as a name", there="127.0.0.5"),
    Row("name-label-63", "A label may have 63 bytes.", "a" * 63 + ".test", "127.0.0.5", "a" * 63 + ".test", zone=WILD),
    Row("name-label-64", "A label of 64 bytes is refused, and nobody is asked.", "a" * 64 + ".test", REFUSED, zone=WILD),
    Row("name-253", "A name may have 253 bytes.", ".".join(["a" * 63] * 3 + ["b" * 61]), "127.0.0.5",
        ".".join(["a" * 63] * 3 + ["b" * 61]), zone=WILD),
    Row("name-254", "A name of 254 bytes is refused, and nobody is asked.", ".".join(["a" * 63] * 3 + ["b" * 62]), REFUSED, zone=WILD),
    Row("name-empty-label", "A name with an empty label is refused, and nobody is asked.", "a..test", REFUSED, zone=WILD),
    Row("name-localhost", "A name under localhost is this machine, and nobody is asked (RFC 6761 §6.3).",
        "web.localhost", "::1 127.0.0.1", zone=WILD, differs="it is asked for like any name", there="127.0.0.5"),
    Row("address-ipv4", "An IPv4 address is itself.", "127.0.0.7", "127.0.0.7", zone=WILD),
    Row("address-ipv6", "An IPv6 address is itself.", "fd00:5::7", "fd00:5::7", zone=WILD),
    Row("address-no-server", "Addresses need no server.", "127.0.0.7", "127.0.0.7", servers=("closed",)),
    Row("address-short", "An address of two numbers is refused: some read it as a name.", "127.7", REFUSED, zone=WILD,
        differs="it is an address, as inet_aton(3) reads it", there="127.0.0.7"),
    Row("address-hexadecimal", "An address in hexadecimal is refused: some read it as a name.", "0x7f000007", REFUSED, zone=WILD,
        differs="it is an address, as inet_aton(3) reads it", there="127.0.0.7"),
]
