package desk

import (
	"slices"
	"testing"
)

// TestRightsTable is the golden form of the table: one letter for each role in the order of Roles, a dot for no.
func TestRightsTable(t *testing.T) {
	t.Parallel()
	want := map[Right]string{ // provisioner, issuer, helpdesk, auditor, admin
		RightFind:          ".iha.",
		RightDiagnose:      ".iha.",
		RightBlock:         ".ih..",
		RightRestore:       ".ih..",
		RightTempCode:      "..h..",
		RightRecoveryCodes: ".ih..",
		RightEnroll:        ".ih..",
		RightStock:         "pi...",
		RightIssue:         ".i...",
		RightConfirm:       "pi...",
		RightResync:        ".ih..",
		RightRelease:       ".ih..",
		RightReturn:        ".i...",
		RightRetire:        "pi...",
		RightPersons:       ".i...",
		RightAudit:         "...a.",
		RightClients:       "....A",
		RightOperators:     "....A",
	}
	all := AllRights()
	if len(all) != len(want) {
		t.Errorf("%d rights, want %d", len(all), len(want))
	}
	for _, right := range all {
		got := ""
		for i, r := range Roles() {
			letter := "."
			if r.Grants(right) {
				letter = "pihaA"[i : i+1]
			}
			got += letter
		}
		if got != want[right] {
			t.Errorf("%s: %s, want %s", right, got, want[right])
		}
	}
	for r, rights := range Rights() {
		if !slices.Contains(Roles(), r) {
			t.Errorf("role %s is not among all", r)
		}
		for _, right := range rights {
			if !slices.Contains(all, right) {
				t.Errorf("right %s of %s is not among all", right, r)
			}
		}
	}
}

// TestMay: roles join; none, an unknown one, or being revoked gives nothing.
func TestMay(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		o     Operator
		right Right
		want  bool
	}{
		{"has it", Operator{Roles: []Role{RoleHelpdesk}, Active: true}, RightTempCode, true},
		{"has it not", Operator{Roles: []Role{RoleHelpdesk}, Active: true}, RightIssue, false},
		{"by the second", Operator{Roles: []Role{RoleHelpdesk, RoleIssuer}, Active: true}, RightIssue, true},
		{"admin is no helpdesk", Operator{Roles: []Role{RoleAdmin}, Active: true}, RightFind, false},
		{"revoked", Operator{Roles: []Role{RoleHelpdesk}}, RightTempCode, false},
		{"no role", Operator{Active: true}, RightFind, false},
		{"unknown role", Operator{Roles: []Role{"root"}, Active: true}, RightFind, false},
		{"unknown right", Operator{Roles: Roles(), Active: true}, "", false},
	} {
		if got := tc.o.May(tc.right); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
