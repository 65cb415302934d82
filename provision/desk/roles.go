package desk

import "slices"

// Right is one thing that an operator may be allowed to do, in the API and on the pages.
type Right string

// The rights.
const (
	RightFind          Right = "find"           // persons and tokens, with their history
	RightDiagnose      Right = "diagnose"       // why a code was refused, by support code; of what is typed for a person, only with resync
	RightBlock         Right = "block"          // as lost or suspended, with trusted browsers and links; the ten-minute undo
	RightRestore       Right = "restore"        // with a fresh code
	RightTempCode      Right = "temp-code"      // make and end
	RightRecoveryCodes Right = "recovery-codes" // make and end
	RightEnroll        Right = "enroll"         // open a link for an app
	RightStock         Right = "stock"          // register tokens, import key files
	RightIssue         Right = "issue"          // to a person
	RightConfirm       Right = "confirm"        // a token by its code; without find, one of the stock
	RightResync        Right = "resync"         // by two codes
	RightRelease       Right = "release"        // trust a token after a backup was put back
	RightReturn        Right = "return"         // back into the stock
	RightRetire        Right = "retire"         // for good; without find, one of the stock
	RightPersons       Right = "persons"        // register, and put into groups
	RightAudit         Right = "audit"          // read and verify
	RightClients       Right = "clients"        // relying servers, their keys and rights; devices that ask by RADIUS
	RightOperators     Right = "operators"      // members of staff and their roles
)

// Role is what an operator is; several may be joined.
type Role string

// The roles.
const (
	RoleProvisioner Role = "provisioner"
	RoleIssuer      Role = "issuer"
	RoleHelpdesk    Role = "helpdesk"
	RoleAuditor     Role = "auditor"
	RoleAdmin       Role = "admin"
)

// Rights is the one table of authorisation. Source: PRODUCT.md §5.3. There, restoring is to be approved by a second person; here
// the fresh code of the token in hand stands for that. Who runs the program on the store needs no role.
func Rights() map[Role][]Right {
	return map[Role][]Right{
		RoleProvisioner: {RightStock, RightConfirm, RightRetire},
		RoleIssuer: {RightFind, RightDiagnose, RightBlock, RightRestore, RightRecoveryCodes, RightEnroll, RightStock, RightIssue, RightConfirm,
			RightResync, RightRelease, RightReturn, RightRetire, RightPersons},
		RoleHelpdesk: {RightFind, RightDiagnose, RightBlock, RightRestore, RightTempCode, RightRecoveryCodes, RightEnroll, RightResync, RightRelease},
		RoleAuditor:  {RightFind, RightDiagnose, RightAudit},
		RoleAdmin:    {RightClients, RightOperators},
	}
}

// Roles are all, in the order in which they are shown.
func Roles() []Role {
	return []Role{RoleProvisioner, RoleIssuer, RoleHelpdesk, RoleAuditor, RoleAdmin}
}

// AllRights are all, in the order in which they are shown.
func AllRights() []Right {
	return []Right{
		RightFind, RightDiagnose, RightBlock, RightRestore, RightTempCode, RightRecoveryCodes, RightEnroll, RightStock, RightIssue,
		RightConfirm, RightResync, RightRelease, RightReturn, RightRetire, RightPersons, RightAudit, RightClients, RightOperators,
	}
}

// Grants reports whether the role has the right.
func (r Role) Grants(right Right) bool { return slices.Contains(Rights()[r], right) }
