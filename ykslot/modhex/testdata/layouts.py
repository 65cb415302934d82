"""Prints what the 16 ModHex keys and the 10 digit keys type on every layout and variant that xkb-data lists, asked of libxkbcommon.

First line: the version of xkb-data. Then one line a layout: name, and three columns, separated by tabs: without a modifier, with Caps
Lock, with Shift. A column has 26 characters; U+FFFD stands for a key that types nothing or a control character. A dead key stands for
its own mark.
"""
import ctypes
import unicodedata

RULES = "/usr/share/X11/xkb/rules/evdev.lst"
VERSION = "/usr/share/pkgconfig/xkeyboard-config.pc"
NOTHING = "\ufffd"
DEAD = {"dead_grave": "`", "dead_acute": "\u00b4", "dead_circumflex": "^", "dead_tilde": "~", "dead_diaeresis": "\u00a8", "dead_caron": "\u02c7"}

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
symbol = function("xkb_state_key_get_one_sym", word, pointer, word)
symbol_name = function("xkb_keysym_get_name", ctypes.c_int, word, ctypes.c_char_p, ctypes.c_size_t)


def keycodes():
    """X's keycodes are evdev's plus 8; evdev numbers the keys of a row in order."""
    found = {}
    for first, keys in ((16, "qwertyuiop"), (30, "asdfghjkl"), (44, "zxcvbnm"), (2, "1234567890")):
        for i, key in enumerate(keys):
            found[key] = first + i + 8
    return [found[key] for key in "cbdefghijklnrtuv0123456789"]


def layouts():
    part = ""
    for line in open(RULES, encoding="utf-8"):
        if line.startswith("!"):
            part = line[1:].strip()
        elif line.strip() and part in ("layout", "variant"):
            first, rest = line.strip().split(None, 1)
            if part == "variant":
                layout, name = rest.split(": ", 1)
                yield layout, first, name
            elif first != "custom":
                yield first, "", rest


def typed(state, key):
    c = chr(character(state, key))
    if c == "\0":
        name = ctypes.create_string_buffer(64)
        symbol_name(symbol(state, key), name, 64)
        return DEAD.get(name.value.decode(), NOTHING)
    return NOTHING if unicodedata.category(c) == "Cc" else c


def column(keymap, held, locked):
    state = new_state(keymap)
    set_modifiers(state, held, 0, locked, 0, 0, 0)
    text = "".join(typed(state, key) for key in keycodes())
    drop_state(state)
    return text


context = new_context(0)
silence(context, 10)
print(next(line.split()[1] for line in open(VERSION) if line.startswith("Version:")))
for layout, variant, name in layouts():
    keymap = new_keymap(context, Names(b"evdev", b"pc105", layout.encode(), variant.encode(), b""), 0)
    if not keymap:
        raise SystemExit("cannot compile " + layout + " " + variant)
    lock, shift = 1 << modifier(keymap, b"Lock"), 1 << modifier(keymap, b"Shift")
    print(name, column(keymap, 0, 0), column(keymap, 0, lock), column(keymap, shift, 0), sep="\t")
    drop_keymap(keymap)
