package usbhid

// UdevRulePath is where UdevRule belongs. The number must sort before 73-seat-late.rules, which is where systemd turns
// the uaccess tag into an access list for the user at the seat.
const UdevRulePath = "/etc/udev/rules.d/69-tokendesk.rules"

// UdevRule is the whole text of the rule file. It reaches three nodes of a key: usb (libusb), hidraw (hidraw) and input
// (so that hidraw's holder can keep a touch from typing into the desktop; who may read hidraw sees the same keys
// already). The product IDs are those with an OTP interface, in order; a test holds them against the product table.
// Source of the form: reference yubikey-otp.md §1.1, the rule of libykpers.
const UdevRule = `# tokendesk: access to the OTP interface of a YubiKey for the user at the seat.
ACTION=="remove", GOTO="tokendesk_end"
SUBSYSTEM!="usb|hidraw|input", GOTO="tokendesk_end"
ATTRS{idVendor}=="1050", ATTRS{idProduct}=="0010|0110|0111|0114|0116|0401|0403|0405|0407|0410", ENV{ID_SECURITY_TOKEN}="1", TAG+="uaccess"
LABEL="tokendesk_end"
`
