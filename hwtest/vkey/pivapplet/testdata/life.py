"""Debian's yubikit at work on the virtual PIV applications in the readers named: what it writes it reads, and what the cards sign is right."""
import datetime
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from ykman import piv as pivman
from ykman.pcsc import list_devices
from yubikit.core.smartcard import ApduError, SmartCardConnection, SW
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY, KEY_TYPE, MANAGEMENT_KEY_TYPE, OBJECT_ID, PIN_POLICY, SLOT, InvalidPinError, PivSession)

PIN, PUK = "271828", "31415926"


def wrong(left, call, *args):
    try:
        call(*args)
    except InvalidPinError as e:
        assert e.attempts_remaining == left, (e.attempts_remaining, left)
    else:
        raise AssertionError("a wrong PIN was taken")


def refused(sw, call, *args):
    try:
        call(*args)
    except ApduError as e:
        assert e.sw == sw, hex(e.sw)
    else:
        raise AssertionError("not refused")


def references(s):
    assert s.get_pin_attempts() == 3
    wrong(2, s.verify_pin, "000000")
    wrong(1, s.change_pin, "000000", PIN)
    wrong(2, s.unblock_pin, "00000000", PIN)
    s.verify_pin("123456")
    factory = MANAGEMENT_KEY_TYPE.TDES
    if s.version >= (5, 3, 0):
        pin, puk, key = s.get_pin_metadata(), s.get_puk_metadata(), s.get_management_key_metadata()
        assert (pin.default_value, pin.total_attempts, pin.attempts_remaining) == (True, 3, 3), pin
        assert (puk.default_value, puk.total_attempts, puk.attempts_remaining) == (True, 3, 2), puk
        assert key.default_value
        factory = key.key_type
    refused(SW.SECURITY_CONDITION_NOT_SATISFIED, s.authenticate, factory, bytes(24))
    s.authenticate(factory, DEFAULT_MANAGEMENT_KEY)
    s.set_pin_attempts(5, 6)
    s.change_pin("123456", PIN)
    s.change_puk("12345678", PUK)
    s.verify_pin(PIN)
    kind = MANAGEMENT_KEY_TYPE.AES256 if s.version >= (5, 4, 0) else MANAGEMENT_KEY_TYPE.TDES
    key = pivman.generate_random_management_key(kind)
    pivman.pivman_set_mgm_key(s, key, kind, store_on_device=True)
    return kind, key


def right(public, sig, kind, data):
    if kind.algorithm == "rsa":
        public.verify(sig, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        public.verify(sig, data, ec.ECDSA(hashes.SHA256()))


def certified(s, slot, public):
    now = datetime.datetime.utcnow()
    s.verify_pin(PIN)
    cert = pivman.generate_self_signed_certificate(s, slot, public, "CN=card", now, now + datetime.timedelta(1))
    right(public, cert.signature, KEY_TYPE.from_public_key(public), cert.tbs_certificate_bytes)
    s.put_certificate(slot, cert)
    assert s.get_certificate(slot) == cert
    s.verify_pin(PIN)
    request = pivman.generate_csr(s, slot, public, "CN=card")
    assert request.is_signature_valid
    assert s.attest_key(slot).public_key().public_numbers() == public.public_numbers()


def agrees(s, slot, public):
    peer = ec.generate_private_key(public.curve)
    s.verify_pin(PIN)
    assert s.calculate_secret(slot, peer.public_key()) == peer.exchange(ec.ECDH(), public)


def imported(s):
    private = rsa.generate_private_key(65537, 1024)
    s.put_key(SLOT.RETIRED20, private, PIN_POLICY.NEVER)
    refused(SW.INCORRECT_PARAMETERS, s.attest_key, SLOT.RETIRED20)
    for pad in (padding.PKCS1v15(), padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)):
        hidden = private.public_key().encrypt(b"hidden", pad)
        assert s.decrypt(SLOT.RETIRED20, hidden, pad) == b"hidden"
    private = ec.generate_private_key(ec.SECP384R1())
    s.put_key(SLOT.RETIRED1, private, PIN_POLICY.ONCE)
    s.verify_pin(PIN)
    right(private.public_key(), s.sign(SLOT.RETIRED1, KEY_TYPE.ECCP384, b"text", hashes.SHA256()), KEY_TYPE.ECCP384, b"text")
    agrees(s, SLOT.RETIRED1, private.public_key())


def life(conn):
    kind, key = references(PivSession(conn))
    s = PivSession(conn)  # nothing is proven now
    refused(SW.SECURITY_CONDITION_NOT_SATISFIED, s.get_object, OBJECT_ID.PRINTED)
    refused(SW.SECURITY_CONDITION_NOT_SATISFIED, s.put_object, OBJECT_ID.CHUID, b"x")
    s.verify_pin(PIN)
    assert pivman.get_pivman_protected_data(s).key == key
    s.authenticate(kind, key)
    algorithms = {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256, SLOT.SIGNATURE: KEY_TYPE.ECCP384}
    if s.version >= (5, 7, 0):  # yubikit draws an RSA key of its own for each signature
        algorithms[SLOT.KEY_MANAGEMENT] = KEY_TYPE.RSA2048
    for slot, alg in algorithms.items():
        public = s.generate_key(slot, alg)
        if s.version >= (5, 3, 0):
            m = s.get_slot_metadata(slot)
            assert m.generated and m.key_type == alg and m.public_key.public_numbers() == public.public_numbers()
            assert m.pin_policy == (PIN_POLICY.ALWAYS if slot == SLOT.SIGNATURE else PIN_POLICY.ONCE)
        certified(s, slot, public)
        if alg != KEY_TYPE.RSA2048:
            agrees(s, slot, public)
    refused(SW.SECURITY_CONDITION_NOT_SATISFIED, s.sign, SLOT.SIGNATURE, KEY_TYPE.ECCP384, b"text", hashes.SHA256())
    imported(s)
    s.put_object(OBJECT_ID.CHUID, pivman.generate_chuid())
    s.put_object(OBJECT_ID.CAPABILITY, pivman.generate_ccc())
    info = pivman.get_piv_info(s)
    assert "Subject DN:\tCN=card" in info and "WARNING" not in info, info
    s.put_object(OBJECT_ID.CHUID, None)
    refused(SW.FILE_NOT_FOUND, s.get_object, OBJECT_ID.CHUID)
    s.reset()
    assert s.get_pin_attempts() == 3 and not pivman.list_certificates(s)


for reader in sys.argv[1:]:
    for device in list_devices(reader):
        with device.open_connection(SmartCardConnection) as conn:
            life(conn)
        print(reader)
