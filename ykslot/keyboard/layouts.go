package keyboard

// nothing stands in a row for a key that types nothing, or something that a slot cannot use.
const nothing = '\uFFFD'

// layouts are the tables. Source: reference yubikey-otp.md §3.7.
var layouts = []Layout{
	{Name: "modhex", Title: "the letters that most Latin layouts share", rows: []row{
		{0x05, "bcdefghijkl"}, {0x11, "n"}, {0x15, "r"}, {0x17, "tuv"},
		{0x85, "BCDEFGHIJKL"}, {0x91, "N"}, {0x95, "R"}, {0x97, "TUV"},
	}},
	{Name: "us", Title: "English (US)", rows: []row{
		{0x04, "abcdefghijklmnopqrstuvwxyz1234567890"}, {0x28, "\r"}, {0x2b, "\t -=[]"}, {0x32, "\\;'`,./"},
		{0x84, "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()"}, {0xad, "_+{}"}, {0xb2, "|:\"~<>?"},
	}},
}
