"""Prints what the keys of a USB keyboard type on the layouts below, without and with Shift, asked of libxkbcommon and xkb-data.

First line: the version of xkb-data. Then one line a layout, four columns separated by tabs: our name, the name in xkb-data, and what
the 48 keys type, without a modifier and with Shift: usages 04 to 27, 2d to 30, 32 to 38, 64. U+FFFD stands for a key that types
nothing, a control character, or is dead: it waits for the next key and changes it.
"""
import ctypes
import unicodedata

LAYOUTS = [
    # the vendor's tool has these
    ("us", "us", ""), ("uk", "gb", ""), ("de", "de", ""), ("fr", "fr", ""), ("it", "it", ""), ("bepo", "fr", "bepo"), ("norman", "us", "norman"),
    # others
    ("at", "at", ""), ("be", "be", ""), ("br", "br", ""), ("ca", "ca", ""), ("ch", "ch", ""), ("ch-fr", "ch", "fr"), ("colemak", "us", "colemak"),
    ("cz", "cz", ""), ("de-nodeadkeys", "de", "nodeadkeys"), ("dk", "dk", ""), ("dvorak", "us", "dvorak"), ("ee", "ee", ""), ("es", "es", ""),
    ("fi", "fi", ""), ("hr", "hr", ""), ("hu", "hu", ""), ("latam", "latam", ""), ("no", "no", ""), ("pl", "pl", ""), ("pt", "pt", ""),
    ("se", "se", ""), ("si", "si", ""), ("sk", "sk", ""), ("tr", "tr", ""), ("us-intl", "us", "intl"),
]
RULES = "/usr/share/X11/xkb/rules/evdev.lst"
VERSION = "/usr/share/pkgconfig/xkeyboard-config.pc"
NOTHING = "\ufffd"

# evdev's numbers of usages 04 to 1d (a to z), 1e to 27, 2d to 30, 32 to 38 and 64, as Linux maps them (hid-input.c). X's are 8 more.
EVDEV = [30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45, 21, 44]
EVDEV += list(range(2, 12)) + [12, 13, 26, 27] + [43, 39, 40, 41, 51, 52, 53] + [86]

xkb = ctypes.CDLL("libxkbcommon.so.0")
pointer, word = ctypes.c_void_p, ctypes.c_uint32


class Names(ctypes.Structure):
    _fields_ = [(n, ctypes.c_char_p) for n in ("rules", "model", "layout", "variant", "options")]


def function(name, result, *arguments):
    f = getattr(xkb, name)
    f.restype, f.argtypes = result, arguments
    return f


new_context = function("xkb_context_new", pointer, ctypes.c_int)
silence = function("xkb_context_set_log_level", None, pointer, ctypes.c_int)
new_keymap = function("xkb_keymap_new_from_names", pointer, pointer, ctypes.POINTER(Names), ctypes.c_int)
drop_keymap = function("xkb_keymap_unref", None, pointer)
modifier = function("xkb_keymap_mod_get_index", word, pointer, ctypes.c_char_p)
new_state = function("xkb_state_new", pointer, pointer)
drop_state = function("xkb_state_unref", None, pointer)
set_modifiers = function("xkb_state_update_mask", ctypes.c_int, pointer, word, word, word, word, word, word)
character = function("xkb_state_key_get_utf32", word, pointer, word)


def titles():
    part, found = "", {}
    for line in open(RULES, encoding="utf-8"):
        if line.startswith("!"):
            part = line[1:].strip()
        elif line.strip() and part in ("layout", "variant"):
            first, rest = line.strip().split(None, 1)
            if part == "variant":
                layout, name = rest.split(": ", 1)
                found[layout, first] = name
            else:
                found[first, ""] = rest
    return found


def column(keymap, held):
    state = new_state(keymap)
    set_modifiers(state, held, 0, 0, 0, 0, 0)
    text = ""
    for key in EVDEV:
        c = chr(character(state, key + 8))  # a dead key has none: 0
        text += NOTHING if unicodedata.category(c) in ("Cc", "Mn", "Zs") else c
    drop_state(state)
    return text


context = new_context(0)
silence(context, 10)
names = titles()
print(next(line.split()[1] for line in open(VERSION) if line.startswith("Version:")))
for name, layout, variant in LAYOUTS:
    keymap = new_keymap(context, Names(b"evdev", b"pc105", layout.encode(), variant.encode(), b""), 0)
    if not keymap:
        raise SystemExit("cannot compile " + layout + " " + variant)
    shift = 1 << modifier(keymap, b"Shift")
    print(name, names[layout, variant], column(keymap, 0), column(keymap, shift), sep="\t")
    drop_keymap(keymap)
