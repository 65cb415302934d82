"""Builds what the jobs on standard input describe with the vendor's own code: libykpers 1.20 (by ctypes) and yubikit 4.0.9.

Input is a JSON list of jobs, output a JSON list of what became of each: bytes in hexadecimal, or "refused: why".
"""
import ctypes
import json
import sys

from ykman import scancodes
from yubikit import yubiotp
from yubikit.core import otp

ykp = ctypes.CDLL("libykpers-1.so.1")
for name in ("ykp_alloc", "ykds_alloc", "ykp_core_config", "ykp_alloc_ndef", "ykp_alloc_device_config"):
    getattr(ykp, name).restype = ctypes.c_void_p

FIRST, SECOND = 1, 3  # slot commands


class Refused(Exception):
    pass


def check(ok, what):
    if not ok:
        raise Refused(what)


def pers(job):
    """The 52 bytes by libykpers, which leaves the CRC to the sender."""
    status = ctypes.c_void_p(ykp.ykds_alloc())
    ctypes.memmove(status, bytes(job["version"]), 3)
    config = ctypes.c_void_p(ykp.ykp_alloc())
    ykp.ykp_configure_version(config, status)
    check(ykp.ykp_configure_command(config, SECOND if job["slot"] == 2 else FIRST), "SLOT")
    for flag in job["flags"]:
        check(getattr(ykp, "ykp_set_" + flag)(config, ctypes.c_bool(True)), flag.split("_", 1)[1])
    key, fixed, uid, code = (bytes.fromhex(job[k]) for k in ("key", "fixed", "uid", "code"))
    if job["kind"] in ("hotp", "hmac"):
        check(not ykp.ykp_HMAC_key_from_raw(config, key.ljust(20, b"\0")), "key")
    else:
        check(not ykp.ykp_AES_key_from_raw(config, key), "key")
    if fixed:
        check(ykp.ykp_set_fixed(config, fixed, ctypes.c_size_t(len(fixed))), "fixed")
    if uid:
        check(ykp.ykp_set_uid(config, uid, ctypes.c_size_t(len(uid))), "uid")
    if job["moving"]:
        check(ykp.ykp_set_oath_imf(config, ctypes.c_ulong(job["moving"])), "oath-imf")
    if code:
        check(ykp.ykp_set_access_code(config, code, ctypes.c_size_t(len(code))), "access code")
    raw = ctypes.string_at(ctypes.c_void_p(ykp.ykp_core_config(config)), 50)
    return raw + (0xFFFF & ~otp.calculate_crc(raw)).to_bytes(2, "little")


def kit(job):
    """The 52 bytes by yubikit, whose classes know the layout; the flags are set one by one."""
    key, fixed, uid, code = (bytes.fromhex(job[k]) for k in ("key", "fixed", "uid", "code"))
    kind = job["kind"]
    if kind == "hotp":
        c = yubiotp.HotpSlotConfiguration(key).imf(job["moving"])
        c._fixed = fixed
    elif kind == "hmac":
        c = yubiotp.HmacSha1SlotConfiguration(key)
    elif kind == "static":
        c = yubiotp.StaticTicketSlotConfiguration(fixed, uid, key)
    elif kind == "codes":
        c = yubiotp.StaticPasswordSlotConfiguration(fixed + uid + key)
    else:
        c = yubiotp.YubiOtpSlotConfiguration(fixed, uid, key)
    c._flags = {}
    for flag in job["flags"]:
        of, name = flag.split("flag_", 1)
        c._update_flags(getattr(getattr(yubiotp, of.upper() + "FLAG"), name), True)
    return c.get_config(code or None)


class Backend:
    def write_update(self, slot, data):
        self.sent = slot, data
        return bytes(6)

    def send_and_receive(self, slot, data, *rest):
        self.sent = slot, data
        return b""


def sent(call):
    """The frame that a call of yubikit's session would send."""
    session = object.__new__(yubiotp.YubiOtpSession)
    session._version, session.backend = otp.Version(5, 4, 3), Backend()
    call(session)
    slot, data = session.backend.sent
    return otp._format_frame(slot, data.ljust(64, b"\0"))


def frame(job):
    one, two = yubiotp.SLOT.ONE, yubiotp.SLOT.TWO
    slot, text, data, code = two if job["slot"] == 2 else one, job.get("text", ""), bytes.fromhex(job.get("data", "")), bytes.fromhex(job["code"]) or None
    return sent({
        "uri": lambda s: s.set_ndef_configuration(slot, text, code),
        "text": lambda s: s.set_ndef_configuration(slot, text, code, yubiotp.NDEF_TYPE.TEXT),
        "challenge": lambda s: s.calculate_hmac_sha1(slot, data),
        "scanmap": lambda s: s.set_scan_map(data, code),
        "delete": lambda s: s.delete_slot(slot, code),
        "swap": lambda s: s.swap_slots(),
        "update": lambda s: s.update_configuration(slot, updated(job), code, code),
    }[job["kind"]])


def updated(job):
    c = yubiotp.UpdateConfiguration()
    c._flags = {}
    for flag in job["flags"]:
        of, name = flag.split("flag_", 1)
        c._update_flags(getattr(getattr(yubiotp, of.upper() + "FLAG"), name), True)
    return c


def mode(job):
    config = ctypes.c_void_p(ykp.ykp_alloc_device_config())
    ykp.ykp_set_device_mode(config, ctypes.c_ubyte(job["mode"]))
    ykp.ykp_set_device_chalresp_timeout(config, ctypes.c_ubyte(job["timeout"]))
    ykp.ykp_set_device_autoeject_time(config, ctypes.c_ushort(job["eject"]))
    return ctypes.string_at(config, 4)


def typed(job):
    layout = scancodes.KEYBOARD_LAYOUT[job["layout"]]
    return json.dumps({c: s for c, s in layout.value.items()})


def attempt(make, job):
    try:
        result = make(job)
        return result if isinstance(result, str) else result.hex()
    except Refused as e:
        return "refused: %s" % e
    except (ValueError, yubiotp.NotSupportedError) as e:
        return "refused: %s" % e


MAKERS = {"config": [pers, kit], "frame": [frame], "mode": [mode], "layout": [typed]}
print(json.dumps([[attempt(make, job) for make in MAKERS[job["what"]]] for job in json.load(sys.stdin)]))
